//! The ledger with several processes: one writes and others read; a kill or a full disk loses at most the last line.

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
/// Variable with the directory of the ledger, for the writing process.
const DIRECTORY: &str = "FLIGHTDECK_TEST_LEDGER";
/// Maximum number of lines to write.
const LINES: usize = 400_000;
const WRITER: &str = "ledger::writer_for_other_tests";

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

/// Not a test itself: the process that other tests start to write a log, line by line, until it is killed or fails.
#[test]
fn writer_for_other_tests() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let ledger = Ledger::open(directory).unwrap();
    let mut writer = ledger.log_writer(UID).unwrap().expect("no other writer");
    let source = source();
    println!("writing");
    for index in 0..LINES {
        if let Err(error) = writer.append(&[line(&source, index)]) {
            println!("failed after {index} lines: {error}");
            return;
        }
    }
    println!("wrote all");
}

fn start_writer(directory: &Path, mut command: Command) -> (Child, BufReader<impl std::io::Read>) {
    let mut child = command
        .args(["--exact", WRITER, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    until(&mut stdout, "writing");
    (child, stdout)
}

/// Reads up to the first line with this text, and returns it.
fn until(stdout: &mut impl BufRead, words: &str) -> String {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert!(
            stdout.read_line(&mut line).unwrap() > 0,
            "end of output before {words:?}"
        );
    }
    line
}

/// Returns the number of archived lines, which must be the first that were written.
fn archived_lines(ledger: &Ledger) -> usize {
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
fn killed_writer_loses_no_written_line() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let (mut child, _stdout) =
        start_writer(directory.path(), Command::new(env::current_exe().unwrap()));
    let mut seen = 0;
    // Enough for several sealed segments.
    while seen < 30_000 {
        assert!(ledger.log_writer(UID).unwrap().is_none(), "only one writer");
        assert!(
            !ledger.forget(UID).unwrap(),
            "a log is not removed while it is written"
        );
        let now = archived_lines(&ledger);
        assert!(now >= seen, "{now} lines after {seen}");
        seen = now;
        assert!(child.try_wait().unwrap().is_none(), "still writing");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let source = source();
    let mut writer = ledger
        .log_writer(UID)
        .unwrap()
        .expect("the lock is released with the process");
    let kept = archived_lines(&ledger);
    assert!(kept >= seen);
    let all: Vec<LogEvent> = (0..kept + 100).map(|index| line(&source, index)).collect();
    writer.append(&all).unwrap();
    assert_eq!(
        archived_lines(&ledger),
        kept + 100,
        "followed again from its first line"
    );
}

#[test]
fn full_disk_loses_only_the_last_line() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // A limit on file sizes simulates a full disk: a write that exceeds it is truncated.
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap());
    let (mut child, mut stdout) = start_writer(directory.path(), command);
    let failed = until(&mut stdout, "failed after");
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
    assert_eq!(archived_lines(&ledger), written + 100);
}
