//! `flightdeck preflight` in scripts: verdicts, exit codes, and fixes with and without confirmation.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{git, sample_project};

/// Returns the program for a project, with its own home directory and isolated from the git configuration.
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

/// Returns the check of a docs run of task 1 with the built-in agent. Stdin is not a terminal.
fn preflight_command(project: &Path, home: &Path, more: &[&str]) -> Command {
    let mut command = command(project, home);
    command
        .args(["preflight", "--task", "1"])
        .args(["--agent", "template", "-o", "json"])
        .args(more);
    command
}

/// Runs the check. Returns the output and the report.
fn preflight(project: &Path, home: &Path, more: &[&str]) -> (Output, Value) {
    let output = preflight_command(project, home, more).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, report)
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn fix_commits_and_pushes_only_after_confirmation() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (output, report) = preflight(&project, &home, &[]);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    // The check did not start a cluster.
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

    // Without a terminal to ask, nothing is done.
    let (output, report) = preflight(&project, &home, &["--fix"]);
    assert_eq!((output.status.code(), report), (Some(2), Value::Null));
    assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    assert_eq!(git(&project, &["rev-parse", "HEAD"]), head);

    let (output, report) = preflight(&project, &home, &["--fix", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(check(&report, "tasks-pushed")["verdict"], "pass");
    let words = stderr(&output);
    assert!(
        words.contains("Pushes 1 commit to origin/feature/plan")
            && words.contains("$ git --literal-pathspecs commit --only"),
        "{words}"
    );
    assert_eq!(git(&project, &["status", "--porcelain"]), "M README.md");
}

#[test]
fn override_needs_a_check_and_a_reason() {
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
fn rejected_push_reports_the_commit_that_was_made() {
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
    let words = stderr(&output);
    assert!(
        words.contains("not on a Friday") && words.contains("already done: commit"),
        "{words}"
    );
}

#[test]
fn ssh_remote_uses_the_users_ssh_and_agent() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (program, seen) = (directory.path().join("ssh"), directory.path().join("seen"));
    // Runs the remote command locally, and records the SSH agent.
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
fn launch_is_blocked_if_the_remote_changed_since_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let (project, home) = (directory.path().join("shop"), directory.path().join("home"));
    sample_project(&project);
    let (_, report) = preflight(&project, &home, &[]);
    assert_eq!(check(&report, "tasks-pushed")["verdict"], "pass");
    let colleague = directory.path().join("colleague");
    let (origin, target) = (
        directory.path().join("shop.git"),
        colleague.to_str().unwrap(),
    );
    let clone = [
        "clone",
        "-q",
        "-b",
        "feature/plan",
        origin.to_str().unwrap(),
        target,
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
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("origin/feature/plan has 1 task, first \"Initialize Express\""),
        "{}",
        stderr(&output)
    );
    // A blocked launch starts nothing.
    assert!(!home.join("state/embedded").exists());
}
