//! Publish with a Git host.

use http::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

use super::bench::Bench;
use flightdeck_core::runs::{ForgeTarget, reason};
use flightdeck_host::forge::stand_in::{self, CannedResponse, StandIn, StandInOptions};

/// Returns a bench whose remote is a known Git host.
async fn forged() -> (Bench, StandIn) {
    let mut bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = StandInOptions {
        state_file: bench.path("forge.json"),
        bare_repository: Some(bench.path("origin.git")),
        repository: Some("acme/shop".into()),
        ..StandInOptions::default()
    };
    let stand_in = stand_in::serve(listener, options).await.unwrap();
    bench.manifest.forge = Some(ForgeTarget {
        kind: "github".into(),
        api_url: stand_in.url(),
        project: "acme/shop".into(),
    });
    bench.run_file("pr-title", "docs: two tasks\n");
    bench.run_file("pr-body.md", "Documents.\n");
    (bench, stand_in)
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_targets_the_source_branch_and_is_reused() {
    let (bench, _stand_in) = forged().await;
    let first = bench.run();
    assert_eq!(
        (first.code, first.report.pull_request_number),
        (0, Some(1)),
        "{}",
        first.log
    );
    let state = std::fs::read_to_string(bench.path("forge.json")).unwrap();
    for part in ["docs: two tasks", "Documents.", "feature/shop"] {
        assert!(state.contains(part), "{part}: {state}");
    }
    let again = bench.stage("publish push");
    assert_eq!(again.report.pull_request_url, first.report.pull_request_url);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_attempt_opens_a_pull_request_from_its_branch() {
    let (mut bench, _stand_in) = forged().await;
    assert_eq!(bench.run().report.pull_request_number, Some(1));
    bench.manifest.context_version = 2;
    bench.agent("flightdeck agent template; git commit --amend -qm other");
    let second = bench.run();
    assert_eq!(
        (second.code, second.report.pull_request_number),
        (0, Some(2)),
        "{}",
        second.log
    );
    assert_eq!(second.report.branch.as_deref(), Some("docs/run-1-v2"));
    let message = second.report.message.unwrap();
    assert!(
        message.ends_with("earlier attempt; pushed to docs/run-1-v2"),
        "{message}"
    );
    let state = std::fs::read_to_string(bench.path("forge.json")).unwrap();
    assert!(state.contains("\"docs/run-1-v2\""), "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pull_request_fails_the_run_but_keeps_the_branch() {
    let (bench, stand_in) = forged().await;
    stand_in
        .plan(CannedResponse {
            method: Method::POST,
            path: "/pulls".into(),
            status: StatusCode::FORBIDDEN,
            headers: Vec::new(),
            body: json!({"message": "Resource not accessible"}),
            times: 1,
        })
        .await;
    let ended = bench.run();
    assert_eq!(
        (ended.code, ended.report.reason.as_deref()),
        (1, Some(reason::PULL_REQUEST_FAILED))
    );
    assert!(
        ended
            .report
            .message
            .unwrap()
            .contains("Resource not accessible")
    );
    assert_eq!(
        ended.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"]))
    );
    assert_eq!(ended.report.pull_request_number, None);
    assert_eq!(
        ended.report.pull_request_reason.as_deref(),
        Some("PermissionDenied")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_rate_limit_fails_at_once_and_publish_is_retryable() {
    let (bench, stand_in) = forged().await;
    stand_in
        .plan(CannedResponse {
            method: Method::POST,
            path: "/pulls".into(),
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: vec![("retry-after".into(), "3600".into())],
            body: json!({"message": "You have exceeded a secondary rate limit."}),
            times: 1,
        })
        .await;
    let ended = bench.run();
    assert_eq!(
        ended.report.pull_request_reason.as_deref(),
        Some("RateLimited"),
        "{}",
        ended.log
    );
    let again = bench.stage("publish push");
    assert_eq!(
        (again.code, again.report.pull_request_number),
        (0, Some(1)),
        "{}",
        again.log
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_options_are_applied_or_reported() {
    let (mut bench, stand_in) = forged().await;
    let options = [
        ("labels", "documentation"),
        ("reviewers", "ann, ann"),
        ("draft", "true"),
        ("auto_merge", "true"),
    ];
    bench.manifest.pull_request = options
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    stand_in
        .plan(CannedResponse {
            method: Method::POST,
            path: "requested_reviewers".into(),
            status: StatusCode::UNPROCESSABLE_ENTITY,
            headers: Vec::new(),
            body: json!({"message": "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the acme/shop repository."}),
            times: 3,
        })
        .await;
    let ended = bench.run();
    assert_eq!(ended.code, 0, "{}", ended.log);
    let message = ended.report.message.unwrap();
    assert!(
        message.starts_with("cannot request reviews from ann in acme/shop:"),
        "{message}"
    );
    assert!(
        ended.log.contains("auto-merge enabled") && ended.log.contains("POST /graphql: 200"),
        "{}",
        ended.log
    );
    let kept = std::fs::read_to_string(bench.path("forge.json")).unwrap();
    assert!(
        kept.contains("\"auto_merge\": \"MERGE\"") && kept.contains("\"documentation\""),
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_branch_opens_no_pull_request() {
    use std::os::unix::fs::PermissionsExt;
    let (bench, _stand_in) = forged().await;
    let hook = bench.path("origin.git/hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    let says = "#!/bin/sh\necho 'error: GH006: Protected branch update failed for refs/heads/docs/run-1.' >&2\nexit 1\n";
    std::fs::write(&hook, says).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = bench.run();
    let report = ended.report;
    assert_eq!(report.reason.as_deref(), Some(reason::PUSH_FAILED));
    assert_eq!(
        report.pull_request_reason.as_deref(),
        Some("ProtectedBranch"),
        "{}",
        ended.log
    );
    let message = report.message.unwrap();
    assert!(message.contains("another target branch"), "{message}");
    assert_eq!((report.commit, report.pull_request_number), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_run_opens_no_pull_request() {
    let (bench, _stand_in) = forged().await;
    bench.agent("mkdir -p .taskmaster/docs/task-1 && echo x > .taskmaster/docs/task-1/task.md");
    let ended = bench.run();
    assert_eq!(
        ended.report.reason.as_deref(),
        Some(reason::INCOMPLETE),
        "{}",
        ended.log
    );
    assert!(
        !bench.path("forge.json").exists()
            || !std::fs::read_to_string(bench.path("forge.json"))
                .unwrap()
                .contains("docs/run-1")
    );
}
