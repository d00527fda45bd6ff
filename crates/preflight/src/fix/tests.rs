use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{CheckResult, Level, PreflightRequest, RemoteQuery, Report, Sources, gather};
use flightdeck_core::runs::RunKind;
use flightdeck_host::repository::fixture::{self, Fixture, PLAN, PLAN_PATH};

async fn facts(root: &Path) -> Facts {
    gather(
        &PreflightRequest::new(RunKind::Docs),
        Sources::repository(root.to_owned(), RemoteQuery::Fresh),
    )
    .await
}

fn pushed(facts: &Facts) -> CheckResult {
    Report::of(facts).check("tasks-pushed").unwrap().clone()
}

async fn applied(facts: &Facts, fix: Fix) -> Result<Vec<RanCommand>, FixError> {
    let sheet = plan(facts, fix).await?;
    let applied = apply(&sheet, &CancellationToken::new(), |_| {}).await;
    applied.map_err(|unfinished| unfinished.why)
}

/// Puts a fix to what `tasks-pushed` asks for, until it is right or asks for nothing.
async fn put_right(root: &Path) -> CheckResult {
    for _ in 0..3 {
        let facts = facts(root).await;
        let check = pushed(&facts);
        let Some(fix) = check.fix else {
            return check;
        };
        applied(&facts, fix).await.unwrap();
    }
    pushed(&facts(root).await)
}

fn edited() -> String {
    PLAN.replace("Set up", "Tidy up")
}

fn hook(root: &Path, name: &str, script: &str) {
    let path = root.join(".git/hooks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn commits_and_pushes_only_run_files() {
    let fixture = Fixture::pushed().await;
    fixture.write("src/lib.rs", "old");
    fixture.write("src/main.rs", "old");
    fixture.commit("Code").await;
    fixture.write(PLAN_PATH, &edited());
    fixture.write(".taskmaster/docs/prd.md", "new");
    fixture.write("src/lib.rs", "staged");
    fixture.git(&["add", "src/lib.rs"]).await;
    fixture.write("src/main.rs", "changed");
    fixture.write("notes.txt", "mine");

    let before = facts(&fixture.root).await;
    let check = pushed(&before);
    assert_eq!(
        (check.level, check.fix),
        (Level::Fail, Some(Fix::CommitAndPush))
    );
    let sheet = plan(&before, Fix::CommitAndPush).await.unwrap();
    assert_eq!(sheet.files, [PLAN_PATH, ".taskmaster/docs/prd.md"]);
    assert_eq!(
        sheet.commands,
        [
            "git --literal-pathspecs add --intent-to-add -- .taskmaster/docs/prd.md",
            "git --literal-pathspecs commit --only '--message=Update the plan and its documents' -- .taskmaster/tasks/tasks.json .taskmaster/docs/prd.md",
            "git push --progress origin refs/heads/feature/x:refs/heads/feature/x",
        ]
    );
    let leaving: Vec<&str> = sheet
        .commits
        .iter()
        .map(|commit| commit.subject.as_str())
        .collect();
    assert_eq!(leaving, ["Update the plan and its documents", "Code"]);
    assert_eq!(sheet.destination.as_deref(), Some("origin/feature/x"));

    let mut heard = Vec::new();
    let mut said = Vec::new();
    let ran = apply(
        &sheet,
        &CancellationToken::new(),
        |progress| match progress {
            Progress::Started(command) => heard.push(command),
            Progress::Output(line) => said.push(line.text),
        },
    )
    .await
    .unwrap();
    assert_eq!(heard, sheet.commands);
    assert_eq!(ran.len(), 3);
    assert!(
        said.iter().any(|line| line.contains("2 files changed"))
            && said
                .iter()
                .any(|line| line.contains("feature/x -> feature/x")),
        "{said:?}"
    );
    let after = facts(&fixture.root).await;
    assert_eq!(pushed(&after).level, Level::Pass);
    assert_eq!(
        fixture
            .git(&["show", "--format=", "--name-only", "HEAD"])
            .await,
        ".taskmaster/docs/prd.md\n.taskmaster/tasks/tasks.json"
    );
    assert_eq!(
        fixture.git(&["status", "--porcelain"]).await,
        "M  src/lib.rs\n M src/main.rs\n?? notes.txt"
    );
}

#[tokio::test]
async fn pushes_local_commits() {
    let fixture = Fixture::pushed().await;
    fixture.write(PLAN_PATH, &edited());
    fixture.commit("Tidy").await;
    let before = facts(&fixture.root).await;
    let check = pushed(&before);
    assert_eq!(check.fix, Some(Fix::Push));
    assert_eq!(
        check.message,
        "origin/feature/x has 1 task, first \"Set up\"; your plan has 1, first \"Tidy up\""
    );
    assert_eq!(
        plan(&before, Fix::Push).await.unwrap().commits[0].author,
        "Ada"
    );
    assert_eq!(put_right(&fixture.root).await.level, Level::Pass);
}

#[tokio::test]
async fn pushes_new_branch_with_upstream() {
    let fixture = Fixture::pushed().await;
    fixture.git(&["checkout", "-q", "-b", "feature/y"]).await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    let before = facts(&fixture.root).await;
    let sheet = plan(&before, Fix::Push).await.unwrap();
    assert_eq!(
        sheet.commands,
        ["git push --progress --set-upstream origin refs/heads/feature/y:refs/heads/feature/y"]
    );
    assert_eq!(sheet.commits.len(), 1);
    assert_eq!(put_right(&fixture.root).await.level, Level::Pass);
    assert_eq!(
        facts(&fixture.root)
            .await
            .repository
            .unwrap()
            .remote
            .unwrap()
            .follows
            .as_deref(),
        Some("feature/y")
    );
}

#[tokio::test]
async fn makes_and_pushes_first_commit() {
    let fixture = Fixture::pushed().await;
    fixture.git(&["checkout", "-q", "--orphan", "fresh"]).await;
    fixture.git(&["rm", "-r", "-q", "--cached", "."]).await;
    let before = facts(&fixture.root).await;
    assert_eq!(
        Report::of(&before).check("branch").unwrap().fix,
        Some(Fix::CommitAndPush)
    );
    assert_eq!(put_right(&fixture.root).await.level, Level::Pass);
}

#[tokio::test]
async fn pull_fast_forwards() {
    let fixture = Fixture::pushed().await;
    let colleague = fixture.colleague().await;
    fixture::write(&colleague, PLAN_PATH, &edited());
    fixture::commit(&colleague, "Tidy").await;
    fixture::run(&colleague, &["push", "-q"]).await;
    fixture.write("mine", "not committed");

    let before = facts(&fixture.root).await;
    assert_eq!(pushed(&before).fix, Some(Fix::Pull));
    let sheet = plan(&before, Fix::Pull).await.unwrap();
    assert_eq!(
        sheet.commands,
        [
            "git fetch --progress --no-tags --no-recurse-submodules origin +refs/heads/feature/x:refs/remotes/origin/feature/x",
            "git merge --ff-only refs/remotes/origin/feature/x",
        ]
    );
    assert_eq!((sheet.commits, sheet.destination), (vec![], None));
    assert_eq!(put_right(&fixture.root).await.level, Level::Pass);
    assert_eq!(
        fs::read_to_string(fixture.root.join(PLAN_PATH)).unwrap(),
        edited()
    );
}

#[tokio::test]
async fn leaves_diverged_branches_alone() {
    let fixture = Fixture::pushed().await;
    let colleague = fixture.colleague().await;
    fixture::write(&colleague, PLAN_PATH, &edited());
    fixture::commit(&colleague, "Tidy").await;
    fixture::run(&colleague, &["push", "-q"]).await;
    fixture.write(PLAN_PATH, &PLAN.replace("Set up", "Mine"));
    fixture.commit("Mine").await;
    let stale = gather(
        &PreflightRequest::new(RunKind::Docs),
        Sources::repository(fixture.root.clone(), RemoteQuery::Cached(None)),
    )
    .await;

    let before = facts(&fixture.root).await;
    let check = pushed(&before);
    assert_eq!((check.level, check.fix), (Level::Fail, None));
    assert!(
        check.explanation.contains("diverged"),
        "{}",
        check.explanation
    );
    assert_eq!(applied(&before, Fix::Pull).await, Err(FixError::Diverged));
    assert_eq!(applied(&stale, Fix::Push).await, Err(FixError::Behind));
}

#[tokio::test]
async fn detects_edit_after_check() {
    let fixture = Fixture::pushed().await;
    assert_eq!(pushed(&facts(&fixture.root).await).level, Level::Pass);
    fixture.write(PLAN_PATH, &edited());
    let after = facts(&fixture.root).await;
    assert_eq!(pushed(&after).level, Level::Fail);
    assert_eq!(
        Report::of(&after).check("tasks-committed").unwrap().fix,
        Some(Fix::Commit)
    );
}

#[tokio::test]
async fn pull_keeps_local_changes() {
    let fixture = Fixture::pushed().await;
    let colleague = fixture.colleague().await;
    fixture::write(&colleague, PLAN_PATH, &edited());
    fixture::commit(&colleague, "Tidy").await;
    fixture::run(&colleague, &["push", "-q"]).await;
    fixture.write(PLAN_PATH, "{}");
    let error = applied(&facts(&fixture.root).await, Fix::Pull)
        .await
        .unwrap_err();
    assert_eq!(error, FixError::WouldOverwrite(PLAN_PATH.into()));
    assert_eq!(
        fs::read_to_string(fixture.root.join(PLAN_PATH)).unwrap(),
        "{}"
    );
}

#[tokio::test]
async fn runs_user_hooks_and_shows_output() {
    let fixture = Fixture::pushed().await;
    fixture.write(PLAN_PATH, &edited());
    hook(
        &fixture.root,
        "pre-commit",
        "echo 'the plan needs a reviewer' >&2; exit 1",
    );
    let before = facts(&fixture.root).await;
    let error = applied(&before, Fix::Commit).await.unwrap_err();
    assert_eq!(error, FixError::Commit("the plan needs a reviewer".into()));

    fs::remove_file(fixture.root.join(".git/hooks/pre-commit")).unwrap();
    hook(&fixture.root, "pre-push", "echo 'tests fail' >&2; exit 1");
    let error = applied(&before, Fix::CommitAndPush).await.unwrap_err();
    assert_eq!(error, FixError::Stopped("tests fail".into()));

    fs::remove_file(fixture.root.join(".git/hooks/pre-push")).unwrap();
    let hooks = fixture.origin.join("hooks/pre-receive");
    fs::create_dir_all(hooks.parent().unwrap()).unwrap();
    fs::write(&hooks, "#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hooks, fs::Permissions::from_mode(0o755)).unwrap();
    let error = applied(&facts(&fixture.root).await, Fix::Push)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FixError::Refused(said) if said == "not on a Friday (pre-receive hook declined)"),
        "{error}"
    );
}

#[tokio::test]
async fn fixes_project_in_subdirectory() {
    let fixture = Fixture::pushed().await;
    let path = "apps/web/.taskmaster/tasks/tasks.json";
    fixture.write(path, &edited());
    let start = fixture.root.join("apps/web");
    let before = facts(&start).await;
    let check = pushed(&before);
    assert_eq!(check.message, format!("origin/feature/x has no {path}"));
    assert_eq!(
        plan(&before, check.fix.unwrap()).await.unwrap().files,
        [path]
    );
    assert_eq!(put_right(&start).await.level, Level::Pass);
}

#[tokio::test]
async fn handles_special_characters_in_names() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["checkout", "-q", "-b", "$(touch${IFS}pwned);x"])
        .await;
    fixture.write(".taskmaster/docs/*.md", "x");
    fixture.write(".taskmaster/docs/-rf a.md", "x");
    let before = facts(&fixture.root).await;
    applied(&before, Fix::CommitAndPush).await.unwrap();
    assert_eq!(fixture.git(&["status", "--porcelain"]).await, "");
    assert_eq!(pushed(&facts(&fixture.root).await).level, Level::Pass);
    assert!(!fixture.root.join("pwned").exists());
}

#[tokio::test]
async fn rejected_commit_restores_index() {
    let fixture = Fixture::pushed().await;
    fixture.write(".taskmaster/docs/prd.md", "new");
    hook(&fixture.root, "pre-commit", "exit 1");
    let before = fixture.git(&["status", "--porcelain"]).await;
    assert!(
        applied(&facts(&fixture.root).await, Fix::Commit)
            .await
            .is_err()
    );
    assert_eq!(fixture.git(&["status", "--porcelain"]).await, before);
}

#[tokio::test]
async fn cancel_kills_command_and_reports_done_steps() {
    let fixture = Fixture::pushed().await;
    fixture.write(PLAN_PATH, &edited());
    hook(&fixture.root, "pre-push", "echo waiting >&2; sleep 600");
    let sheet = plan(&facts(&fixture.root).await, Fix::CommitAndPush)
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let (sender, entries) = std::sync::mpsc::channel();
    let log = repository::CommandLog::new(move |entry| sender.send(entry).unwrap());
    let applied = apply(&sheet, &cancel, |progress| {
        if matches!(&progress, Progress::Output(line) if line.text == "waiting") {
            cancel.cancel();
        }
    });
    let unfinished = log.record(applied).await.unwrap_err();
    assert_eq!(
        unfinished.to_string(),
        "cancelled during the push; check the remote to see whether it arrived; already done: commit"
    );
    let ends: Vec<repository::CommandOutcome> = entries.try_iter().map(|entry| entry.end).collect();
    assert_eq!(
        ends,
        [
            repository::CommandOutcome::Exited(0),
            repository::CommandOutcome::Cancelled
        ]
    );

    // A commit that is cancelled leaves no lock behind, and nothing in the index.
    fixture.write(".taskmaster/docs/prd.md", "new");
    hook(&fixture.root, "pre-commit", "echo waiting >&2; sleep 600");
    let sheet = plan(&facts(&fixture.root).await, Fix::Commit)
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let applied = apply(&sheet, &cancel, |progress| {
        if matches!(&progress, Progress::Output(line) if line.text == "waiting") {
            cancel.cancel();
        }
    });
    assert_eq!(
        applied.await.unwrap_err().why,
        FixError::Cancelled("commit")
    );
    assert!(!fixture.root.join(".git/index.lock").exists());
    assert_eq!(
        fixture.git(&["status", "--porcelain"]).await,
        "?? .taskmaster/docs/"
    );
}

#[tokio::test]
async fn refuses_if_head_moved() {
    let fixture = Fixture::pushed().await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    let sheet = plan(&facts(&fixture.root).await, Fix::Push).await.unwrap();
    fixture.write("secret", "x");
    fixture.commit("Not for others").await;
    let applied = apply(&sheet, &CancellationToken::new(), |_| {}).await;
    assert_eq!(applied.unwrap_err().why, FixError::Moved);
    let there = fixture::run(&fixture.origin, &["log", "--format=%s", "feature/x"]).await;
    assert_eq!(there, "The plan");
}

#[tokio::test]
async fn switches_away_from_protected_branch() {
    let fixture = Fixture::pushed().await;
    let hooks = fixture.origin.join("hooks/update");
    fs::create_dir_all(hooks.parent().unwrap()).unwrap();
    let script = "#!/bin/sh\n[ \"$1\" != refs/heads/feature/x ] || { echo 'error: GH006: Protected branch update failed for refs/heads/feature/x.' >&2; exit 1; }\n";
    fs::write(&hooks, script).unwrap();
    fs::set_permissions(&hooks, fs::Permissions::from_mode(0o755)).unwrap();
    fixture.write(PLAN_PATH, &edited());
    let error = applied(&facts(&fixture.root).await, Fix::CommitAndPush)
        .await
        .unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.offers()),
        (
            "the branch is protected: GH006: Protected branch update failed for refs/heads/feature/x. (hook declined)",
            Some(Fix::Switch)
        )
    );
    // A branch of that name is there already, from another time.
    fixture
        .git(&["branch", "flightdeck/plan-work", "HEAD~1"])
        .await;
    let before = facts(&fixture.root).await;
    let sheet = plan(&before, Fix::Switch).await.unwrap();
    assert_eq!(
        sheet.commands,
        [
            "git switch --create flightdeck/plan-work-2",
            "git push --progress --set-upstream origin refs/heads/flightdeck/plan-work-2:refs/heads/flightdeck/plan-work-2",
        ]
    );
    assert_eq!(
        sheet.destination.as_deref(),
        Some("origin/flightdeck/plan-work-2")
    );
    assert_eq!(sheet.commits.len(), 1);
    applied(&before, Fix::Switch).await.unwrap();
    let after = Report::of(&facts(&fixture.root).await);
    for id in ["branch", "upstream", "tasks-pushed", "sync", "base"] {
        assert_eq!(after.check(id).unwrap().level, Level::Pass, "{id}");
    }
}

#[tokio::test]
async fn switches_from_detached_head() {
    let fixture = Fixture::pushed().await;
    fixture.git(&["checkout", "-q", "--detach"]).await;
    let before = facts(&fixture.root).await;
    assert_eq!(
        Report::of(&before).check("branch").unwrap().fix,
        Some(Fix::Switch)
    );
    let sheet = plan(&before, Fix::Switch).await.unwrap();
    assert_eq!(sheet.commands, ["git switch feature/x"]);
    assert_eq!((sheet.commits, sheet.destination), (vec![], None));
    applied(&before, Fix::Switch).await.unwrap();
    assert_eq!(
        facts(&fixture.root).await.repository.unwrap().branch(),
        Some("feature/x")
    );

    fixture.git(&["checkout", "-q", "--detach"]).await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    let sheet = plan(&facts(&fixture.root).await, Fix::Switch)
        .await
        .unwrap();
    assert_eq!(
        sheet.commands[0],
        "git switch --create flightdeck/plan-work"
    );
    assert_eq!(sheet.commits.len(), 1);
}

#[tokio::test]
async fn refuses_during_merge() {
    let fixture = Fixture::pushed().await;
    fixture.git(&["checkout", "-q", "-b", "other"]).await;
    fixture.write("a", "1");
    fixture.commit("One").await;
    fixture.git(&["checkout", "-q", "feature/x"]).await;
    fixture
        .git(&["merge", "-q", "--no-ff", "--no-commit", "other"])
        .await;
    fixture.write(PLAN_PATH, &edited());
    let error = applied(&facts(&fixture.root).await, Fix::Commit)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a merge is in progress; finish or abort it first"
    );
}

#[tokio::test]
async fn explains_signing_and_author_errors() {
    let fixture = Fixture::pushed().await;
    fixture.write(PLAN_PATH, &edited());
    fixture.git(&["config", "commit.gpgsign", "true"]).await;
    fixture.git(&["config", "gpg.program", "false"]).await;
    let before = facts(&fixture.root).await;
    let error = applied(&before, Fix::Commit).await.unwrap_err();
    assert!(matches!(error, FixError::Signing(_)), "{error}");
}

#[tokio::test]
async fn never_pushes_submodules() {
    let library = Fixture::pushed().await;
    let fixture = Fixture::pushed().await;
    let origin = library.origin.to_str().unwrap();
    let allowed = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "add", "-q", "-b", "feature/x", origin, "lib"];
    fixture.git(&[&allowed[..], &add].concat()).await;
    fixture.commit("A library").await;
    fixture.git(&["push", "-q"]).await;
    fixture
        .git(&["config", "push.recurseSubmodules", "on-demand"])
        .await;
    let inside = fixture.root.join("lib");
    fixture::run(&inside, &["config", "user.name", "Ada"]).await;
    fixture::run(&inside, &["config", "user.email", "ada@example.com"]).await;
    fixture::write(&inside, "secret", "x");
    fixture::commit(&inside, "Not for others").await;
    fixture.write(PLAN_PATH, &edited());
    fixture.commit("Tidy, with a newer library").await;

    let error = applied(&facts(&fixture.root).await, Fix::Push)
        .await
        .unwrap_err();
    assert_eq!(error, FixError::Submodules("lib".into()));
    let there = fixture::run(&library.origin, &["log", "--format=%s", "feature/x"]).await;
    assert_eq!(there, "The plan");
}
