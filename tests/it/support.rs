//! What several stories share.

pub mod fuzz;
pub mod git_host;
pub mod proxy;
pub mod served;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

/// Says that a test cannot run here, past the test runner's capture, so that `.ci/run` can list it.
pub fn skipped(test: &str, why: &str) {
    said(&format!("SKIPPED {test}: {why}"));
}

/// Says one line past the test runner's capture.
pub fn said(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Runs git in `directory`, cut off from the machine's configuration; what it printed, trimmed.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.invalid",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a plan of two tasks on `feature/plan`, pushed to a bare repository beside it.
pub fn sample_project(directory: &Path) {
    let origin = directory.with_extension("git");
    fs::create_dir_all(directory.join(".taskmaster/tasks")).unwrap();
    git(directory, &["init", "-q"]);
    git(directory, &["config", "user.name", "Ada"]);
    git(directory, &["config", "user.email", "ada@example.invalid"]);
    fs::write(directory.join("README.md"), "# Sample\n").unwrap();
    git(directory, &["add", "."]);
    git(directory, &["commit", "-q", "-m", "Start"]);
    git(
        directory,
        &["init", "-q", "--bare", origin.to_str().unwrap()],
    );
    git(
        directory,
        &["remote", "add", "origin", origin.to_str().unwrap()],
    );
    git(directory, &["push", "-q", "-u", "origin", "main"]);
    git(directory, &["switch", "-q", "-c", "feature/plan"]);
    let task = |id: u32, title: &str| {
        json!({ "id": id, "title": title, "description": format!("{title}."), "details": "Do it well.", "testStrategy": "Look at it.",
                "status": "pending", "priority": "high", "dependencies": [], "subtasks": [] })
    };
    let plan = json!({ "master": { "tasks": [task(1, "Lay the foundation"), task(2, "Raise the walls")], "metadata": {} } });
    fs::write(
        directory.join(".taskmaster/tasks/tasks.json"),
        serde_json::to_string_pretty(&plan).unwrap(),
    )
    .unwrap();
    git(directory, &["add", "."]);
    git(directory, &["commit", "-q", "-m", "Plan"]);
    git(directory, &["push", "-q", "-u", "origin", "feature/plan"]);
}

/// Waits until no process names `directory` or works in it: what was told to end may take a moment.
pub fn no_process_stays_below(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = processes_below(directory);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {found:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Command lines of the processes that name `directory`, or work in it.
fn processes_below(directory: &Path) -> Vec<String> {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        let Ok(command) = fs::read(process.join("cmdline")) else {
            continue;
        };
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let works_there =
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory));
        if works_there || command.contains(&*directory.to_string_lossy()) {
            found.push(command);
        }
    }
    found
}

/// The folder `part` of the real task files, below `FLIGHTDECK_CORPUS` or where they are kept beside the sources; `None`, and said so,
/// where they are not at hand. An empty `part` is the folder itself.
pub fn corpus(test: &str, part: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FLIGHTDECK_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let folder = folder.join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(test, &format!("{} does not exist", folder.display()));
    None
}

/// The official Task Master, where its package is installed: a peer to compare with, never needed.
pub struct TaskMaster {
    program: PathBuf,
    home: tempfile::TempDir,
}

/// Task Master below `FLIGHTDECK_PEERS` or `target/peers`; `None`, and said so, where it is not installed.
pub fn task_master(test: &str) -> Option<TaskMaster> {
    let peers = std::env::var_os("FLIGHTDECK_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
        PathBuf::from,
    );
    let program = peers.join("node_modules/.bin/task-master");
    if program.exists() {
        let home = tempfile::tempdir().unwrap();
        return Some(TaskMaster { program, home });
    }
    skipped(test, &format!("{} does not exist", program.display()));
    None
}

impl TaskMaster {
    /// Runs one of its commands on the plan of `directory`, with a home of its own and no look for a newer version.
    pub fn run(&self, directory: &Path, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .current_dir(directory)
            .args(arguments)
            .env("HOME", self.home.path())
            .env("TASKMASTER_SKIP_AUTO_UPDATE", "1")
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }
}
