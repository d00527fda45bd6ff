//! Concurrent writes of the plan: no change is lost, with both kinds of Task Master's lock.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

fn plan(directory: &Path, tags: &[&str], count: usize) -> PathBuf {
    let path = directory.join(".taskmaster/tasks/tasks.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let task = |id: usize| json!({ "id": id, "title": format!("Task {id}"), "description": "d", "status": "pending", "priority": "medium", "dependencies": [], "subtasks": [] });
    let tasks: Vec<Value> = (1..=count).map(task).collect();
    let plan: serde_json::Map<String, Value> = tags
        .iter()
        .map(|tag| {
            (
                (*tag).to_owned(),
                json!({ "tasks": tasks, "metadata": { "edits": 0 } }),
            )
        })
        .collect();
    fs::write(&path, serde_json::to_string_pretty(&plan).unwrap()).unwrap();
    path
}

fn set_status(file: &Path, tag: &str, id: usize) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightdeck"))
        .arg("--home")
        .arg(file.with_file_name("home"))
        .args(["tasks", "set-status", &id.to_string(), "done", "--tag", tag])
        .arg("--file")
        .arg(file)
        .output()
        .unwrap()
}

fn statuses(file: &Path, tag: &str) -> Vec<String> {
    let plan: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let tasks = plan[tag]["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| task["status"].as_str().unwrap().to_owned())
        .collect()
}

/// Changes the plan like another program that holds the lock: reads and replaces the whole file.
fn increment_edits(file: &Path) {
    let mut plan: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let edits = plan["master"]["metadata"]["edits"].as_u64().unwrap();
    plan["master"]["metadata"]["edits"] = json!(edits + 1);
    let temporary = file.with_extension("tmp.other");
    fs::write(&temporary, serde_json::to_string_pretty(&plan).unwrap()).unwrap();
    fs::rename(temporary, file).unwrap();
}

/// Writes like Task Master, one of whose two code bases uses a file as lock and the other a directory.
fn write_as_task_master(file: &Path, as_file: bool) {
    let lock = file.with_extension("json.lock");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let taken = if as_file {
            fs::File::create_new(&lock).map(drop)
        } else {
            fs::create_dir(&lock)
        };
        if taken.is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "timeout waiting for the lock");
        thread::sleep(Duration::from_millis(3));
    }
    increment_edits(file);
    if as_file {
        fs::remove_file(lock).unwrap();
    } else {
        fs::remove_dir(lock).unwrap();
    }
}

#[test]
fn concurrent_writers_lose_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let (writers, each) = (4, 8);
    let file = plan(directory.path(), &["master"], writers * each);
    thread::scope(|scope| {
        for writer in 0..writers {
            let file = &file;
            scope.spawn(move || {
                for task in 1..=each {
                    let output = set_status(file, "master", writer * each + task);
                    let error = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{error}");
                }
            });
        }
        for as_file in [true, false] {
            let file = &file;
            scope.spawn(move || (0..15).for_each(|_| write_as_task_master(file, as_file)));
        }
    });
    assert_eq!(statuses(&file, "master"), vec!["done"; writers * each]);
    let plan: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(plan["master"]["metadata"]["edits"], 30);
    let folder = fs::read_dir(file.parent().unwrap()).unwrap();
    let left: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["tasks.json"], "nothing is left behind");
}

#[test]
fn task_master_and_flightdeck_lose_no_change() {
    let name = "task_master_and_flightdeck_lose_no_change";
    let Some(program) = crate::support::task_master(name) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let file = plan(directory.path(), &["master", "ours"], 30);
    fs::write(
        directory.path().join(".taskmaster/state.json"),
        r#"{"currentTag": "master", "migrationNoticeShown": true}"#,
    )
    .unwrap();
    // Each has its own tag: Task Master replaces the whole tag with what it read before it acquired the lock.
    thread::scope(|scope| {
        let theirs = scope.spawn(|| {
            for id in 1..=3 {
                let output =
                    program.run(directory.path(), &["set-status", &id.to_string(), "done"]);
                assert!(output.status.success(), "{output:?}");
            }
        });
        let mut id = 0;
        while !theirs.is_finished() || id < 30 {
            id = id % 30 + 1;
            let output = set_status(&file, "ours", id);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    });
    assert_eq!(statuses(&file, "ours"), vec!["done"; 30]);
    assert_eq!(
        statuses(&file, "master")[..4],
        ["done", "done", "done", "pending"]
    );
}

#[test]
fn unknown_status_is_rejected_with_the_valid_ones() {
    let directory = tempfile::tempdir().unwrap();
    let file = plan(directory.path(), &["master"], 1);
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .arg("--home")
            .arg(directory.path().join("home"))
            .arg("--repo")
            .arg(directory.path())
            .args(["tasks", "set-status"])
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (
            output.status.code(),
            error,
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let before = fs::read(&file).unwrap();
    let (code, error, _) = run(&["1", "finished"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("pending, in-progress, done, review, deferred, cancelled, blocked"),
        "{error}"
    );
    let (code, error, _) = run(&["9", "done"]);
    assert!(
        code == Some(3) && error.contains("no task 9 in tag master"),
        "{error}"
    );
    let (code, error, _) = run(&["1", "done", "--tag", "x"]);
    assert!(
        code == Some(3) && error.contains("available tags: master"),
        "{error}"
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    let (code, error, printed) = run(&["1", "Review", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        printed["changes"],
        json!([{ "id": "1", "title": "Task 1", "from": "pending", "to": "review" }])
    );
}
