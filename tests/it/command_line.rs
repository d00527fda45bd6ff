//! The command line in scripts: data on stdout, messages on stderr, and exit codes.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{git, no_process_stays_below, sample_project};

/// Runs the program with its configuration and state in `home`.
fn flightdeck(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flightdeck"))
        .arg("--home")
        .arg(home)
        .args(arguments)
        .env_remove("GITHUB_TOKEN")
        .env_remove("GH_TOKEN")
        .env("TERM", "dumb")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn headless_demo_documents_all_tasks_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    let demo = directory.path().join("demo");
    let home = directory.path().join("home");
    let output = flightdeck(
        &home,
        &[
            "demo",
            "--headless",
            "-o",
            "json",
            "--dir",
            demo.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["phase"], "Succeeded");
    assert_eq!(
        summary["documents"],
        serde_json::json!({ "expected": 48, "written": 48 })
    );
    assert_eq!(summary["pullRequestUrl"], Value::Null);
    let branch = summary["branch"].as_str().unwrap();
    let pushed = git(
        &demo.join("taskboard.git"),
        &["rev-parse", &format!("refs/heads/{branch}")],
    );
    assert_eq!(summary["commit"], Value::String(pushed.clone()));
    let files = git(
        &demo.join("taskboard.git"),
        &["ls-tree", "-r", "--name-only", &pushed],
    );
    let documents = files
        .lines()
        .filter(|path| path.starts_with(".taskmaster/docs/task-"))
        .count();
    assert_eq!(documents, 48);
    no_process_stays_below(&demo);
}

#[test]
fn impossible_launch_has_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("plain")).unwrap();
    for name in ["empty", "broken", "detached"] {
        sample_project(&at(name));
    }
    git(&at("empty"), &["rm", "-q", "-r", ".taskmaster"]);
    fs::write(
        at("broken").join(".taskmaster/tasks/tasks.json"),
        "not { json",
    )
    .unwrap();
    git(&at("detached"), &["checkout", "-q", "--detach"]);
    for (place, sentence, code) in [
        ("plain", "is not in a git repository", 5),
        ("empty", "tasks.json", 5),
        ("broken", "line 1", 5),
        ("detached", "detached", 5),
    ] {
        let place = at(place);
        let arguments = [
            "--repo",
            place.to_str().unwrap(),
            "run",
            "docs",
            "--task",
            "1",
            "--agent",
            "template",
        ];
        let output = flightdeck(&home, &arguments);
        let error = stderr(&output);
        assert!(error.contains(sentence), "{}: {error}", place.display());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}: {error}",
            place.display()
        );
        assert!(output.stdout.is_empty());
    }
    assert!(
        !home.join("state/embedded/endpoint.json").exists(),
        "a blocked launch does not start a cluster"
    );
}

#[test]
fn console_refuses_dumb_terminals() {
    let directory = tempfile::tempdir().unwrap();
    let output = flightdeck(directory.path(), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("TERM=dumb"), "{}", stderr(&output));
}

#[test]
fn unknown_settings_key_is_an_error_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "[ui]\nthem = \"dark\"\n").unwrap();
    let output = flightdeck(directory.path(), &["info"]);
    assert!(
        stderr(&output).contains("config/config.toml") && stderr(&output).contains("them"),
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn embedded_status_reports_whether_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        flightdeck(directory.path(), &["embedded", "status"])
            .status
            .code(),
        Some(3)
    );
    let started = flightdeck(directory.path(), &["embedded", "kubeconfig", "--path"]);
    assert!(started.status.success(), "{}", stderr(&started));
    assert!(Path::new(String::from_utf8(started.stdout).unwrap().trim()).exists());
    let status = flightdeck(directory.path(), &["embedded", "status"]);
    assert_eq!(status.status.code(), Some(0));
    let status = String::from_utf8(status.stdout).unwrap();
    let disk = status
        .lines()
        .find(|line| line.starts_with("disk: objects "));
    let objects: Vec<&str> = disk.unwrap_or_default().split([' ', ',']).collect();
    assert!(objects[2].parse::<u64>().unwrap() > 0, "{status}");
    assert_eq!(
        flightdeck(directory.path(), &["embedded", "stop"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(
        flightdeck(directory.path(), &["embedded", "status"])
            .status
            .code(),
        Some(3)
    );
    no_process_stays_below(directory.path());
}

#[test]
fn launch_follows_the_log_and_exits_with_the_result() {
    let directory = tempfile::tempdir().unwrap();
    let (home, project) = (
        directory.path().join("home"),
        directory.path().join("project"),
    );
    sample_project(&project);
    let repo = project.to_str().unwrap();
    let run = [
        "--repo", repo, "run", "docs", "--task", "1", "--agent", "template", "--wait", "--follow",
    ];
    let output = flightdeck(&home, &run);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("task.md"), "{log}");
    let listed = flightdeck(&home, &["--repo", repo, "runs", "list", "-o", "json"]);
    let runs: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(runs[0]["status"]["phase"], "Succeeded");
    let name = runs[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let retried = flightdeck(&home, &["--repo", repo, "runs", "retry", &name]);
    assert!(retried.status.success(), "{}", stderr(&retried));
    assert!(
        flightdeck(&home, &["--repo", repo, "runs", "logs", &name, "--follow"])
            .status
            .success()
    );
    let again = flightdeck(&home, &["--repo", repo, "runs", "get", &name, "-o", "json"]);
    let run: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        (&run["spec"]["contextVersion"], &run["status"]["phase"]),
        (&2.into(), &"Succeeded".into()),
        "{run:#}"
    );
    let cleaned = flightdeck(&home, &["--repo", repo, "clean", "--finished"]);
    assert!(
        stderr(&cleaned).contains("Nothing was changed"),
        "{}",
        stderr(&cleaned)
    );
    let cleaned = flightdeck(&home, &["--repo", repo, "clean", "--finished", "--yes"]);
    assert!(cleaned.status.success(), "{}", stderr(&cleaned));
    let kept = flightdeck(&home, &["--repo", repo, "runs", "logs", &name]);
    assert!(
        String::from_utf8_lossy(&kept.stdout).contains("task.md"),
        "the log outlives the run: {}",
        stderr(&kept)
    );
    assert_eq!(
        flightdeck(&home, &["embedded", "stop"]).status.code(),
        Some(0)
    );
}

#[test]
fn deleting_a_run_archives_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let (home, project) = (
        directory.path().join("home"),
        directory.path().join("project"),
    );
    sample_project(&project);
    let repo = project.to_str().unwrap();
    let run = [
        "--repo", repo, "run", "code", "--task", "2", "--agent", "template", "--wait", "-o", "name",
    ];
    let output = flightdeck(&home, &run);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let name = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let deleted = flightdeck(&home, &["runs", "delete", &name, "--yes"]);
    assert!(
        stderr(&deleted).contains("was kept"),
        "{}",
        stderr(&deleted)
    );
    let kept = flightdeck(&home, &["runs", "logs", &name]);
    let log = String::from_utf8_lossy(&kept.stdout);
    assert!(
        log.contains("Raise the walls") && log.contains("Pushed"),
        "{log}{}",
        stderr(&kept)
    );
    assert_eq!(
        flightdeck(&home, &["embedded", "stop"]).status.code(),
        Some(0)
    );
}
