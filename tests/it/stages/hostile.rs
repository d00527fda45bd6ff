//! A malicious agent that tries to read the Git token or to publish changes outside its task.

use std::fs;

use super::bench::{Bench, Ended};
use flightdeck_core::runs::{RunKind, reason};

const TOKEN: &str = "ghp_a_token_that_must_not_leak";

/// Plants a program that records its environment wherever git could be made to run one, and points every remote at
/// another repository.
const PLANT: &str = r#"
spy="$SPY"
git_dir=$(git rev-parse --git-dir)
mkdir -p "$git_dir/hooks" "$git_dir/info"
for hook in applypatch-msg pre-commit post-commit commit-msg post-checkout post-merge pre-push pre-rebase \
    reference-transaction post-index-change pre-auto-gc post-rewrite fsmonitor-watchman proc-receive update; do
  cp "$spy" "$git_dir/hooks/$hook"
done
git config core.fsmonitor "$spy"
git config core.sshCommand "$spy"
git config core.pager "$spy"
git config core.editor "$spy"
git config core.askPass "$spy"
git config core.gitProxy "$spy"
git config credential.helper "!$spy"
git config diff.external "$spy"
git config gpg.program "$spy"
git config uploadpack.packObjectsHook "$spy"
git config filter.spy.clean "$spy"
git config filter.spy.smudge "$spy"
git config filter.spy.process "$spy"
echo '* filter=spy diff=spy' > "$git_dir/info/attributes"
git config diff.spy.textconv "$spy"
git config "url.$EVIL.insteadOf" "$ORIGIN"
git config "url.$EVIL.pushInsteadOf" "$ORIGIN"
git config remote.origin.url "ext::$spy"
git config remote.origin.promisor true
git config remote.origin.partialCloneFilter blob:none
git config alias.bundle "!$spy"
git config alias.push "!$spy"
cp "$git_dir/config" "$HOME/.gitconfig"
git status > /dev/null 2>&1 || true
"#;

/// Returns a bench whose agent works and then plants [`PLANT`].
fn planted() -> Bench {
    let mut bench = Bench::new();
    bench.credential = vec![("GITHUB_TOKEN".into(), TOKEN.into())];
    let spy = bench.path("spy.sh");
    let seen = bench.path("seen");
    fs::write(
        &spy,
        format!("#!/bin/sh\nenv >> '{}'\nexit 0\n", seen.display()),
    )
    .unwrap();
    fs::set_permissions(&spy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let evil = bench.path("evil.git");
    bench.git(&["init", "-q", "--bare", evil.to_str().unwrap()]);
    bench.agent(&format!(
        "flightdeck agent template\nSPY='{}' EVIL='{}' ORIGIN='{}'\n{PLANT}",
        spy.display(),
        evil.display(),
        bench.path("origin.git").display()
    ));
    bench
}

fn refused(bench: &Bench, reason: &str, word: &str) -> Ended {
    let before = bench.origin(&["for-each-ref"]);
    let ended = bench.run();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert_eq!(
        ended.report.reason.as_deref(),
        Some(reason),
        "{}",
        ended.log
    );
    let message = ended.report.message.clone().unwrap();
    assert!(message.contains(word), "{message}");
    assert_eq!(
        bench.origin(&["for-each-ref"]),
        before,
        "something was pushed"
    );
    ended
}

#[test]
fn planted_programs_do_not_run_in_publish() {
    let bench = planted();
    let agent = bench.run_until("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);
    let seen = bench.path("seen");
    assert!(seen.exists(), "the spy works: the agent's own git ran it");
    fs::remove_file(&seen).unwrap();

    let collect = bench.stage("publish collect");
    assert_eq!(collect.code, 0, "{}", collect.log);
    let push = bench.stage("publish push");
    assert_eq!(push.code, 0, "{}", push.log);
    assert!(
        !seen.exists(),
        "publish ran it: {}",
        fs::read_to_string(seen).unwrap()
    );
    assert_eq!(
        push.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"]))
    );
    let evil = bench.path("evil.git");
    assert_eq!(bench.git(&["ls-remote", evil.to_str().unwrap()]), "");
    for log in [agent.log, collect.log, push.log] {
        assert!(!log.contains(TOKEN));
    }
    assert!(!bench.contains(TOKEN), "the token was written down");
}

#[test]
fn planted_programs_do_not_run_in_a_retry() {
    let mut bench = planted();
    assert_eq!(bench.run().code, 0);
    let seen = bench.path("seen");
    fs::remove_file(&seen).unwrap();
    bench.manifest.context_version = 2;
    for stage in ["prep clone", "prep setup"] {
        let prep = bench.stage(stage);
        assert_eq!(prep.code, 0, "{}", prep.log);
    }
    assert!(
        !seen.exists(),
        "prep ran it: {}",
        fs::read_to_string(seen).unwrap()
    );
}

#[test]
fn committed_plan_change_is_not_pushed() {
    let bench = Bench::new();
    bench.agent(
        "flightdeck agent template; echo '{}' > .taskmaster/tasks/tasks.json; git commit -qam 'new tasks'",
    );
    refused(&bench, reason::OUTSIDE_TASK, ".taskmaster/tasks/tasks.json");
}

#[test]
fn uncommitted_plan_change_is_ignored() {
    let bench = Bench::new();
    bench.agent("flightdeck agent template; echo '{}' > .taskmaster/tasks/tasks.json; echo > stray; git add .");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files.lines().count(), 8, "{files}");
}

#[test]
fn code_run_does_not_push_a_plan_change() {
    let mut bench = Bench::new();
    bench.manifest.kind = RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench.agent(
        "echo x > code; echo '{}' > .taskmaster/tasks/tasks.json; git add . && git commit -qm x",
    );
    refused(&bench, reason::OUTSIDE_TASK, ".taskmaster/tasks/tasks.json");
}

#[test]
fn documents_of_another_task_are_not_pushed() {
    let bench = Bench::new();
    bench.agent(
        "flightdeck agent template; cp -r .taskmaster/docs/task-1 .taskmaster/docs/task-3; git add . && git commit -qm 3",
    );
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let message = ended.report.message.unwrap();
    assert!(
        message.contains(".taskmaster/docs/task-3/task.md"),
        "{message}"
    );
    let files = bench.origin(&["ls-tree", "-r", "--name-only", "docs/run-1"]);
    assert!(
        files.contains("task-2/task.md") && !files.contains("task-3"),
        "{files}"
    );
}

#[test]
fn symlinked_document_is_not_pushed() {
    let bench = Bench::new();
    bench.agent(
        "flightdeck agent template; ln -sf /etc/passwd .taskmaster/docs/task-1/prompt.md; git add . && git commit -qm link",
    );
    refused(
        &bench,
        reason::OUTSIDE_TASK,
        "prompt.md (as a symbolic link)",
    );
}

#[test]
fn unrelated_commits_are_not_pushed() {
    let bench = Bench::new();
    bench.agent(
        "flightdeck agent template; git checkout -q --orphan other && git commit -qm orphan",
    );
    refused(
        &bench,
        reason::OUTSIDE_TASK,
        "are not based on feature/shop",
    );
}

#[test]
fn destroyed_checkout_has_a_clear_error() {
    let bench = Bench::new();
    bench.agent("rm -rf .git");
    let ended = bench.run();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert_eq!(ended.report.reason.as_deref(), Some(reason::AGENT_FAILED));
    assert!(
        ended
            .report
            .message
            .unwrap()
            .contains("a checkout without a commit")
    );
    assert!(bench.checkout().is_dir());
}

#[test]
fn push_does_not_trust_collects_output() {
    let bench = Bench::new();
    bench.run_until("publish collect");
    let collected = bench.handover().join("collect.json");
    let honest = fs::read_to_string(&collected).unwrap();
    for (name, content, expected) in [
        ("work.bundle", "not a bundle", reason::AGENT_FAILED),
        ("collect.json", "{}", reason::PUSH_FAILED),
        ("collect.json", "[]", reason::PUSH_FAILED),
    ] {
        let path = bench.handover().join(name);
        let kept = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let push = bench.stage("publish push");
        assert_eq!(push.code, 1, "{name} {content}: {}", push.log);
        assert_eq!(push.report.reason.as_deref(), Some(expected), "{name}");
        fs::write(&path, kept).unwrap();
    }
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
    // A false base has no effect: the base is read from the clone.
    let base = bench.commit.clone();
    fs::write(&collected, honest.replacen(&base, &"0".repeat(40), 1)).unwrap();
    let push = bench.stage("publish push");
    assert_eq!(push.code, 0, "{}", push.log);
}

#[test]
fn rewritten_base_is_not_a_git_option() {
    let bench = Bench::new();
    bench.agent("flightdeck agent template; echo '\"--help\"' > ../base.json");
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::AGENT_FAILED))
    );
    assert!(
        ended
            .report
            .message
            .unwrap()
            .contains("which commit the agent started from")
    );
}

#[test]
fn symlinked_memory_is_not_kept_for_a_retry() {
    let mut bench = Bench::new();
    bench.run_file("CLAUDE.md", "the run's");
    fs::write(bench.path("secret"), "a secret of the account").unwrap();
    bench.agent(&format!(
        "ln -sf '{}' CLAUDE.md",
        bench.path("secret").display()
    ));
    bench.run_until("agent");
    bench.manifest.context_version = 2;
    bench.agent("cat CLAUDE.md");
    let log = bench.run_until("agent").log;
    assert!(log.starts_with("the run's"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn first_attempt_ignores_planted_files() {
    let mut bench = Bench::new();
    bench.run_file("CLAUDE.md", "the run's");
    // The leftovers of another attempt, with the run's name and with its uid.
    let plant = |folder: std::path::PathBuf| {
        for (path, content) in [
            ("home/.claude/settings.json", "hooks"),
            ("repo/.git/info/exclude", "/CLAUDE.md\n"),
            ("repo/CLAUDE.md", "planted"),
            ("session.json", r#"{"id":"planted","usage":{}}"#),
        ] {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    };
    plant(bench.path("workspace/runs/run-1"));
    plant(bench.run_directory());
    bench.manifest.continue_session = true;
    bench.agent("test ! -e \"$HOME/.claude\" && test -z \"$FD_SESSION\" && cat CLAUDE.md && git commit -qm x --allow-empty");
    let agent = bench.run_until("agent");
    assert_eq!((agent.code, agent.log.as_str()), (0, "the run's"));
}

#[test]
fn agent_cannot_write_the_stages_report() {
    let bench = Bench::new();
    bench.agent(r#"echo '{"commit":"forged","branch":"main"}' > "$TERMINATION_MESSAGE_PATH"; git commit -qm x --allow-empty"#);
    let agent = bench.run_until("agent");
    assert_eq!(
        (agent.code, agent.report.commit, agent.report.branch),
        (0, None, None)
    );
}

#[test]
fn working_directory_outside_the_repository_stops_the_run() {
    let mut bench = Bench::new();
    std::os::unix::fs::symlink("/", bench.path("project/out")).unwrap();
    bench.push("README.md", "a link beside it");
    bench.manifest.working_directory = "out/tmp".into();
    let ended = bench.run();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(
        ended
            .report
            .message
            .unwrap()
            .contains("link out of the repository")
    );
}

/// Returns a code run of task 1.
fn code_bench() -> Bench {
    let mut bench = Bench::new();
    bench.manifest.kind = flightdeck_core::runs::RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench
}

#[test]
fn invalid_git_objects_are_not_pushed() {
    let bench = code_bench();
    // A `.git` folder in a commit would be the agent's repository in every clone.
    bench.agent(
        "set -e
blob=$(echo x | git hash-object -w --stdin)
tree=$( (git ls-tree HEAD; printf '100644 blob %s\\t.git\\n' $blob) | git mktree)
git update-ref HEAD $(git commit-tree -p HEAD -m x $tree)
echo work > work.txt",
    );
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::AGENT_FAILED)),
        "{}",
        ended.log
    );
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
}

#[test]
fn file_moved_to_the_plans_path_is_not_pushed() {
    let bench = code_bench();
    bench.push("notes.json", "{\"master\":{\"tasks\":[]}}");
    bench.agent(
        "mkdir -p web/.taskmaster/tasks && git mv notes.json web/.taskmaster/tasks/tasks.json && git commit -qm move",
    );
    refused(
        &bench,
        reason::OUTSIDE_TASK,
        "web/.taskmaster/tasks/tasks.json",
    );
}

/// Creates a source branch that ends with a merge of a fix, cloned with its history.
fn merged_fix(mut bench: Bench) -> Bench {
    bench.git(&["checkout", "-qb", "fix"]);
    bench.write("auth.rs", "the fix");
    bench.git(&["add", "."]);
    bench.git(&["commit", "-qm", "fix"]);
    bench.git(&["checkout", "-q", "feature/shop"]);
    bench.push("README.md", "meanwhile");
    bench.git(&["merge", "-q", "--no-edit", "fix"]);
    bench.git(&["push", "-q", "origin", "feature/shop"]);
    bench.manifest.layout.depth = 0;
    bench
}

/// Commits a document on the tree of one parent of a merge, with both parents: merging it reverts the other parent.
const CRISS_CROSS: &str = "set -e
merge=$(git rev-parse HEAD)
git checkout -q $merge^1
mkdir -p .taskmaster/docs/task-1; echo x > .taskmaster/docs/task-1/task.md; git add .
git reset -q --hard $(git commit-tree -p $merge^1 -p $merge^2 -m documents $(git write-tree))";

#[test]
fn work_with_two_merge_bases_is_not_pushed() {
    for bench in [Bench::new(), code_bench()] {
        let bench = merged_fix(bench);
        bench.agent(CRISS_CROSS);
        refused(&bench, reason::OUTSIDE_TASK, "have 2 merge bases");
    }
}

#[test]
fn docs_run_does_not_push_a_merge() {
    let bench = Bench::new();
    bench.agent(
        "flightdeck agent template; git reset -q --hard $(git commit-tree -p HEAD~2 -p HEAD -m merge HEAD^{tree})",
    );
    refused(&bench, reason::OUTSIDE_TASK, "is a merge");
}

#[test]
fn code_run_may_only_merge_its_source_branch() {
    let bench = merged_fix(code_bench());
    let work = "set -e; merge=$(git rev-parse HEAD); git checkout -q --detach $merge^1
echo x > new; git add new; git commit -qm work";
    bench.agent(&format!("{work}; git merge -q --no-edit $merge"));
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "new");

    bench.origin(&["branch", "-D", "docs/run-1"]);
    bench.agent(&format!(
        "{work}; work=$(git rev-parse HEAD); git checkout -q --detach $merge
echo y > more; git add more; git commit -qm more; git merge -q --no-edit $work"
    ));
    refused(&bench, reason::OUTSIDE_TASK, "merges something other");
}

#[test]
fn merge_that_reverts_the_plan_is_not_pushed() {
    let bench = merged_fix(code_bench());
    bench.agent(
        "set -e; base=$(git rev-parse HEAD); git checkout -q --detach $base^1
echo x > new; git add new; git commit -qm work
git merge -q --no-commit $base; git rm -q .taskmaster/tasks/tasks.json; git commit -qm merge
git checkout -q $base -- .taskmaster; git commit -qm back",
    );
    refused(
        &bench,
        reason::OUTSIDE_TASK,
        ".taskmaster/tasks/tasks.json (in an earlier commit)",
    );
}

#[test]
fn reverted_commit_is_not_pushed() {
    let bench = Bench::new();
    bench.agent(
        "set -e; echo x > secret.txt; git add .; git commit -qm secret; git rm -q secret.txt; git commit -qm gone
flightdeck agent template",
    );
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let message = ended.report.message.unwrap();
    assert!(
        message.contains("secret.txt (in an earlier commit)"),
        "{message}"
    );
    let secret = bench.origin(&["log", "--format=%H", "docs/run-1", "--", "secret.txt"]);
    assert_eq!(secret, "");
}
