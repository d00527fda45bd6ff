//! The ledger between processes: one writes, others read; a kill or a full disk costs the last lines and nothing else.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use jiff::Timestamp;

use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource},
    runs::Stage,
};
use flightdeck_host::ledger::Ledger;

const UID: &str = "0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f";
/// Where the writing process writes.
const DIRECTORY: &str = "FLIGHTDECK_TEST_LEDGER";
/// Lines that it writes at most.
const LINES: usize = 400_000;
const WRITER: &str = "ledger::the_writer_that_other_tests_start";

fn line(source: &Arc<LogSource>, index: usize) -> LogEvent {
    LogEvent::Line(LogLine {
        source: Arc::clone(source),
        at: Timestamp::from_millisecond(1_900_000_000_000 + index as i64).unwrap(),
        ordinal: 0,
        text: text(index),
        bytes: None,
        left_out: 0,
    })
}

fn text(index: usize) -> String {
    format!(
        "line {index} of an agent that \"talks\" {}",
        "x".repeat(index % 90)
    )
}

fn source() -> Arc<LogSource> {
    Arc::new(LogSource {
        pod: "p".into(),
        pod_uid: "pu".into(),
        container: "agent".into(),
        restart: 0,
        stage: Some(Stage::Agent),
        context_version: 1,
        attempt: 1,
    })
}

/// Not a test of its own: it writes a log where another test says, one line after the other, until it is killed or fails.
#[test]
fn the_writer_that_other_tests_start() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let ledger = Ledger::open(directory).unwrap();
    let mut spool = ledger.log_writer(UID).unwrap().expect("nobody else writes");
    let source = source();
    println!("writing");
    for index in 0..LINES {
        if let Err(error) = spool.append(&[line(&source, index)]) {
            println!("failed after {index} lines: {error}");
            return;
        }
    }
    println!("wrote all");
}

fn writer(directory: &Path, mut command: Command) -> (Child, BufReader<impl std::io::Read>) {
    let mut child = command
        .args(["--exact", WRITER, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    until(&mut said, "writing");
    (child, said)
}

/// The first line that it says with these words.
fn until(said: &mut impl BufRead, words: &str) -> String {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(
            said.read_line(&mut line).unwrap() > 0,
            "it ended without {words:?}"
        );
    }
    line
}

/// Lines of the log, which must be a beginning of what is written.
fn beginning(ledger: &Ledger) -> usize {
    let mut count = 0;
    for event in ledger.read_log(UID).unwrap() {
        match event {
            LogEvent::Line(line) => {
                assert_eq!(line.text, text(count), "line {count}");
                count += 1;
            }
            LogEvent::Notice(_, notice) => panic!("after line {count}: {notice}"),
            _ => {}
        }
    }
    count
}

#[test]
fn one_process_writes_while_others_read_and_a_kill_loses_nothing_that_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let (mut child, _said) = writer(directory.path(), Command::new(env::current_exe().unwrap()));
    let mut seen = 0;
    // Until it has filled and sealed several segments under the eyes of a reader.
    while seen < 30_000 {
        assert!(
            ledger.log_writer(UID).unwrap().is_none(),
            "there is one writer"
        );
        assert!(
            !ledger.forget(UID).unwrap(),
            "what is written is not removed"
        );
        let now = beginning(&ledger);
        assert!(now >= seen, "{now} lines after {seen}");
        seen = now;
        assert!(child.try_wait().unwrap().is_none(), "it writes on");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let source = source();
    let mut spool = ledger
        .log_writer(UID)
        .unwrap()
        .expect("the lock went with the process");
    let kept = beginning(&ledger);
    assert!(kept >= seen);
    let all: Vec<LogEvent> = (0..kept + 100).map(|index| line(&source, index)).collect();
    spool.append(&all).unwrap();
    assert_eq!(
        beginning(&ledger),
        kept + 100,
        "followed again from its first line"
    );
}

#[test]
fn a_disk_that_is_full_costs_the_last_line_and_the_next_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // A bound on the size of files stands for a full disk: the write that does not fit is cut short.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap());
    let (mut child, mut said) = writer(directory.path(), command);
    let failed = until(&mut said, "failed after");
    child.wait().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let written: usize = failed.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(written > 50, "{failed}");
    let source = source();
    let all: Vec<LogEvent> = (0..written + 100)
        .map(|index| line(&source, index))
        .collect();
    ledger
        .log_writer(UID)
        .unwrap()
        .unwrap()
        .append(&all)
        .unwrap();
    assert_eq!(beginning(&ledger), written + 100);
}
