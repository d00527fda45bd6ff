//! `flightdeck preflight` as a script meets it: verdicts, exit codes, fixes that ask and fixes that do not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{git, sample_project};

/// The program, on the project, with a home and a git of its own.
fn command(project: &Path, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
    command
        .arg("--home")
        .arg(home)
        .args(["--repo", project.to_str().unwrap()])
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// Asks about a docs run of task 1 with the agent that is part of the program. Standard input is no terminal.
fn preflight_command(project: &Path, home: &Path, more: &[&str]) -> Command {
    let mut command = command(project, home);
    command
        .args(["preflight", "--task", "1"])
        .args(["--agent", "template", "-o", "json"])
        .args(more);
    command
}

/// The same, and what came of it.
fn preflight(project: &Path, home: &Path, more: &[&str]) -> (Output, Value) {
    let output = preflight_command(project, home, more).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, report)
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_plan_that_is_not_pushed_is_put_right_when_one_says_yes_and_only_then() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (output, report) = preflight(&project, &home, &[]);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    // No cluster was started to say so.
    assert_eq!(check(&report, "cluster")["verdict"], "pass");
    assert_eq!(check(&report, "controller")["verdict"], "pass");
    assert_eq!(check(&report, "secrets")["verdict"], "pass");
    assert_ne!(check(&report, "quota")["message"], "");
    assert!(!home.join("state/embedded/endpoint.json").exists());

    let plan = project.join(".taskmaster/tasks/tasks.json");
    let edited = fs::read_to_string(&plan).unwrap().replace("Lay", "Dig");
    fs::write(&plan, edited).unwrap();
    fs::write(project.join("README.md"), "mine").unwrap();
    let head = git(&project, &["rev-parse", "HEAD"]);
    let (output, report) = preflight(&project, &home, &[]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(check(&report, "tasks-committed")["fix"], "commit");
    assert_eq!(check(&report, "tasks-pushed")["fix"], "commit-and-push");

    // Nobody to ask: refused, and nothing done.
    let (output, report) = preflight(&project, &home, &["--fix"]);
    assert_eq!((output.status.code(), report), (Some(2), Value::Null));
    assert!(said(&output).contains("--yes"), "{}", said(&output));
    assert_eq!(git(&project, &["rev-parse", "HEAD"]), head);

    let (output, report) = preflight(&project, &home, &["--fix", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(check(&report, "tasks-pushed")["verdict"], "pass");
    let words = said(&output);
    assert!(
        words.contains("Pushes 1 commit to origin/feature/plan")
            && words.contains("$ git --literal-pathspecs commit --only"),
        "{words}"
    );
    assert_eq!(git(&project, &["status", "--porcelain"]), "M README.md");
}

#[test]
fn a_failed_check_is_passed_over_by_name_and_reason_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    git(&project, &["checkout", "-q", "--detach"]);
    let (output, report) = preflight(&project, &home, &["--override", "branch=a look only"]);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["overridden"]["branch"], "a look only");
    assert_eq!(check(&report, "branch")["verdict"], "fail");
    for wrong in ["branch", "branch=", "brunch=x"] {
        let (output, _) = preflight(&project, &home, &["--override", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_push_that_a_hook_stops_is_said_with_what_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    fs::write(
        project.join(".taskmaster/tasks/tasks.json"),
        "{\"master\": {\"tasks\": [{\"id\": 1, \"title\": \"x\"}]}}",
    )
    .unwrap();
    let hook = directory.path().join("shop.git/hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (output, _) = preflight(&project, &home, &["--fix", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(
        words.contains("not on a Friday") && words.contains("already done: commit"),
        "{words}"
    );
}

#[test]
fn an_ssh_remote_is_asked_with_the_ssh_and_the_agent_of_the_person() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (program, seen) = (directory.path().join("ssh"), directory.path().join("seen"));
    // Does here what it would do there, and writes down which agent it was given.
    let script = format!(
        "#!/bin/sh\necho \"$SSH_AUTH_SOCK $*\" > {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        seen.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let origin = directory.path().join("shop.git");
    let url = format!("ssh://git@forge.example{}", origin.display());
    git(&project, &["remote", "set-url", "origin", &url]);
    git(&project, &["config", "ssh.variant", "ssh"]);
    let output = preflight_command(&project, &home, &[])
        .env("GIT_SSH_COMMAND", &program)
        .env("SSH_AUTH_SOCK", "/run/agent.sock")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(check(&report, "remote")["verdict"], "pass", "{report:#}");
    assert_eq!(check(&report, "tasks-pushed")["verdict"], "pass");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.starts_with("/run/agent.sock ") && seen.contains("git@forge.example"),
        "{seen}"
    );
}

#[test]
fn a_launch_asks_the_remote_again_and_is_refused_where_it_moved_since_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (_, report) = preflight(&project, &home, &[]);
    assert_eq!(check(&report, "tasks-pushed")["verdict"], "pass");
    let colleague = directory.path().join("colleague");
    let (origin, place) = (
        directory.path().join("shop.git"),
        colleague.to_str().unwrap(),
    );
    let clone = [
        "clone",
        "-q",
        "-b",
        "feature/plan",
        origin.to_str().unwrap(),
        place,
    ];
    git(directory.path(), &clone);
    fs::write(
        colleague.join(".taskmaster/tasks/tasks.json"),
        "{\"master\": {\"tasks\": [{\"id\": 1, \"title\": \"Initialize Express\"}]}}",
    )
    .unwrap();
    git(&colleague, &["commit", "-q", "-a", "-m", "Another plan"]);
    git(&colleague, &["push", "-q"]);
    let output = command(&project, &home)
        .args(["run", "docs", "--task", "1", "--agent", "template"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(
        said(&output).contains("origin/feature/plan has 1 task, first \"Initialize Express\""),
        "{}",
        said(&output)
    );
    // A refused launch begins nothing.
    assert!(!home.join("state/embedded").exists());
}
