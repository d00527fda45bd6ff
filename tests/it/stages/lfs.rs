//! Files in Git LFS, among them the plan.

use std::process::Command;

use super::bench::{Bench, PLAN};
use crate::support;
use flightdeck_core::runs::RunKind;

const PATH: &str = ".taskmaster/tasks/tasks.json";

fn pointer(oid: &str, size: usize) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

#[test]
fn plan_pointer_without_git_lfs_stops_the_run() {
    let mut bench = Bench::new();
    bench.push(PATH, &pointer(&"ab".repeat(32), 7));
    bench.claim(PATH);
    let prep = bench.stage("prep clone");
    // With git-lfs the content is missing at the remote, without it git-lfs is missing.
    prep.has_not_cloned();
    let message = prep.report.message.unwrap();
    assert!(
        message.starts_with(&format!("{PATH} at commit ")) && message.contains("a Git LFS pointer"),
        "{message}"
    );
}

#[test]
fn code_run_without_git_lfs_continues() {
    if has_lfs() {
        return support::skipped("code_run_without_git_lfs_continues", "git-lfs is installed");
    }
    let bench = code_bench();
    bench.push(".gitattributes", "*.bin filter=lfs\n");
    bench.push("a.bin", &pointer(&"ab".repeat(32), 7));
    bench.agent("grep -q git-lfs a.bin && echo > new");
    let prep = bench.stage("prep clone");
    assert!(
        prep.log.contains("git-lfs is not installed"),
        "{}",
        prep.log
    );
    let agent = bench.run_until("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);
}

#[test]
fn lfs_files_are_readable_and_published_as_pointers() {
    const NAME: &str = "lfs_files_are_readable_and_published_as_pointers";
    if !has_lfs() {
        return support::skipped(NAME, "git-lfs is not installed");
    }
    let mut bench = code_bench();
    bench.git(&["lfs", "install", "--local", "--skip-repo"]);
    bench.push(
        ".gitattributes",
        "*.bin filter=lfs\ntasks.json filter=lfs\n",
    );
    bench.push("a $(b) [c].bin", "content of the file");
    bench.push(PATH, &format!("{PLAN}\n"));
    bench.git(&["lfs", "push", "--all", "origin"]);
    bench.claim(PATH);
    assert!(
        bench
            .git(&["show", &format!("HEAD:{PATH}")])
            .contains("oid sha256:")
    );
    bench.agent(&format!(
        "grep -q 'content of the file' 'a $(b) [c].bin' && grep -q protobufs {PATH} \
         && echo more >> 'a $(b) [c].bin' && echo x > new && test -z \"$(git status --porcelain | grep -v new)\""
    ));
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "new");
}

fn has_lfs() -> bool {
    let version = Command::new("git").args(["lfs", "version"]).output();
    version.is_ok_and(|ended| ended.status.success())
}

/// Returns a code run of task 1.
fn code_bench() -> Bench {
    let mut bench = Bench::new();
    bench.manifest.kind = RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench
}
