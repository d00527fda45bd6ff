//! The stages of a run, each as the process a pod runs, against real repositories.

mod bench;
mod concurrent_push;
mod credentials;
mod hostile;
mod lfs;
mod nested;
mod prep;
mod proxy;
mod pull_requests;
mod ssh;

use std::fs;

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use bench::{Bench, PLAN};
use flightdeck_core::runs::reason;

#[test]
fn docs_run_pushes_its_branch() {
    let bench = Bench::new();
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let documents = ended.report.documents.unwrap();
    assert_eq!((documents.expected, documents.written), (8, 8));
    assert_eq!(ended.report.branch.as_deref(), Some("docs/run-1"));
    assert_eq!(
        ended.report.pull_request_reason.as_deref(),
        Some(reason::NO_FORGE)
    );
    let tip = bench.origin(&["rev-parse", "docs/run-1"]);
    assert_eq!(ended.report.commit.as_deref(), Some(tip.as_str()));
    // One commit per task by the agent, on top of the cloned commit.
    let log = bench.origin(&["log", "--format=%an %s", "feature/shop..docs/run-1"]);
    assert_eq!(
        log,
        "Flightdeck agent docs(task-2): Define protobufs\nFlightdeck agent docs(task-1): Setup repository"
    );
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files.lines().count(), 8, "{files}");
    let document = bench.origin(&["show", "docs/run-1:.taskmaster/docs/task-1/task.md"]);
    assert!(document.contains("Create the workspace."), "{document}");
}

#[test]
fn prep_reports_the_commit_and_agent_its_usage() {
    let bench = Bench::new();
    let head = bench.origin(&["rev-parse", "feature/shop"]);
    for stage in ["prep clone", "prep setup"] {
        let prep = bench.stage(stage);
        assert_eq!(prep.code, 0, "{}", prep.log);
        assert_eq!(prep.report.commit.as_deref(), Some(head.as_str()));
        assert_eq!(prep.report.tasks, Some(3));
        assert_eq!(
            prep.report.tasks_verified.as_deref(),
            Some(reason::VERIFIED)
        );
        assert_eq!(prep.report.tasks_blob, Some(bench.blob.clone()));
    }
    let agent = bench.stage("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);
    assert_eq!(agent.report.session_id.as_deref(), Some("template-run-1"));
    assert!(agent.report.usage.unwrap().turns > 8);
    let last = agent.log.lines().last().unwrap();
    assert!(last.contains(r#""subtype":"success""#), "{last}");
}

#[test]
fn changed_tasks_stop_prep_and_both_revisions_are_named() {
    let bench = Bench::new();
    let old = bench.commit.clone();
    let new = bench.push(
        ".taskmaster/tasks/tasks.json",
        &PLAN.replace("Setup repository", "Initialize Express"),
    );
    let prep = bench.stage("prep clone");
    assert_eq!(prep.code, 65, "{}", prep.log);
    assert_eq!(prep.report.reason.as_deref(), Some(reason::TASKS_MISMATCH));
    let message = prep.report.message.unwrap();
    let blob = bench.origin(&["rev-parse", "feature/shop:.taskmaster/tasks/tasks.json"]);
    for word in [&bench.blob, &blob, &old, &new] {
        assert!(message.contains(word.as_str()), "{message}");
    }
    assert!(prep.log.contains(&message), "the log says it too");
}

#[test]
fn later_commits_with_equal_tasks_are_accepted() {
    let bench = Bench::new();
    let new = bench.push("README.md", "new");
    let prep = bench.stage("prep clone");
    assert_eq!(
        (prep.code, prep.report.commit),
        (0, Some(new)),
        "{}",
        prep.log
    );
}

#[test]
fn reads_the_plan_from_the_commit_not_the_working_copy() {
    let bench = Bench::new();
    bench.write(
        ".taskmaster/tasks/tasks.json",
        &PLAN.replace("Create the workspace.", "INVENTED"),
    );
    assert_eq!(bench.run().code, 0);
    let document = bench.origin(&["show", "docs/run-1:.taskmaster/docs/task-1/task.md"]);
    assert!(!document.contains("INVENTED") && document.contains("Create the workspace."));
}

#[test]
fn reads_the_plan_of_a_subfolder_before_the_roots() {
    let mut bench = Bench::new();
    let plan = PLAN.replace("Create the workspace.", "In the subfolder.");
    bench.push("apps/web/.taskmaster/tasks/tasks.json", &plan);
    bench.claim("apps/web/.taskmaster/tasks/tasks.json");
    bench.manifest.working_directory = "apps/web".into();
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let document = bench.origin(&[
        "show",
        "docs/run-1:apps/web/.taskmaster/docs/task-1/task.md",
    ]);
    assert!(document.contains("In the subfolder."));
}

#[test]
fn code_run_publishes_uncommitted_changes() {
    let mut bench = Bench::new();
    bench.manifest.kind = flightdeck_core::runs::RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench.agent("mkdir -p src && echo code > src/lib.rs && flightdeck agent template");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "docs/flightdeck/task-1.md\nsrc/lib.rs");
}

#[test]
fn run_files_are_not_committed_and_replace_no_tracked_file() {
    let mut bench = Bench::new();
    bench.manifest.kind = flightdeck_core::runs::RunKind::Code;
    bench.manifest.task_ids = vec!["1".into()];
    bench.push("CLAUDE.md", "the repository's own");
    bench.run_file("CLAUDE.md", "the run's");
    bench.agent("cat CLAUDE.md CLAUDE.local.md && git status --porcelain && echo > new");
    let agent = bench.run_until("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);
    assert!(
        agent.log.starts_with("the repository's ownthe run's"),
        "{}",
        agent.log
    );
    bench.stage("publish collect");
    bench.stage("publish push");
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files, "new");
}

#[test]
fn starting_over_keeps_only_the_memory() {
    let mut bench = Bench::new();
    bench.run_file("CLAUDE.md", "told");
    bench.agent("echo learnt >> CLAUDE.md; echo x > \"$HOME/session\"; echo > scratch");
    bench.run_until("agent");
    bench.manifest.context_version = 2;
    bench.agent("cat CLAUDE.md; echo; test ! -e \"$HOME/session\" && test ! -e scratch && git commit -qm x --allow-empty");
    let kept = bench.run_until("agent");
    assert_eq!(kept.code, 0, "{}", kept.log);
    assert!(kept.log.starts_with("toldlearnt"), "{}", kept.log);
    bench.manifest.overwrite_memory = true;
    bench.agent("cat CLAUDE.md");
    let anew = bench.run_until("agent");
    assert!(
        anew.log.starts_with("told\nCommitted") || anew.log.starts_with("told"),
        "{}",
        anew.log
    );
}

#[test]
fn continuing_attempt_has_checkout_session_and_verified_plan() {
    let mut bench = Bench::new();
    bench.manifest.continue_session = true;
    let session = r#"echo '{"type":"system","subtype":"init","session_id":"s-1"}'"#;
    bench.agent(&format!(
        "test -z \"$FD_SESSION\" && echo > scratch && {session}"
    ));
    assert_eq!(bench.run_until("agent").code, 0);
    bench.manifest.context_version = 2;
    bench.agent(&format!(
        "test \"$FD_SESSION\" = s-1 && test -e scratch && {session}"
    ));
    let first = bench.commit.clone();
    bench.push("README.md", "later work");
    let setup = bench.run_until("prep setup");
    assert_eq!(setup.report.commit.as_ref(), Some(&first), "{}", setup.log);
    let agent = bench.stage("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);

    // The plan changed at the remote: the work goes on with the verified one, which is not committed.
    bench.push(
        ".taskmaster/tasks/tasks.json",
        &PLAN.replace("Messages.", "Others."),
    );
    bench.claim(".taskmaster/tasks/tasks.json");
    bench.agent(&format!(
        "test -e scratch && grep -q Others .taskmaster/tasks/tasks.json && test -z \"$(git status --porcelain .taskmaster)\" && {session}"
    ));
    let agent = bench.run_until("agent");
    assert_eq!(agent.code, 0, "{}", agent.log);
    assert_eq!(bench.stage("publish collect").code, 0);
}

#[test]
fn agent_that_does_nothing_is_a_failure() {
    let bench = Bench::new();
    bench.agent("echo 'usage limit reached'");
    let ended = bench.run_until("agent");
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::AGENT_NOT_STARTED))
    );
    let message = ended.report.message.unwrap();
    assert!(message.ends_with("usage limit reached"), "{message}");
}

#[test]
fn agent_that_hangs_after_its_result_is_ended() {
    let bench = Bench::new();
    let lines = r#"echo '{"type":"system","subtype":"init","session_id":"s"}'; echo '{"type":"result","subtype":"success","is_error":false,"session_id":"s"}'"#;
    bench.agent(&format!("{lines}; sleep 600"));
    let ended = bench.run_until("agent");
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(ended.log.contains("did not exit"), "{}", ended.log);
}

/// A docs run of two tasks whose agent writes those of the first, then is killed.
fn killed_half_way() -> Bench {
    let bench = Bench::new();
    bench.agent("echo $$ > \"$HOME/pid\"; mkdir -p .taskmaster/docs/task-1 && cd .taskmaster/docs/task-1 && for f in task prompt design-spec acceptance-criteria; do echo x > $f.md; done; echo stray > ../../../stray; echo written; sleep 600");
    assert_eq!(bench.run_until("prep setup").code, 0);
    let mut agent = bench.start("agent");
    assert_eq!(agent.first_line(), "written\n");
    agent.kill();
    // On a cluster the container's processes end with it.
    let pid = fs::read_to_string(bench.run_directory().join("home/pid")).unwrap();
    let group = Pid::from_raw(pid.trim().parse().unwrap());
    killpg(group, Signal::SIGKILL).unwrap();
    bench
}

#[test]
fn finished_documents_of_a_killed_agent_are_pushed() {
    let mut bench = killed_half_way();
    assert_eq!(bench.stage("publish collect").code, 0);
    bench.agent_failure = Some("PodLost".into());
    let pushed = bench.stage("publish push");
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    let report = pushed.report;
    assert_eq!(report.pull_request_reason.as_deref(), Some(reason::PARTIAL));
    assert_eq!(
        report.message.as_deref(),
        Some("4 of 8 documents pushed to docs/run-1")
    );
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files.lines().count(), 4, "{files}");

    // The next attempt has them, and does only the rest.
    bench.agent_failure = None;
    bench.manifest.context_version = 2;
    bench.manifest.continue_session = true;
    bench.manifest.pushed_branch = Some("docs/run-1".into());
    bench.agent("flightdeck agent template");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.report.branch.as_deref(), Some("docs/run-1"));
    let first = bench.origin(&["show", "docs/run-1:.taskmaster/docs/task-1/task.md"]);
    assert_eq!(first, "x", "kept");
}

#[test]
fn complete_documents_of_a_failed_agent_are_published() {
    let mut bench = Bench::new();
    assert_eq!(bench.run_until("publish collect").code, 0);
    bench.agent_failure = Some("BudgetExceeded".into());
    let pushed = bench.stage("publish push");
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    // There is no forge here.
    assert_eq!(
        pushed.report.pull_request_reason.as_deref(),
        Some(reason::NO_FORGE)
    );
}

#[test]
fn stray_change_is_left_out_and_named() {
    let bench = Bench::new();
    bench.agent("flightdeck agent template; echo more >> README.md; git add README.md; git commit -qm stray");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let message = ended.report.message.unwrap();
    assert!(
        message.contains("left out 1 change outside the task: README.md"),
        "{message}"
    );
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files.lines().count(), 8, "{files}");
    let commits = bench.origin(&["rev-list", "--count", "feature/shop..docs/run-1"]);
    assert_eq!(commits, "1");
}

#[test]
fn refused_work_is_in_the_log_and_published_once_accepted() {
    let mut bench = Bench::new();
    bench.agent("flightdeck agent template; mkdir -p .github/workflows; echo on: push > .github/workflows/x.yml; git add .github; git commit -qm ci");
    let refused = bench.run();
    assert_eq!(refused.report.reason.as_deref(), Some(reason::OUTSIDE_TASK));
    let patch = flightdeck_core::runs::patch::find(refused.log.lines()).unwrap();
    bench.write("work.patch", &patch);
    bench.git(&["apply", "--check", "work.patch"]);
    assert!(patch.contains("+on: push"), "{patch}");

    bench.manifest.context_version = 2;
    bench.manifest.continue_session = true;
    bench.manifest.accepted_paths = vec![".github/workflows/x.yml".into()];
    assert_eq!(bench.stage("publish collect").code, 0);
    let pushed = bench.stage("publish push");
    assert_eq!(pushed.code, 0, "{}", pushed.log);
    let files = bench.origin(&["diff", "--name-only", "feature/shop", "docs/run-1"]);
    assert_eq!(files.lines().count(), 9, "{files}");
}

#[test]
fn project_behind_a_symlink_keeps_its_tracked_memory() {
    let mut bench = Bench::new();
    std::os::unix::fs::symlink("web", bench.path("project/app")).unwrap();
    bench.push("web/CLAUDE.md", "the repository's own");
    bench.manifest.working_directory = "app".into();
    bench.run_file("CLAUDE.md", "the run's");
    bench.agent("cat CLAUDE.md; git status --porcelain");
    let agent = bench.run_until("agent");
    assert!(
        agent.log.starts_with("the repository's own"),
        "{}",
        agent.log
    );
}

#[test]
fn run_without_changes_publishes_nothing() {
    let bench = Bench::new();
    bench.agent(r#"echo '{"type":"system","subtype":"init","session_id":"s"}'"#);
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::NO_CHANGES))
    );
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
}

#[test]
fn run_with_complete_documents_succeeds_without_a_push() {
    let bench = Bench::new();
    assert_eq!(bench.run().code, 0);
    bench.origin(&["update-ref", "refs/heads/feature/shop", "docs/run-1"]);
    bench.origin(&["branch", "-D", "docs/run-1"]);
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason),
        (0, None),
        "{}",
        ended.log
    );
    assert!(ended.report.message.unwrap().contains("already"));
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
}

#[test]
fn missing_documents_fail_the_run_but_push_the_branch() {
    let bench = Bench::new();
    bench.agent("mkdir -p .taskmaster/docs/task-1 && cd .taskmaster/docs/task-1 && echo x > task.md && : > prompt.md");
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::INCOMPLETE))
    );
    let documents = ended.report.documents.unwrap();
    assert_eq!((documents.expected, documents.written), (8, 1));
    assert!(
        documents
            .missing
            .contains(&".taskmaster/docs/task-1/prompt.md".to_owned())
    );
    assert_eq!(
        ended.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"]))
    );
}

/// An agent that writes only some of the documents.
const INCOMPLETE: &str =
    "mkdir -p .taskmaster/docs/task-1 && echo x > .taskmaster/docs/task-1/task.md";

#[test]
fn new_attempt_does_not_replace_pushed_commits() {
    let mut bench = Bench::new();
    bench.agent(INCOMPLETE);
    let first = bench.run();
    assert_eq!(first.report.reason.as_deref(), Some(reason::INCOMPLETE));
    assert_eq!(first.report.branch.as_deref(), Some("docs/run-1"));
    bench.manifest.context_version = 2;
    bench.agent("flightdeck agent template");
    let second = bench.run();
    assert_eq!(second.code, 0, "{}", second.log);
    assert_eq!(second.report.branch.as_deref(), Some("docs/run-1-v2"));
    for (branch, commit) in [
        ("docs/run-1", first.report.commit),
        ("docs/run-1-v2", second.report.commit.clone()),
    ] {
        assert_eq!(Some(bench.origin(&["rev-parse", branch])), commit);
    }
    let note = "docs/run-1 holds the commits of an earlier attempt; pushed to docs/run-1-v2";
    let message = second.report.message.clone().unwrap();
    assert!(message.ends_with(note), "{message}");
    assert!(second.log.contains(&format!("{note}.")), "{}", second.log);

    // Publishing again finds the branch, in this attempt or in the next one, which starts at publish.
    for version in [2, 3] {
        bench.manifest.context_version = version;
        let again = bench.stage("publish push");
        assert_eq!(again.report, second.report, "{}", again.log);
    }
    let branches = bench.origin(&["branch", "--list", "docs/*"]);
    assert_eq!(branches.lines().count(), 2, "{branches}");
}

#[test]
fn alternative_branch_is_not_replaced() {
    let mut bench = Bench::new();
    bench.agent(INCOMPLETE);
    bench.run();
    // One has a colleague's commits, the other is an ancestor of every attempt.
    bench.git(&["checkout", "-qb", "mine"]);
    bench.git(&["commit", "-q", "--allow-empty", "-m", "mine"]);
    bench.git(&["push", "-q", "origin", "mine:docs/run-1-v2"]);
    bench.git(&["push", "-q", "origin", "mine~1:refs/heads/docs/run-1-v2-2"]);
    bench.manifest.context_version = 2;
    // Other content: within one second, the same content would be the same commit.
    bench.agent(&INCOMPLETE.replace("echo x", "echo y"));
    let ended = bench.run();
    assert_eq!(
        ended.report.reason.as_deref(),
        Some(reason::INCOMPLETE),
        "{}",
        ended.log
    );
    assert_eq!(ended.report.branch.as_deref(), Some("docs/run-1-v2-3"));
    let message = ended.report.message.unwrap();
    assert!(message.ends_with("pushed to docs/run-1-v2-3"), "{message}");
    for (branch, commit) in [("docs/run-1-v2", "mine"), ("docs/run-1-v2-2", "mine~1")] {
        let tip = bench.origin(&["rev-parse", branch]);
        assert_eq!(tip, bench.git(&["rev-parse", commit]), "{branch}");
    }
}

#[test]
fn continuing_attempt_fast_forwards_its_branch() {
    let mut bench = Bench::new();
    bench.manifest.continue_session = true;
    bench.agent(INCOMPLETE);
    let first = bench.run().report.commit.unwrap();
    bench.manifest.context_version = 2;
    bench.manifest.pushed_branch = Some("docs/run-1".into());
    bench.agent("flightdeck agent template");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.report.branch.as_deref(), Some("docs/run-1"));
    bench.origin(&["merge-base", "--is-ancestor", &first, "docs/run-1"]);
}

#[test]
fn continuing_attempt_starts_from_commits_of_a_person() {
    let mut bench = Bench::new();
    bench.agent(INCOMPLETE);
    bench.run();
    bench.git(&["fetch", "-q", "origin", "docs/run-1"]);
    bench.git(&["checkout", "-q", "FETCH_HEAD"]);
    bench.git(&["commit", "-q", "--allow-empty", "-m", "review"]);
    bench.git(&["push", "-q", "origin", "HEAD:docs/run-1"]);
    let review = bench.git(&["rev-parse", "HEAD"]);
    bench.manifest.context_version = 2;
    bench.manifest.continue_session = true;
    bench.manifest.pushed_branch = Some("docs/run-1".into());
    bench.agent("flightdeck agent template");
    let ended = bench.run();
    assert_eq!(
        ended.report.branch.as_deref(),
        Some("docs/run-1"),
        "{}",
        ended.log
    );
    bench.origin(&["merge-base", "--is-ancestor", &review, "docs/run-1"]);
}

#[test]
fn commit_on_top_of_an_earlier_attempt_is_not_replaced() {
    let mut bench = Bench::new();
    bench.agent(INCOMPLETE);
    bench.run();
    bench.git(&["fetch", "-q", "origin", "docs/run-1"]);
    bench.git(&["checkout", "-q", "FETCH_HEAD"]);
    bench.git(&["commit", "-q", "--allow-empty", "-m", "review"]);
    bench.git(&["push", "-q", "origin", "HEAD:docs/run-1"]);
    bench.manifest.context_version = 2;
    let ended = bench.run();
    assert_eq!(
        ended.report.branch.as_deref(),
        Some("docs/run-1-v2"),
        "{}",
        ended.log
    );
    let tip = bench.origin(&["rev-parse", "docs/run-1"]);
    assert_eq!(tip, bench.git(&["rev-parse", "HEAD"]));
}

/// Pushes a user's commit to the target branch and returns it.
fn push_foreign(bench: &Bench) -> String {
    bench.git(&["checkout", "-qb", "docs/run-1"]);
    bench.write("mine.txt", "a person's");
    bench.git(&["add", "."]);
    bench.git(&["commit", "-qm", "mine"]);
    bench.git(&["push", "-q", "origin", "docs/run-1"]);
    bench.origin(&["rev-parse", "docs/run-1"])
}

#[test]
fn foreign_commits_on_the_target_branch_stop_prep() {
    let bench = Bench::new();
    let before = push_foreign(&bench);
    let prep = bench.stage("prep clone");
    assert_eq!(
        (prep.code, prep.report.reason.as_deref()),
        (1, Some(reason::PUSH_FAILED)),
        "{}",
        prep.log
    );
    assert!(
        prep.report
            .message
            .unwrap()
            .contains("commits of someone else")
    );
    assert_eq!(bench.origin(&["rev-parse", "docs/run-1"]), before);
}

#[test]
fn foreign_commits_pushed_during_the_agent_stop_publish() {
    let bench = Bench::new();
    bench.run_until("publish collect");
    let before = push_foreign(&bench);
    let push = bench.stage("publish push");
    assert_eq!(
        (push.code, push.report.reason.as_deref()),
        (1, Some(reason::PUSH_FAILED)),
        "{}",
        push.log
    );
    assert!(
        push.report
            .message
            .unwrap()
            .contains("commits of someone else")
    );
    assert_eq!(push.report.documents.unwrap().written, 8);
    assert_eq!(bench.origin(&["rev-parse", "docs/run-1"]), before);
}

#[test]
fn target_branch_without_commits_is_accepted() {
    let bench = Bench::new();
    bench.push("README.md", "later");
    bench.git(&["push", "-q", "origin", "HEAD~1:refs/heads/docs/run-1"]);
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.report.branch.as_deref(), Some("docs/run-1"));
}

#[test]
fn rewritten_source_branch_stops_the_push() {
    let bench = Bench::new();
    bench.run_until("publish collect");
    bench.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    bench.git(&["push", "-qf", "origin", "feature/shop"]);
    let push = bench.stage("publish push");
    assert_eq!(
        (push.code, push.report.reason.as_deref()),
        (1, Some(reason::BASE_MOVED)),
        "{}",
        push.log
    );
    assert!(push.report.message.unwrap().contains(&bench.commit));
    assert_eq!(bench.origin(&["branch", "--list", "docs/*"]), "");
}

#[test]
fn push_is_idempotent() {
    let bench = Bench::new();
    let first = bench.run();
    let again = bench.stage("publish push");
    assert_eq!(
        (again.code, again.report),
        (0, first.report),
        "{}",
        again.log
    );
}

#[test]
fn failed_agent_reports_exit_code_and_session() {
    let bench = Bench::new();
    bench.agent(r#"echo '{"type":"system","subtype":"init","session_id":"s-9"}'; exit 7"#);
    let agent = bench.run_until("agent");
    assert_eq!(
        (agent.code, agent.report.reason.as_deref()),
        (1, Some(reason::AGENT_FAILED))
    );
    assert!(agent.report.message.unwrap().contains("exit code 7"));
    assert_eq!(agent.report.session_id.as_deref(), Some("s-9"));
}

#[test]
fn stopped_agent_ends_with_its_children_and_reports() {
    let bench = Bench::new();
    bench.run_until("prep setup");
    bench.agent("sleep 600 & echo '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}'; wait");
    let mut agent = bench.start("agent");
    let line = agent.first_line();
    assert!(line.contains("s-1"), "{line}");
    agent.terminate();
    let ended = agent.end();
    assert_eq!(ended.code, 1, "{}", ended.log);
    assert!(ended.report.message.unwrap().contains("stopped"));
    assert_eq!(ended.report.session_id.as_deref(), Some("s-1"));
}

#[test]
fn killed_agent_has_reported_its_usage() {
    let bench = Bench::new();
    bench.run_until("prep setup");
    bench.agent(
        r#"echo '{"type":"system","subtype":"init","session_id":"s-1"}'
echo '{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"x"}],"usage":{"input_tokens":7,"output_tokens":2}}}'
while echo going on; do sleep 0.05; done"#,
    );
    let mut agent = bench.start("agent");
    let report = agent.reports(|report| report.usage.is_some());
    agent.kill();
    let ended = agent.end();
    assert_eq!(
        (ended.code, ended.report.session_id),
        (-1, report.session_id)
    );
    let usage = ended.report.usage.unwrap();
    assert_eq!((usage.turns, usage.input_tokens), (1, 7));
    assert_eq!(
        ended.report.reason, None,
        "the cause is reported by the controller"
    );
}

#[test]
fn output_during_shutdown_is_forwarded_completely() {
    let bench = Bench::new();
    bench.run_until("prep setup");
    // `wait` handles a signal that arrives just before it; a shell waiting for a foreground command would not.
    bench.agent(
        "trap 'head -c 3000000 /dev/zero | tr \"\\0\" x; exit 0' TERM; echo ready; sleep 600 & wait",
    );
    let mut agent = bench.start("agent");
    assert_eq!(agent.first_line(), "ready\n");
    agent.terminate();
    let ended = agent.end();
    assert_eq!(ended.log.matches('x').count(), 3_000_000);
    assert!(ended.report.message.unwrap().contains("stopped"));
}

#[test]
fn background_process_does_not_keep_the_stage_alive() {
    let bench = Bench::new();
    bench.agent("sleep 600 & flightdeck agent template");
    let ended = bench.run_until("agent");
    assert_eq!(ended.code, 0, "{}", ended.log);
}

#[test]
fn missing_remote_or_branch_has_a_clear_error() {
    let mut bench = Bench::new();
    bench.manifest.source_branch = "feature/none".into();
    let prep = bench.stage("prep clone");
    assert_eq!(
        (prep.code, prep.report.reason.as_deref()),
        (1, Some(reason::CLONE_FAILED))
    );
    assert!(
        prep.report
            .message
            .unwrap()
            .contains("does not have the branch")
    );
    bench.manifest.repository_url = bench.path("nowhere.git").display().to_string();
    let prep = bench.stage("prep clone");
    let message = prep.report.message.unwrap();
    assert!(
        message.contains("was not found") && !message.contains('\n'),
        "{message}"
    );
}

#[test]
fn branch_named_like_a_command_is_not_executed() {
    let mut bench = Bench::new();
    let strange = "$(touch${IFS}pwned)`touch${IFS}pwned`;touch${IFS}pwned";
    bench.git(&[
        "push",
        "-q",
        "origin",
        &format!("feature/shop:refs/heads/{strange}"),
    ]);
    bench.manifest.source_branch = strange.into();
    bench.manifest.target_branch = format!("docs/{strange}");
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert_eq!(ended.report.branch, Some(format!("docs/{strange}")));
    assert!(!bench.anywhere("pwned"));
}
