use super::*;
use crate::repository::{
    fixture::{self, Fixture, PLAN_PATH},
    read,
};

/// A fixture whose origin has a branch `docs/run`, made from `feature/x` by somebody else, with a document and `files`.
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

async fn brought_home(fixture: &Fixture) -> MergePlan {
    let facts = read(&fixture.root).await.unwrap();
    let plan = plan(&facts, "docs/run").await.unwrap();
    apply(&facts, &plan).await.unwrap();
    plan
}

#[tokio::test]
async fn a_branch_that_is_only_ahead_comes_home_without_a_merge() {
    let fixture = with_run(&[]).await;
    fixture.write("notes.txt", "not committed");
    let plan = brought_home(&fixture).await;
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
async fn branches_that_have_parted_are_merged() {
    let fixture = with_run(&[]).await;
    fixture.write("mine", "x");
    fixture.commit("Mine").await;
    let plan = brought_home(&fixture).await;
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
async fn what_is_in_the_way_is_named_and_nothing_is_touched() {
    let fixture = with_run(&[(PLAN_PATH, "{}")]).await;
    fixture.write(PLAN_PATH, "{\"tasks\": []}");
    fixture.write(".taskmaster/docs/task-1/task.md", "mine");
    assert_eq!(
        planned(&fixture).await,
        Err(MergeError::InTheWay(
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
        Err(MergeError::InTheWay("staged".into()))
    );
}

#[tokio::test]
async fn a_conflict_is_said_before_anything_is_merged() {
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
async fn where_nothing_can_come_home_it_says_why() {
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
            "you are on other now, not on feature/x".into()
        ))
    );

    fixture.git(&["checkout", "-q", "--detach"]).await;
    assert!(matches!(
        planned(&fixture).await,
        Err(MergeError::Refused(_))
    ));
}
