use std::path::Path;

use super::*;
use crate::{Level, Report};
use flightdeck_core::runs::DOCUMENTS;
use flightdeck_host::repository::fixture::{self, Fixture, PLAN, PLAN_PATH};

async fn gathered(root: &Path, ask: Ask) -> Facts {
    gather(Request {
        ask,
        ..Request::new(root.to_owned(), RunKind::Docs)
    })
    .await
}

/// The origin gets another plan while nobody here looks.
async fn overtaken() -> Fixture {
    let fixture = Fixture::pushed().await;
    let colleague = fixture.colleague().await;
    fixture::write(
        &colleague,
        PLAN_PATH,
        &PLAN.replace("Set up", "Initialize Express"),
    );
    fixture::commit(&colleague, "Another plan").await;
    fixture::run(&colleague, &["push", "-q"]).await;
    fixture
}

#[tokio::test]
async fn only_asking_finds_out_what_the_remote_has_now() {
    let fixture = overtaken().await;
    let quiet = gathered(&fixture.root, Ask::Last(None)).await;
    assert_eq!(
        Report::of(&quiet).check("tasks-pushed").unwrap().level,
        Level::Pass
    );

    let asked = gathered(&fixture.root, Ask::Now).await;
    let check = Report::of(&asked).check("tasks-pushed").unwrap().clone();
    assert_eq!(
        (check.level, check.message.as_str()),
        (
            Level::Fail,
            "origin/feature/x has 1 task, first \"Initialize Express\"; your plan has 1, first \"Set up\""
        )
    );
    // What was learnt stays known without asking again.
    let later = gathered(&fixture.root, Ask::Last(asked.remote)).await;
    assert_eq!(
        Report::of(&later).check("tasks-pushed").unwrap().message,
        check.message
    );
}

#[tokio::test]
async fn a_branch_deleted_on_the_remote_is_not_the_one_last_seen() {
    let fixture = Fixture::pushed().await;
    fixture::run(&fixture.origin, &["branch", "-D", "feature/x"]).await;
    let facts = gathered(&fixture.root, Ask::Now).await;
    assert_eq!(facts.there(), There::Absent);
    let report = Report::of(&facts);
    assert_eq!(
        report.check("tasks-pushed").unwrap().fix,
        Some(crate::Fix::Push)
    );
    fixture.git(&["push", "-q", "origin", "feature/x"]).await;
    let facts = gathered(&fixture.root, Ask::Now).await;
    assert!(matches!(facts.there(), There::Known(_)));
}

#[tokio::test]
async fn a_remote_that_does_not_answer_refuses_a_launch() {
    let fixture = Fixture::pushed().await;
    std::fs::remove_dir_all(&fixture.origin).unwrap();
    let facts = gathered(&fixture.root, Ask::Now).await;
    let refused = Report::of(&facts).refused();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, "remote");
}

#[tokio::test]
async fn documents_of_a_code_run_are_those_the_remote_has() {
    let fixture = Fixture::pushed().await;
    let request = || Request {
        tasks: vec!["1".into()],
        ..Request::new(fixture.root.clone(), RunKind::Code)
    };
    for document in DOCUMENTS {
        fixture.write(&format!(".taskmaster/docs/task-1/{document}"), "x");
    }
    // On disk alone they are no use to a run.
    assert_eq!(gather(request()).await.documents.unwrap().count(), 0);
    fixture.commit("Documents").await;
    fixture.git(&["push", "-q"]).await;
    assert!(gather(request()).await.documents.unwrap().is_complete());
}

#[tokio::test]
async fn the_tag_in_use_is_the_one_of_the_projects_state() {
    let fixture = Fixture::pushed().await;
    fixture.write(".taskmaster/state.json", r#"{"currentTag": "mvp"}"#);
    let facts = gathered(&fixture.root, Ask::Last(None)).await;
    assert_eq!(facts.tag, "mvp");
    let message = Report::of(&facts)
        .check("tasks-file")
        .unwrap()
        .message
        .clone();
    assert!(
        message.ends_with("has no tasks in tag mvp; it has master (1)"),
        "{message}"
    );
    let request = Request {
        tag: Some("master".into()),
        ..Request::new(fixture.root.clone(), RunKind::Docs)
    };
    assert_eq!(
        Report::of(&gather(request).await)
            .check("tasks-file")
            .unwrap()
            .level,
        Level::Pass
    );
}

#[tokio::test]
async fn outside_a_repository_there_is_an_answer_too() {
    let directory = tempfile::tempdir().unwrap();
    let facts = gathered(directory.path(), Ask::Now).await;
    assert!(facts.repository.is_err() && facts.plan.is_none() && facts.tag == "master");
}
