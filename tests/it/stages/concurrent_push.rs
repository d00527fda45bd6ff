//! A target branch that moves or is unreadable during publish: commits of others are never lost.

use std::os::unix::fs::PermissionsExt;

use super::bench::{Bench, Ended};
use flightdeck_core::runs::reason;

/// Runs publish with a git wrapper that first runs this script, with git's arguments in `$*`.
fn publishing(bench: &mut Bench, before: &str) -> Ended {
    bench.run_until("publish collect");
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path)
        .map(|folder| folder.join("git"))
        .find(|program| program.is_file())
        .unwrap();
    let programs = bench.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let git = programs.join("git");
    let real = real.display();
    let script = format!("#!/bin/sh\nreal={real}\n{before}\nexec {real} \"$@\"\n");
    std::fs::write(&git, script).unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", programs.display());
    bench.credential.push(("PATH".into(), path));
    bench.stage("publish push")
}

#[test]
fn branch_created_during_the_push_is_not_overwritten() {
    let mut bench = Bench::new();
    let origin = bench.path("origin.git").display().to_string();
    let theirs = bench.commit.clone();
    let before = format!(
        "case \" $* \" in *' push '*) $real -C '{origin}' update-ref refs/heads/docs/run-1 {theirs};; esac"
    );
    let ended = publishing(&mut bench, &before);
    assert_eq!(
        (ended.code, ended.report.pull_request_reason.as_deref()),
        (1, Some("BranchMoved")),
        "{}",
        ended.log
    );
    assert_eq!(bench.origin(&["rev-parse", "docs/run-1"]), theirs);
}

#[test]
fn unreadable_branch_does_not_count_as_absent() {
    let mut bench = Bench::new();
    let before = "case \" $* \" in *' ls-remote '*) echo 'fatal: The requested URL returned error: 403' >&2; exit 128;; esac";
    let ended = publishing(&mut bench, before);
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::PUSH_FAILED)),
        "{}",
        ended.log
    );
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
}
