use std::path::Path;

use super::*;
use crate::{Level, Report};
use flightdeck_core::runs::DOCUMENTS;
use flightdeck_host::repository::fixture::{self, Fixture, PLAN, PLAN_PATH};

async fn gathered(root: &Path, ask: RemoteQuery) -> Facts {
    let request = PreflightRequest::new(RunKind::Docs);
    gather(&request, Sources::repository(root.to_owned(), ask)).await
}

/// Returns a fixture whose origin has another plan, pushed by someone else.
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
async fn fresh_query_sees_remote_changes() {
    let fixture = overtaken().await;
    let quiet = gathered(&fixture.root, RemoteQuery::Cached(None)).await;
    assert_eq!(
        Report::of(&quiet).check("tasks-pushed").unwrap().level,
        Level::Pass
    );

    let asked = gathered(&fixture.root, RemoteQuery::Fresh).await;
    let check = Report::of(&asked).check("tasks-pushed").unwrap().clone();
    assert_eq!(
        (check.level, check.message.as_str()),
        (
            Level::Fail,
            "origin/feature/x has 1 task, first \"Initialize Express\"; your plan has 1, first \"Set up\""
        )
    );
    // The answer can be reused without contacting the remote again.
    let later = gathered(&fixture.root, RemoteQuery::Cached(asked.remote)).await;
    assert_eq!(
        Report::of(&later).check("tasks-pushed").unwrap().message,
        check.message
    );
}

#[tokio::test]
async fn detects_deleted_remote_branch() {
    let fixture = Fixture::pushed().await;
    fixture::run(&fixture.origin, &["branch", "-D", "feature/x"]).await;
    let facts = gathered(&fixture.root, RemoteQuery::Fresh).await;
    assert_eq!(facts.remote_branch(), RemoteBranch::Absent);
    let report = Report::of(&facts);
    assert_eq!(
        report.check("tasks-pushed").unwrap().fix,
        Some(crate::Fix::Push)
    );
    fixture.git(&["push", "-q", "origin", "feature/x"]).await;
    let facts = gathered(&fixture.root, RemoteQuery::Fresh).await;
    assert!(matches!(facts.remote_branch(), RemoteBranch::Known(_)));
}

#[tokio::test]
async fn unreachable_remote_blocks_launch() {
    let fixture = Fixture::pushed().await;
    std::fs::remove_dir_all(&fixture.origin).unwrap();
    let facts = gathered(&fixture.root, RemoteQuery::Fresh).await;
    let refused = Report::of(&facts).blocking();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0, "remote");
}

#[tokio::test]
async fn reads_documents_from_remote_branch() {
    let fixture = Fixture::pushed().await;
    let found = async || {
        let request = PreflightRequest {
            tasks: vec!["1".into()],
            ..PreflightRequest::new(RunKind::Code)
        };
        let sources = Sources::repository(fixture.root.clone(), RemoteQuery::Cached(None));
        let documents = gather(&request, sources).await.documents.unwrap();
        assert_eq!(documents.place, "origin/feature/x");
        documents.found.unwrap()
    };
    for document in DOCUMENTS {
        fixture.write(&format!(".taskmaster/docs/task-1/{document}"), "x");
    }
    // Runs do not see uncommitted documents.
    assert_eq!(found().await.count(), 0);
    fixture.commit("Documents").await;
    fixture.git(&["push", "-q"]).await;
    assert!(found().await.is_complete());
}

#[tokio::test]
async fn reads_documents_from_documents_repository() {
    let fixture = Fixture::pushed().await;
    let docs = Fixture::pushed().await;
    for document in DOCUMENTS {
        docs.write(&format!("plans/.taskmaster/docs/task-1/{document}"), "x");
    }
    docs.commit("Documents").await;
    docs.git(&["push", "-q"]).await;
    let found = async |branch: &str, directory: Option<&str>| {
        let request = PreflightRequest {
            tasks: vec!["1".into()],
            docs_repository: Some(docs.origin.display().to_string()),
            docs_branch: Some(branch.into()),
            docs_directory: directory.map(str::to_owned),
            ..PreflightRequest::new(RunKind::Code)
        };
        let sources = Sources::repository(fixture.root.clone(), RemoteQuery::Fresh);
        let facts = gather(&request, sources).await;
        (
            facts.documents.clone().unwrap().found,
            Report::of(&facts).check("docs-ready").unwrap().level,
        )
    };
    let (complete, level) = found("feature/x", Some("plans")).await;
    assert!(complete.unwrap().is_complete());
    assert_eq!(level, Level::Pass);
    let (missing, level) = found("feature/x", None).await;
    assert_eq!((missing.unwrap().count(), level), (0, Level::Warn));
    let (unreadable, level) = found("no-such-branch", None).await;
    assert!(unreadable.unwrap_err().contains("no-such-branch"));
    assert_eq!(level, Level::Warn);
}

#[tokio::test]
async fn reads_current_tag_from_state() {
    let fixture = Fixture::pushed().await;
    fixture.write(".taskmaster/state.json", r#"{"currentTag": "mvp"}"#);
    let facts = gathered(&fixture.root, RemoteQuery::Cached(None)).await;
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
    let request = PreflightRequest {
        tag: Some("master".into()),
        ..PreflightRequest::new(RunKind::Docs)
    };
    let sources = Sources::repository(fixture.root.clone(), RemoteQuery::Cached(None));
    assert_eq!(
        Report::of(&gather(&request, sources).await)
            .check("tasks-file")
            .unwrap()
            .level,
        Level::Pass
    );
}

#[tokio::test]
async fn gathers_outside_a_repository() {
    let directory = tempfile::tempdir().unwrap();
    let facts = gathered(directory.path(), RemoteQuery::Fresh).await;
    assert!(facts.repository.is_err() && facts.plan.is_none() && facts.tag == "master");
}
