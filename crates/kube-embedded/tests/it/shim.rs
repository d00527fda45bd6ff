//! Containers under their shim: output and exit are recorded, and no process is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::format_collect)]

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use kube_embedded::{
    attempt::{Attempt, Ended, Spec},
    log::{self, LogFilter, LogNotifier, LogOptions},
};

const TIMEOUT: Duration = Duration::from_secs(60);

struct Container {
    attempt: Attempt,
    shim: Child,
    _directory: TempDir,
}

impl Drop for Container {
    /// Kills the container after a failed test.
    fn drop(&mut self) {
        if self.shim.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::SIGUSR1);
        }
    }
}

fn attempt() -> (TempDir, Attempt) {
    let directory = TempDir::new().unwrap();
    let attempt = Attempt::new(directory.path());
    std::fs::write(attempt.log_path(0), "").unwrap();
    (directory, attempt)
}

fn start(command: &[&str], grace_seconds: u64) -> Container {
    start_with(command, |spec| spec.grace_seconds = grace_seconds)
}

fn start_with(command: &[&str], change: impl FnOnce(&mut Spec)) -> Container {
    let (directory, attempt) = attempt();
    let mut spec = Spec {
        command: command.iter().map(ToString::to_string).collect(),
        working_directory: directory.path().to_owned(),
        grace_seconds: 30,
        log_file_bytes: 10 * 1024 * 1024,
        log_files: 5,
    };
    change(&mut spec);
    attempt.write_spec(&spec).unwrap();
    let mut shim = shim(&attempt);
    let _ = shim.stdout.take().unwrap().read(&mut [0]);
    Container {
        attempt,
        shim,
        _directory: directory,
    }
}

fn shim(attempt: &Attempt) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kube-embedded"))
        .args(["shim", "--spec"])
        .arg(attempt.spec_path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn shell(script: &str) -> Container {
    start(&["sh", "-c", script], 30)
}

/// Polls until `condition` holds, where there is no notification.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Container {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.shim.id() as i32), signal).unwrap();
    }

    fn end(&mut self) -> Ended {
        let (told, end) = mpsc::channel();
        let attempt = self.attempt.clone();
        std::thread::spawn(move || told.send(attempt.lock()));
        end.recv_timeout(TIMEOUT)
            .expect("the shim ends")
            .expect("the lock can be had");
        self.shim.wait().unwrap();
        self.attempt.ended().expect("the end is on record")
    }

    fn output(&self) -> Vec<u8> {
        let options = LogOptions::default();
        runtime().block_on(read(&self.attempt, options))
    }

    fn wait_for_output(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), || {
            String::from_utf8_lossy(&std::fs::read(self.attempt.log_path(0)).unwrap())
                .contains(text)
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn read(attempt: &Attempt, options: LogOptions) -> Vec<u8> {
    let changes = LogNotifier::new().unwrap();
    let stream = log::stream(attempt.clone(), options, &changes)
        .await
        .unwrap();
    let chunks: Vec<_> = tokio::time::timeout(TIMEOUT, stream.try_collect())
        .await
        .expect("the log ends")
        .unwrap();
    chunks.concat()
}

/// Returns whether a process runs and is not a zombie.
fn is_alive(process: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

#[test]
fn records_output_and_exit_code() {
    let mut container = shell("echo one; echo two >&2; printf 'no end'; exit 7");
    let ended = container.end();
    assert_eq!((ended.exit_code, ended.signal), (7, None));
    assert!(ended.started_at.unwrap() <= ended.finished_at);
    let output = String::from_utf8(container.output()).unwrap();
    for text in ["one\n", "two\n", "no end"] {
        assert!(output.contains(text), "{text:?} in {output:?}");
    }
}

#[test]
fn keeps_binary_output() {
    let mut container = shell(r"printf 'a\000\377\033[2J\r\nb'");
    container.end();
    assert_eq!(container.output(), b"a\0\xff\x1b[2J\r\nb");
}

#[test]
fn joins_line_of_five_mebibytes() {
    let mut container = shell("head -c 5242880 /dev/zero | tr '\\0' x; echo; echo after");
    container.end();
    let output = container.output();
    assert_eq!(output.len(), 5_242_880 + 1 + 6);
    assert!(output.ends_with(b"x\nafter\n"));
    let tail = runtime().block_on(read(
        &container.attempt,
        LogOptions {
            tail: Some(2),
            ..LogOptions::default()
        },
    ));
    assert_eq!(tail.len(), output.len());
}

#[test]
fn keeps_order_of_many_lines() {
    let mut container = shell("seq 1 100000");
    container.end();
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(container.output() == expected.as_bytes());
}

#[test]
fn start_error_names_missing_command() {
    let mut container = start(&["no-such-program-anywhere"], 30);
    let ended = container.end();
    assert_eq!(ended.reason.as_deref(), Some("StartError"));
    assert!(
        ended.message.unwrap().contains("no-such-program-anywhere"),
        "the program is named"
    );
}

#[test]
fn kills_after_grace_period() {
    let mut container = start(
        &[
            "sh",
            "-c",
            "trap '' TERM; echo ready; while :; do read -r x; sleep 60 & wait; done",
        ],
        1,
    );
    container.wait_for_output("ready");
    let asked = Instant::now();
    container.signal(Signal::SIGTERM);
    let ended = container.end();
    assert_eq!((ended.exit_code, ended.signal), (137, Some(9)));
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[test]
fn reads_output_written_on_sigterm() {
    let mut container = shell("trap 'echo bye; exit 3' TERM; echo ready; sleep 60 & wait");
    container.wait_for_output("ready");
    container.signal(Signal::SIGTERM);
    assert_eq!(container.end().exit_code, 3);
    assert!(container.output().ends_with(b"bye\n"));
}

#[test]
fn kills_immediately() {
    let mut container = shell("trap '' TERM; echo ready; sleep 600");
    container.wait_for_output("ready");
    container.signal(Signal::SIGTERM);
    container.signal(Signal::SIGUSR1);
    assert_eq!(container.end().signal, Some(9));
}

#[test]
fn kills_orphans_with_container() {
    let mut container = shell(
        "sleep 600 & echo group $!; \
         setsid sh -c 'echo escaped $$; exec sleep 600' & \
         (sh -c 'sh -c \"echo forked \\$\\$; exec sleep 600\" &'); \
         while [ ! -e go ]; do sleep 0.01; done",
    );
    for text in ["group", "escaped", "forked"] {
        container.wait_for_output(text);
    }
    let output = String::from_utf8(container.output()).unwrap();
    let processes: Vec<i32> = output
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(processes.len(), 3);
    assert!(processes.iter().all(|process| is_alive(*process)));
    std::fs::write(container.attempt.directory().join("go"), "").unwrap();
    assert_eq!(container.end().exit_code, 0);
    for process in processes {
        assert!(!is_alive(process), "{process} in {output}");
    }
}

#[test]
fn never_starts_attempt_twice() {
    let mut container = shell("echo once; sleep 600");
    container.wait_for_output("once");
    assert!(shim(&container.attempt).wait().unwrap().success());
    container.signal(Signal::SIGUSR1);
    container.end();
    assert!(shim(&container.attempt).wait().unwrap().success());
    assert_eq!(container.output(), b"once\n");
}

#[test]
fn follower_gets_lines_live_and_ends() {
    let mut container = shell("echo first; while [ ! -e go ]; do sleep 0.01; done; printf last");
    let options = LogOptions {
        follow: true,
        filter: LogFilter {
            timestamps: true,
            ..LogFilter::default()
        },
        ..LogOptions::default()
    };
    let text = runtime().block_on(async {
        let changes = LogNotifier::new().unwrap();
        let stream = log::stream(container.attempt.clone(), options, &changes)
            .await
            .unwrap();
        let mut stream = std::pin::pin!(stream);
        let mut text = Vec::new();
        while let Some(chunk) = tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap() {
            text.extend_from_slice(&chunk.unwrap());
            if text.ends_with(b"first\n") {
                std::fs::write(container.attempt.directory().join("go"), "").unwrap();
            }
        }
        String::from_utf8(text).unwrap()
    });
    let times: Vec<&str> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    assert!(text.ends_with(" last"), "{text}");
    assert!(times.len() == 2 && times[0] < times[1], "{text}");
    assert_eq!(container.end().exit_code, 0);
}

#[test]
fn followers_may_leave_while_log_grows() {
    let mut container = shell("while [ ! -e go ]; do echo line; done");
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    runtime().block_on(async {
        let changes = LogNotifier::new().unwrap();
        for _ in 0..200 {
            let stream = log::stream(container.attempt.clone(), options.clone(), &changes).await;
            let mut stream = std::pin::pin!(stream.unwrap());
            let chunk = tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap();
            assert!(chunk.unwrap().unwrap().starts_with(b"line\n"));
        }
    });
    std::fs::write(container.attempt.directory().join("go"), "").unwrap();
    assert_eq!(container.end().exit_code, 0);
}

#[test]
fn rotation_keeps_newest_lines() {
    let mut container = start_with(&["seq", "1", "20000"], |spec| {
        (spec.log_file_bytes, spec.log_files) = (64 * 1024, 3);
    });
    container.end();
    let files = container.attempt.log_files().unwrap();
    assert_eq!(files.len(), 3);
    for number in files {
        let path = container.attempt.log_path(number);
        assert!(std::fs::metadata(path).unwrap().len() <= 64 * 1024);
    }
    let output = String::from_utf8(container.output()).unwrap();
    let lines: Vec<u32> = output.lines().map(|line| line.parse().unwrap()).collect();
    let expected: Vec<u32> = (lines[0]..=20000).collect();
    assert!(lines[0] > 1 && lines == expected, "from {}", lines[0]);
    // The last lines span two files.
    let options = LogOptions {
        tail: Some(2000),
        ..LogOptions::default()
    };
    let tail = runtime().block_on(read(&container.attempt, options));
    let expected: String = (18001..=20000).map(|n| format!("{n}\n")).collect();
    assert!(tail == expected.as_bytes());
}

#[test]
fn follower_survives_rotation() {
    let mut container = start_with(
        &[
            "sh",
            "-c",
            "seq 1 5000; while [ ! -e go ]; do sleep 0.01; done; seq 5001 10000",
        ],
        |spec| (spec.log_file_bytes, spec.log_files) = (4096, 1000),
    );
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let text = runtime().block_on(async {
        let changes = LogNotifier::new().unwrap();
        let stream = log::stream(container.attempt.clone(), options, &changes).await;
        let mut stream = std::pin::pin!(stream.unwrap());
        let mut text = Vec::new();
        while let Some(chunk) = tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap() {
            text.extend_from_slice(&chunk.unwrap());
            if text.ends_with(b"\n5000\n") {
                std::fs::write(container.attempt.directory().join("go"), "").unwrap();
            }
        }
        text
    });
    assert_eq!(container.end().exit_code, 0);
    assert!(container.attempt.log_files().unwrap().len() > 50);
    let expected: String = (1..=10_000).map(|n| format!("{n}\n")).collect();
    assert!(text == expected.as_bytes());
}

#[test]
fn since_starts_at_time_in_long_log() {
    let mut container = start_with(
        &["sh", "-c", "seq 1 30000; sleep 0.05; seq 30001 60000"],
        |spec| (spec.log_file_bytes, spec.log_files) = (1024 * 1024, 5),
    );
    container.end();
    let stamped = |filter: LogFilter| {
        let options = LogOptions {
            filter,
            ..LogOptions::default()
        };
        let text = runtime().block_on(read(&container.attempt, options));
        String::from_utf8(text).unwrap()
    };
    let all = stamped(LogFilter {
        timestamps: true,
        ..LogFilter::default()
    });
    let second = all.lines().find(|line| line.ends_with(" 30001")).unwrap();
    let since = second.split_once(' ').unwrap().0.parse().unwrap();
    let found = stamped(LogFilter {
        since: Some(since),
        ..LogFilter::default()
    });
    let expected: String = (30001..=60_000).map(|n| format!("{n}\n")).collect();
    assert!(
        found == expected,
        "it begins with {:?}",
        found.lines().next()
    );
}

#[test]
fn last_lines_limits_lines_and_bytes() {
    let mut container = shell("seq 1 1000; printf 'no end'");
    container.end();
    let end = |lines, bytes| {
        String::from_utf8(log::last_lines(&container.attempt, lines, bytes).unwrap()).unwrap()
    };
    assert_eq!(end(3, 2048), "999\n1000\nno end");
    assert_eq!(end(80, 9), "00\nno end");
    assert_eq!(end(80, 2048).lines().count(), 80);
}
