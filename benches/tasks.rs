//! Reading a plan, compared with plain JSON parsing, and listing it, compared with the official Task Master.
//!
//! Task Master is used if its package is installed (`FLIGHTDECK_PEERS`, else `target/peers`). To use your own plan:
//! `FLIGHTDECK_PLAN=tasks.json cargo bench --bench tasks`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group};
use serde_json::{Value, json};

use flightdeck_core::tasks::{self, Tag};

/// Number of runs of each command, of which the fastest counts.
const RUNS: usize = 5;

/// Returns a plan of `count` tasks with `subtasks` each.
fn plan(count: usize, subtasks: usize) -> Vec<u8> {
    let details = "How it is done. ".repeat(10);
    let subtask = |id: usize| json!({ "id": id, "title": "Do a part", "description": "A part of it.", "details": details, "status": "pending", "dependencies": [] });
    let task = |id: usize| {
        let below: Vec<Value> = (1..=subtasks).map(subtask).collect();
        json!({
            "id": id, "title": format!("Task number {id}"), "description": "What it is about.", "details": details, "testStrategy": "How it is checked.",
            "status": if id.is_multiple_of(3) { "done" } else { "pending" }, "priority": "high",
            "dependencies": if id > 1 { vec![id - 1] } else { vec![] }, "subtasks": below,
        })
    };
    let tasks: Vec<Value> = (1..=count).map(task).collect();
    serde_json::to_vec_pretty(&json!({ "master": { "tasks": tasks, "metadata": {} } })).unwrap()
}

/// Computes what the console needs to show a tag.
fn index(tag: &Tag) -> usize {
    usize::from(tasks::next(tag).is_some())
        + tasks::ready(tag).len()
        + tasks::open_dependencies(tag).len()
}

fn read(criterion: &mut Criterion) {
    let mut plans = vec![
        ("10,000 tasks, a subtask each".to_owned(), plan(10_000, 1)),
        (
            "10,000 tasks, four subtasks each".to_owned(),
            plan(10_000, 4),
        ),
    ];
    plans.extend(env::var_os("FLIGHTDECK_PLAN").map(|path| {
        let bytes = fs::read(&path).unwrap();
        (path.to_string_lossy().into_owned(), bytes)
    }));
    for (name, bytes) in plans {
        let mut group = criterion.benchmark_group(format!("{name}, {} KB", bytes.len() / 1_000));
        group
            .sample_size(20)
            .throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("read", |bencher| {
            bencher.iter(|| tasks::read(&bytes).unwrap());
        });
        group.bench_function("read and index", |bencher| {
            bencher.iter(|| {
                let file = tasks::read(&bytes).unwrap();
                file.tags.iter().map(index).sum::<usize>()
            });
        });
        // For comparison: parsing without interpretation.
        group.bench_function("serde_json::Value", |bencher| {
            bencher.iter(|| serde_json::from_slice::<Value>(&bytes).unwrap());
        });
        group.finish();
    }
}

fn fastest(mut command: Command) -> Duration {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let run = |_| {
        let begun = Instant::now();
        let status = command.status().unwrap();
        assert!(status.success(), "{command:?}");
        begun.elapsed()
    };
    (0..RUNS).map(run).min().unwrap()
}

/// Compares `flightdeck tasks list` with `task-master list` on the same file.
fn compare_with_task_master() {
    let peers = env::var_os("FLIGHTDECK_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    );
    let peer = peers.join("node_modules/.bin/task-master");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(".taskmaster/tasks/tasks.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let state = r#"{"currentTag": "master", "migrationNoticeShown": true}"#;
    fs::write(directory.path().join(".taskmaster/state.json"), state).unwrap();
    fs::write(&file, plan(200, 4)).unwrap();

    let mut ours = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
    ours.current_dir(directory.path())
        .arg("--home")
        .arg(directory.path().join("home"));
    ours.args(["tasks", "list", "-o", "json"]);
    let ours = fastest(ours);
    println!("flightdeck tasks list, 200 tasks: {ours:.1?}");
    if !peer.exists() {
        println!(
            "task-master list: not compared, {} does not exist",
            peer.display()
        );
        return;
    }
    let mut theirs = Command::new(peer);
    theirs
        .current_dir(directory.path())
        .args(["list", "--json", "--with-subtasks"]);
    theirs
        .env("HOME", directory.path())
        .env("TASKMASTER_SKIP_AUTO_UPDATE", "1");
    let theirs = fastest(theirs);
    let times = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("task-master list, 200 tasks: {theirs:.1?}, {times:.0} times as long");
}

criterion_group!(benches, read);

fn main() {
    benches();
    compare_with_task_master();
    Criterion::default().configure_from_args().final_summary();
}
