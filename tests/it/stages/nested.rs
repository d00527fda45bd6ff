//! Repositories that an agent leaves within the repository: a push takes a link to each, and not one of its files.

use super::bench::{Bench, Ended};
use flightdeck_core::runs::{RunKind, reason};

/// A code run of task 1 whose agent does this beside its work.
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
fn a_repository_committed_as_a_link_is_refused_with_its_place_and_what_to_do() {
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
fn a_repository_without_a_commit_keeps_nothing_else_from_being_committed() {
    let (bench, ended) = run(NEW);
    assert_eq!(ended.code, 1, "{}", ended.log);
    let git = |arguments: &[&str]| bench.git_in(&bench.checkout(), arguments);
    let files = git(&["diff", "--name-only", &bench.commit, "HEAD"]);
    assert_eq!(files, "work.txt");
}

#[test]
fn a_submodule_with_an_address_is_published_as_what_it_is() {
    let (bench, ended) = run(&format!(
        "{NEW} && {COMMIT} && git config -f .gitmodules submodule.lib.path vendor/lib \
         && git config -f .gitmodules submodule.lib.url https://example.com/lib.git"
    ));
    assert_eq!(ended.code, 0, "{}", ended.log);
    let tree = bench.origin(&["ls-tree", "docs/run-1", "vendor/"]);
    assert!(tree.starts_with("160000 commit"), "{tree}");
}
