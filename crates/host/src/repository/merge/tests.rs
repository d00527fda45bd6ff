use super::*;
use crate::repository::{
    fixture::{self, Fixture, PLAN_PATH},
    read,
};

/// Creates a fixture whose origin has a branch `docs/run`, made from `feature/x` by another user, with a document and
/// `files`.
async fn with_run(files: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::pushed().await;
    let colleague = fixture.colleague().await;
    fixture::run(&colleague, &["checkout", "-q", "-b", "docs/run"]).await;
    fixture::write(&colleague, ".taskmaster/docs/task-1/task.md", "# Task\n");
    for (path, text) in files {
        fixture::write(&colleague, path, text);
    }
    fixture::commit(&colleague, "Documents").await;
    fixture::run(&colleague, &["push", "-q", "origin", "docs/run"]).await;
    fixture
}

async fn planned(fixture: &Fixture) -> Result<MergePlan, MergeError> {
    plan(&read(&fixture.root).await.unwrap(), "docs/run").await
}

async fn merged(fixture: &Fixture) -> MergePlan {
    let facts = read(&fixture.root).await.unwrap();
    let plan = plan(&facts, "docs/run").await.unwrap();
    apply(&facts, &plan).await.unwrap();
    plan
}

#[tokio::test]
async fn fast_forwards_branch_that_is_only_ahead() {
    let fixture = with_run(&[]).await;
    fixture.write("notes.txt", "not committed");
    let plan = merged(&fixture).await;
    assert_eq!(
        (plan.how, plan.into.as_str(), plan.commits.len()),
        (How::FastForward, "feature/x", 1)
    );
    assert_eq!(plan.command, format!("git merge --ff-only {}", plan.commit));
    assert_eq!(plan.diff.files[0].path, ".taskmaster/docs/task-1/task.md");
    assert!(
        fixture
            .root
            .join(".taskmaster/docs/task-1/task.md")
            .exists()
    );
    assert_eq!(planned(&fixture).await.unwrap().how, How::Already);
}

#[tokio::test]
async fn merges_diverged_branches() {
    let fixture = with_run(&[]).await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    let plan = merged(&fixture).await;
    assert_eq!(plan.how, How::Merge);
    assert_eq!(
        fixture.git(&["log", "-1", "--format=%s"]).await,
        "Merge docs/run into feature/x"
    );
    assert!(
        fixture
            .root
            .join(".taskmaster/docs/task-1/task.md")
            .exists()
            && fixture.root.join("mine").exists()
    );
}

#[tokio::test]
async fn names_uncommitted_files_and_changes_nothing() {
    let fixture = with_run(&[(PLAN_PATH, "{}")]).await;
    fixture.write(PLAN_PATH, "{\"tasks\": []}");
    fixture.write(".taskmaster/docs/task-1/task.md", "mine");
    assert_eq!(
        planned(&fixture).await,
        Err(MergeError::Uncommitted(
            ".taskmaster/tasks/tasks.json, .taskmaster/docs/task-1/task.md".into()
        ))
    );

    let fixture = with_run(&[]).await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    fixture.write("staged", "x");
    fixture.git(&["add", "staged"]).await;
    assert_eq!(
        planned(&fixture).await,
        Err(MergeError::Uncommitted("staged".into()))
    );
}

#[tokio::test]
async fn reports_conflict_before_merging() {
    let fixture = with_run(&[("shared", "theirs\n")]).await;
    fixture.write("shared", "mine\n");
    fixture.commit("Mine").await;
    let error = planned(&fixture).await.unwrap_err();
    assert!(
        matches!(&error, MergeError::Conflict { files, .. } if files == "shared"),
        "{error}"
    );
    assert_eq!(fixture.git(&["status", "--porcelain"]).await, "");
}

#[tokio::test]
async fn explains_why_a_merge_is_impossible() {
    let fixture = Fixture::pushed().await;
    let error = planned(&fixture).await.unwrap_err().to_string();
    assert!(
        error.ends_with("origin.git has no branch docs/run"),
        "{error}"
    );

    let fixture = with_run(&[]).await;
    let facts = read(&fixture.root).await.unwrap();
    let plan = plan(&facts, "docs/run").await.unwrap();
    fixture.git(&["checkout", "-q", "-b", "other"]).await;
    assert_eq!(
        apply(&facts, &plan).await,
        Err(MergeError::Refused(
            "the current branch is now other, not feature/x".into()
        ))
    );

    fixture.git(&["checkout", "-q", "--detach"]).await;
    assert!(matches!(
        planned(&fixture).await,
        Err(MergeError::Refused(_))
    ));
}
