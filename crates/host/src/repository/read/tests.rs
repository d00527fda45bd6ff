use std::fs;

use super::*;
use crate::repository::{
    Changes, Difference, Operation,
    fixture::{self, Fixture, PLAN, PLAN_PATH},
};

fn differing(facts: &Facts) -> Vec<(&str, Difference)> {
    facts
        .differing
        .iter()
        .map(|file| (file.path.as_str(), file.how))
        .collect()
}

#[tokio::test]
async fn pushed_plan_is_in_sync_everywhere() {
    let fixture = Fixture::pushed().await;
    let facts = read(&fixture.root).await.unwrap();
    let remote = facts.remote.as_ref().unwrap();
    let known = remote.known.as_ref().unwrap();
    assert_eq!(facts.branch(), Some("feature/x"));
    assert_eq!(facts.working_directory, ".");
    assert_eq!(remote.place(), "origin/feature/x");
    assert_eq!(remote.clone_url, fixture.origin.to_str().unwrap());
    assert_eq!(remote.follows, remote.branch);
    assert!(remote.fetched.is_some());
    assert_eq!(facts.commit(), Some(known.commit.as_str()));
    assert_eq!((known.ahead, known.behind), (0, 0));
    assert!(facts.plan.disk_blob.is_some());
    assert_eq!(facts.plan.disk_blob, facts.plan.head_blob);
    assert_eq!(facts.plan.disk_blob, known.plan_blob);
    assert_eq!(facts.plan.bytes.as_deref(), Some(PLAN.as_bytes()));
    assert_eq!(
        (facts.changes, differing(&facts)),
        (Changes::default(), vec![])
    );
    assert_eq!(facts.identity.email.as_deref(), Some("ada@example.com"));
}

#[tokio::test]
async fn distinguishes_every_kind_of_change() {
    let fixture = Fixture::pushed().await;
    fixture.write(".taskmaster/docs/prd.md", "old");
    fixture.write("src/main.rs", "old");
    fixture.commit("More").await;
    fixture.write(PLAN_PATH, &PLAN.replace("Set up", "Tidy up"));
    fixture.write(".taskmaster/docs/prd.md", "new");
    fixture.git(&["add", ".taskmaster/docs/prd.md"]).await;
    fixture.write(".taskmaster/docs/task-1/task.md", "x");
    fixture.write("src/main.rs", "new");

    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(
        differing(&facts),
        [
            (".taskmaster/docs/prd.md", Difference::Staged),
            (PLAN_PATH, Difference::Changed),
            (".taskmaster/docs/task-1/task.md", Difference::Untracked),
        ]
    );
    assert_eq!(
        (
            facts.changes.changed,
            facts.changes.staged,
            facts.changes.untracked
        ),
        (2, 1, 1)
    );
    assert_ne!(facts.plan.disk_blob, facts.plan.head_blob);
    assert_eq!(facts.remote.unwrap().known.unwrap().ahead, 1);
}

#[tokio::test]
async fn nested_project_uses_its_own_plan() {
    let fixture = Fixture::pushed().await;
    fixture.write("apps/web/.taskmaster/tasks/tasks.json", "{}");
    fixture.write("apps/web/src/index.ts", "");
    let facts = read(&fixture.root.join("apps/web/src")).await.unwrap();
    assert_eq!(facts.working_directory, "apps/web");
    assert_eq!(
        facts.plan.relative.as_deref(),
        Some("apps/web/.taskmaster/tasks/tasks.json")
    );
    assert_eq!(facts.plan.others, [fixture.root.join(PLAN_PATH)]);
    assert_eq!(
        differing(&facts),
        [(
            "apps/web/.taskmaster/tasks/tasks.json",
            Difference::Untracked
        )]
    );
}

#[tokio::test]
async fn reads_unborn_and_detached_head() {
    let fixture = Fixture::empty().await;
    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(
        facts.head,
        Head::Unborn {
            name: "feature/x".into()
        }
    );
    assert_eq!(
        (
            facts.commit(),
            facts.remote.is_none(),
            facts.plan.path.is_none()
        ),
        (None, true, true)
    );

    let fixture = Fixture::pushed().await;
    fixture.git(&["checkout", "-q", "--detach"]).await;
    let facts = read(&fixture.root).await.unwrap();
    assert!(matches!(facts.head, Head::Detached { .. }));
    assert_eq!(
        (facts.branch(), facts.remote.clone().unwrap().branch),
        (None, None)
    );
}

#[tokio::test]
async fn detects_merge_in_progress() {
    let fixture = Fixture::pushed().await;
    fixture.conflict().await;
    let merge = crate::repository::git::Git::new(&fixture.root)
        .isolated()
        .args(["merge", "other"])
        .run()
        .await;
    assert!(merge.is_err());
    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(
        (facts.operation, facts.changes.conflicted),
        (Some(Operation::Merge), 1)
    );
}

#[tokio::test]
async fn linked_work_tree_has_own_head_and_shared_remote() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["worktree", "add", "-q", "-b", "feature/y", "../linked"])
        .await;
    let facts = read(&fixture.root.parent().unwrap().join("linked"))
        .await
        .unwrap();
    assert_eq!(facts.branch(), Some("feature/y"));
    assert_ne!(facts.git_dir, facts.common_dir);
    let remote = facts.remote.unwrap();
    assert_eq!(
        (remote.place().as_str(), remote.follows, remote.known),
        ("origin/feature/y", None, None)
    );
    assert!(facts.plan.disk_blob.is_some() && facts.plan.disk_blob == facts.plan.head_blob);
}

#[tokio::test]
async fn branch_from_another_is_cloned_by_its_own_name() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&[
            "checkout",
            "-q",
            "-b",
            "mine",
            "--track",
            "origin/feature/x",
        ])
        .await;
    let remote = read(&fixture.root).await.unwrap().remote.unwrap();
    assert_eq!(
        (remote.branch.as_deref(), remote.follows.as_deref()),
        (Some("mine"), Some("feature/x"))
    );

    fixture.git(&["config", "push.default", "upstream"]).await;
    let remote = read(&fixture.root).await.unwrap().remote.unwrap();
    assert_eq!(
        (remote.branch.as_deref(), remote.follows.as_deref()),
        (Some("feature/x"), Some("feature/x"))
    );
}

#[tokio::test]
async fn converted_line_endings_are_not_a_difference() {
    let lines = PLAN.replace("\"tasks\"", "\n\"tasks\"");
    // A new file where git converts: CRLF on disk, LF in the commit.
    let fixture = Fixture::empty().await;
    fixture.git(&["config", "core.autocrlf", "true"]).await;
    fixture.write(PLAN_PATH, &lines.replace('\n', "\r\n"));
    fixture.commit("The plan").await;
    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(facts.plan.disk_blob, facts.plan.head_blob);

    // Committed with CRLF without conversion, then read with conversion: git leaves the file unchanged.
    let fixture = Fixture::empty().await;
    fixture.write(PLAN_PATH, &lines.replace('\n', "\r\n"));
    fixture.commit("The plan").await;
    fixture.git(&["config", "core.autocrlf", "true"]).await;
    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(
        (differing(&facts), &facts.plan.disk_blob),
        (vec![], &facts.plan.head_blob)
    );
}

#[tokio::test]
async fn filter_driver_output_is_not_a_difference() {
    let fixture = Fixture::empty().await;
    fixture
        .git(&["config", "filter.upper.clean", "tr a-z A-Z"])
        .await;
    fixture.git(&["config", "filter.upper.smudge", "cat"]).await;
    fixture.write(".gitattributes", "tasks.json filter=upper\n");
    fixture.write(PLAN_PATH, PLAN);
    fixture.commit("The plan").await;
    // Rewritten, so that git has to compare the content.
    fixture.write(PLAN_PATH, PLAN);
    let facts = read(&fixture.root).await.unwrap();
    assert_eq!(
        (differing(&facts), &facts.plan.disk_blob),
        (vec![], &facts.plan.head_blob)
    );
}

#[tokio::test]
async fn compares_plan_marked_assume_unchanged() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&["update-index", "--assume-unchanged", PLAN_PATH])
        .await;
    fixture.write(PLAN_PATH, "{}");
    let facts = read(&fixture.root).await.unwrap();
    assert_ne!(facts.plan.disk_blob, facts.plan.head_blob);
    assert_eq!(differing(&facts), [(PLAN_PATH, Difference::Changed)]);
}

#[tokio::test]
async fn only_untracked_plan_can_be_ignored() {
    for (commit_first, ignored) in [(false, true), (true, false)] {
        let fixture = Fixture::empty().await;
        fixture.write(PLAN_PATH, PLAN);
        if commit_first {
            fixture.commit("The plan").await;
        }
        fixture.write(".gitignore", ".taskmaster/\n");
        let facts = read(&fixture.root).await.unwrap();
        assert_eq!(facts.plan.ignored, ignored);
    }
}

#[tokio::test]
async fn urls_apply_instead_of_rules() {
    let fixture = Fixture::pushed().await;
    fixture
        .git(&[
            "config",
            "url.https://tok@forge.example/.insteadOf",
            "forge:",
        ])
        .await;
    fixture
        .git(&[
            "config",
            "url.ssh://git@forge.example/.pushInsteadOf",
            "forge:",
        ])
        .await;
    fixture
        .git(&["remote", "set-url", "origin", "forge:acme/shop.git"])
        .await;
    fixture
        .git(&["remote", "add", "fork", "https://forge.example/ada/shop"])
        .await;
    let facts = read(&fixture.root).await.unwrap();
    let remote = facts.remote.unwrap();
    assert_eq!(remote.clone_url, "https://forge.example/acme/shop.git");
    assert_eq!(remote.push_url, "ssh://git@forge.example/acme/shop.git");
    assert_eq!(facts.other_remotes, ["fork"]);
}

#[tokio::test]
async fn names_path_that_is_not_in_a_work_tree() {
    let fixture = Fixture::pushed().await;
    let outside = fixture.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for (place, expected) in [
        (&outside, "is not in a git repository"),
        (&fixture.origin, "is a bare repository"),
        (&fixture.root.join(".git"), "is a bare repository"),
    ] {
        let error = read(place).await.unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains(place.to_str().unwrap()),
            "{error}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    fixture::run(directory.path(), &["init", "-q"]).await;
    let version = ["config", "core.repositoryFormatVersion", "99"];
    fixture::run(directory.path(), &version).await;
    let error = read(directory.path()).await.unwrap_err();
    assert!(matches!(error, FactsError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn explains_plan_that_is_not_a_file() {
    let fixture = Fixture::pushed().await;
    let plan = fixture.root.join(PLAN_PATH);
    fs::remove_file(&plan).unwrap();
    fs::create_dir(&plan).unwrap();
    let facts = read(&fixture.root).await.unwrap();
    let why = facts.plan.unreadable.unwrap();
    assert!(
        facts.plan.bytes.is_none() && why.contains("not a file") && why.contains(PLAN_PATH),
        "{why}"
    );
}
