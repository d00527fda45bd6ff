//! Repositories that an agent leaves in the checkout: a push would contain only links to them.

use super::bench::{Bench, Ended};
use flightdeck_core::runs::{RunKind, reason};

/// Runs a code run of task 1 whose agent also runs this script.
fn run(script: &str) -> (Bench, Ended) {
    let mut bench = Bench::new();
    bench.manifest.kind = RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench.agent(&format!("set -e\necho work > work.txt\n{script}"));
    let ended = bench.run();
    (bench, ended)
}

const NEW: &str = "mkdir -p vendor/lib && cd vendor/lib && git init -q . && echo code > lib.rs";
const COMMIT: &str = "git add . && git -c user.name=a -c user.email=a@b commit -qm lib && cd ../..";

#[test]
fn nested_repository_is_refused_with_a_hint() {
    for (what, script) in [
        ("left to us", format!("{NEW} && {COMMIT}")),
        (
            "committed by the agent",
            format!("{NEW} && {COMMIT} && git add -A && git commit -qm all"),
        ),
        ("without a commit", NEW.to_owned()),
        ("nothing else", format!("rm work.txt && {NEW}")),
    ] {
        let (bench, ended) = run(&script);
        assert_eq!(
            (ended.code, ended.report.reason.as_deref()),
            (1, Some(reason::NESTED_REPOSITORY)),
            "{what}: {}",
            ended.log
        );
        let message = ended.report.message.unwrap();
        for word in ["vendor/lib", "runs/0f2c6c1e/repo", "added context", ".git"] {
            assert!(message.contains(word), "{what}: {word}: {message}");
        }
        assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "", "{what}");
        let kept = std::fs::read_to_string(bench.checkout().join("vendor/lib/lib.rs"));
        assert_eq!(kept.unwrap(), "code\n", "{what}");
    }
}

#[test]
fn nested_repository_does_not_block_other_files() {
    let (bench, ended) = run(NEW);
    assert_eq!(ended.code, 1, "{}", ended.log);
    let git = |arguments: &[&str]| bench.git_in(&bench.checkout(), arguments);
    let files = git(&["diff", "--name-only", &bench.commit, "HEAD"]);
    assert_eq!(files, "work.txt");
}

#[test]
fn new_submodule_with_a_url_is_published() {
    let (bench, ended) = run(&format!(
        "{NEW} && {COMMIT} && git config -f .gitmodules submodule.lib.path vendor/lib \
         && git config -f .gitmodules submodule.lib.url https://example.com/lib.git"
    ));
    assert_eq!(ended.code, 0, "{}", ended.log);
    let tree = bench.origin(&["ls-tree", "docs/run-1", "vendor/"]);
    assert!(tree.starts_with("160000 commit"), "{tree}");
}
