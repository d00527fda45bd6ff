//! Test helpers shared by several crates: git, sample projects, and programs to compare with.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    clippy::print_stderr
)]

pub mod fuzz;
#[cfg(feature = "cluster")]
pub mod https_cluster;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

/// Reports that a test is skipped, for the list of `.ci/run`.
///
/// # Panics
/// With `REQUIRE_PEERS=1` in the environment, which turns a skip into a failure.
pub fn skipped(test: &str, why: &str) {
    assert!(
        std::env::var_os("REQUIRE_PEERS").is_none_or(|value| value != "1"),
        "{test} cannot run, and REQUIRE_PEERS is set: {why}"
    );
    said(&format!("SKIPPED {test}: {why}"));
}

/// Prints a line to stderr, bypassing the capture of the test runner.
pub fn said(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Runs git in `directory` without the machine's configuration. Returns its trimmed output.
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

/// Makes `directory` a repository with a plan of two tasks on `feature/plan`, pushed to a bare repository beside it.
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

/// Waits up to 20 s until no process has `directory` in its command line or as its working directory.
pub fn no_process_stays_below(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = processes_below(directory);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still running: {found:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the command lines of the processes that name `directory` or work in it.
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

/// Returns the root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the folder `part` of the corpus of real task files, below `FLIGHTDECK_CORPUS` or beside the sources. Reports the test as
/// skipped and returns `None` if it does not exist. An empty `part` is the corpus itself.
pub fn corpus(test: &str, part: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FLIGHTDECK_CORPUS")
        .map_or_else(|| workspace().join("../shared/corpus"), PathBuf::from);
    let folder = folder.join(part);
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(test, &format!("{} does not exist", folder.display()));
    None
}

/// The official Task Master, to compare with.
pub struct TaskMaster {
    program: PathBuf,
    home: tempfile::TempDir,
}

/// Returns Task Master below `FLIGHTDECK_PEERS` or `target/peers`. Reports the test as skipped and returns `None` if it is not
/// installed.
pub fn task_master(test: &str) -> Option<TaskMaster> {
    let peers = std::env::var_os("FLIGHTDECK_PEERS")
        .map_or_else(|| workspace().join("target/peers"), PathBuf::from);
    let program = peers.join("node_modules/.bin/task-master");
    if program.exists() {
        let home = tempfile::tempdir().unwrap();
        return Some(TaskMaster { program, home });
    }
    skipped(test, &format!("{} does not exist", program.display()));
    None
}

impl TaskMaster {
    /// Runs one of its commands on the plan of `directory`, with its own home and without its update check.
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
