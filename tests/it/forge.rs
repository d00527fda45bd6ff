//! Pull requests with a stand-in for GitHub. Requests and responses are compared with GitHub's OpenAPI description, and each
//! documented failure with the message for the user.

mod description;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use description::Description;
use http::{Method, StatusCode};
use hyper_util::client::proxy::matcher::Matcher;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

use crate::support::skipped;
use flightdeck_core::runs::ForgeTarget;
use flightdeck_host::forge::{
    self, Forge, ForgeError, ForgeOptions, PullRequest, PullRequestSpec, RetryPolicy, Secret,
    stand_in::{self, CannedResponse, RecordedCall, StandIn, StandInOptions},
};

const TOKEN: &str = "ghp_of_the_stand_in";

/// A stand-in and a client that never waits between retries.
struct Scene {
    stand_in: StandIn,
    forge: Box<dyn Forge>,
    calls: UnboundedReceiver<RecordedCall>,
    _directory: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (recorder, calls) = unbounded_channel();
        let options = StandInOptions {
            state_file: directory.path().join("pulls.json"),
            repository: Some("acme/shop".into()),
            token: Some(TOKEN.into()),
            people: Some(vec!["ann".into(), "acme/team-leads".into()]),
            recorder: Some(recorder),
            ..StandInOptions::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stand_in = stand_in::serve(listener, options).await.unwrap();
        let options = ForgeOptions {
            token: Secret::new(TOKEN),
            retry_policy: without_delays(),
            ..ForgeOptions::default()
        };
        let forge = forge::open(&target(&stand_in.url()), options).unwrap();
        Self {
            stand_in,
            forge: forge.unwrap(),
            calls,
            _directory: directory,
        }
    }

    /// Returns the calls since the last time.
    fn recorded(&mut self) -> Vec<RecordedCall> {
        let mut all = Vec::new();
        while let Ok(call) = self.calls.try_recv() {
            all.push(call);
        }
        all
    }
}

fn target(api_url: &str) -> ForgeTarget {
    ForgeTarget {
        kind: "github".into(),
        api_url: api_url.to_owned(),
        project: "acme/shop".into(),
    }
}

fn without_delays() -> RetryPolicy {
    RetryPolicy::new(
        |_: Duration| Box::pin(std::future::ready(())),
        || "2030-01-01T00:00:00Z".parse().unwrap(),
    )
}

/// Returns a pull request with every option.
fn spec() -> PullRequestSpec {
    PullRequestSpec {
        head: "docs/plan-7f3a".into(),
        base: "feature/nested/checkout".into(),
        title: "docs: tasks 1 to 12".into(),
        body: "Forty-eight documents.".into(),
        draft: true,
        labels: vec!["documentation".into(), "auto-generated".into()],
        reviewers: vec!["ann".into(), "team-leads".into()],
        auto_merge: true,
    }
}

#[tokio::test]
async fn requests_and_responses_match_githubs_openapi() {
    let Some(description) = Description::installed() else {
        skipped(
            "requests_and_responses_match_githubs_openapi",
            "@octokit/openapi is not installed (.ci/peers installs it)",
        );
        return;
    };
    let mut scene = Scene::new().await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!(made.notes, [""; 0]);
    scene.forge.ensure_pull_request(&spec()).await.unwrap();
    scene.forge.status(made.number).await.unwrap();
    // Unchanged, so answered with 304.
    scene.forge.status(made.number).await.unwrap();
    scene.forge.status(made.number + 1).await.unwrap_err();
    let calls = scene.recorded();
    let rest = calls.iter().filter(|call| call.uri != "/graphql");
    assert!(rest.clone().count() > 12, "{calls:?}");
    let errors: Vec<String> = rest.flat_map(|call| description.errors(call)).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    // The comparison detects errors.
    let mut wrong = calls[0].clone();
    wrong.uri.push_str("&colour=blue");
    wrong.answered = serde_json::json!([{"number": "one"}]);
    let errors = description.errors(&wrong);
    assert!(errors.len() > 10, "{errors:?}");
}

/// A console that is opened again at once must find the address free.
#[tokio::test]
async fn stopped_stand_in_releases_its_address() {
    let Scene { stand_in, .. } = Scene::new().await;
    let address = stand_in.url().trim_start_matches("http://").to_owned();
    assert!(TcpListener::bind(&address).await.is_err(), "in use");
    stand_in.stop().await;
    TcpListener::bind(&address).await.unwrap();
}

#[tokio::test]
async fn existing_pull_request_is_not_created_again() {
    let mut scene = Scene::new().await;
    for _ in 0..2 {
        scene.forge.ensure_pull_request(&spec()).await.unwrap();
    }
    let calls = scene.recorded();
    let sent = |path: &str| {
        let sent = calls.iter();
        let sent = sent.filter(|call| call.method == Method::POST && call.uri.ends_with(path));
        sent.map(|call| &call.sent).collect::<Vec<_>>()
    };
    assert_eq!(sent("/graphql").len(), 1, "auto-merge is enabled only once");
    let opened = sent("/pulls");
    assert_eq!(opened.len(), 1);
    let given = spec();
    assert_eq!(
        *opened[0],
        serde_json::json!({
            "title": given.title, "body": given.body, "head": given.head, "base": given.base,
            "draft": true, "maintainer_can_modify": false,
        })
    );
}

/// A failed call as GitHub documents it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentedFailure {
    /// URL of the documentation.
    documented: String,
    method: String,
    /// Part of the path and query that identifies the call.
    path: String,
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Value,
    /// Number of times that the call fails.
    #[serde(default = "always")]
    times: usize,
    /// Name of the error; absent if the failure only becomes a note.
    #[serde(default)]
    name: Option<String>,
    /// Text that the message must contain.
    says: String,
}

/// More than the number of retries.
const fn always() -> usize {
    9
}

fn documented_failures() -> Vec<(String, DocumentedFailure)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/forge/exchanges");
    let mut all: Vec<(String, DocumentedFailure)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let read = serde_json::from_slice(&fs::read(&path).unwrap());
            (
                name,
                read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// Opens a pull request while this call fails. Returns the result and all calls.
async fn open_with(
    failure: &DocumentedFailure,
) -> (Result<PullRequest, ForgeError>, Vec<RecordedCall>) {
    let mut scene = Scene::new().await;
    let header = |(name, value): &(String, String)| (name.clone(), value.clone());
    scene
        .stand_in
        .plan(CannedResponse {
            method: failure.method.parse::<Method>().unwrap(),
            path: failure.path.clone(),
            status: StatusCode::from_u16(failure.status).unwrap(),
            headers: failure.headers.iter().map(header).collect(),
            body: failure.body.clone(),
            times: failure.times,
        })
        .await;
    let result = scene.forge.ensure_pull_request(&spec()).await;
    (result, scene.recorded())
}

#[tokio::test]
async fn documented_failures_have_a_name_and_a_hint() {
    let description = Description::installed();
    if description.is_none() {
        skipped(
            "documented_failures_have_a_name_and_a_hint (comparison with OpenAPI)",
            "@octokit/openapi is not installed (.ci/peers installs it)",
        );
    }
    let mut names = BTreeSet::new();
    for (file, failure) in documented_failures() {
        assert!(
            failure.documented.starts_with("https://docs.github.com/"),
            "{file}"
        );
        let (result, calls) = open_with(&failure).await;
        let message = match (&failure.name, result) {
            (Some(name), Err(error)) => {
                assert_eq!(error.name(), name, "{file}: {error}");
                names.insert(error.name());
                error.to_string()
            }
            // The pull request was created.
            (None, Ok(pull)) => {
                assert_eq!(pull.number, 1);
                pull.notes.join("\n")
            }
            (_, result) => panic!("{file}: {result:?}"),
        };
        assert!(message.contains(&failure.says), "{file}: {message}");
        assert!(!message.contains(TOKEN), "{file}");
        if let Some(description) = &description {
            let rest = calls.iter().filter(|call| call.uri != "/graphql");
            let errors: Vec<_> = rest.flat_map(|call| description.errors(call)).collect();
            assert!(errors.is_empty(), "{file}: {}", errors.join("\n"));
        }
    }
    let expected = [
        "AlreadyExists",
        "ForgeServerError",
        "MissingBase",
        "MissingHead",
        "NoCommits",
        "PermissionDenied",
        "RateLimited",
        "Refused",
        "RepositoryMoved",
        "RepositoryNotFound",
        "Unauthorized",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}

#[tokio::test]
async fn reads_all_pages_and_each_reviewers_last_review() {
    let mut scene = Scene::new().await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let review = |who: &str, state: &str| serde_json::json!({"user": {"login": who}, "state": state, "submitted_at": "2030-01-01T00:00:00Z"});
    let url = scene.stand_in.url();
    let first: Vec<Value> = (0..100).map(|_| review("bob", "COMMENTED")).collect();
    let last = vec![
        review("bob", "CHANGES_REQUESTED"),
        review("ann", "CHANGES_REQUESTED"),
        review("eve", "APPROVED"),
        review("ann", "APPROVED"),
        review("ann", "COMMENTED"),
        review("eve", "DISMISSED"),
    ];
    let page = |number: usize| format!("reviews?page={number}&");
    for (at, body, link) in [
        (
            1,
            first,
            format!("<{url}/repos/acme/shop/pulls/1/reviews?page=2&per_page=100>; rel=\"next\""),
        ),
        (
            2,
            last,
            format!("<{url}/repos/acme/shop/pulls/1/reviews?page=1&per_page=100>; rel=\"prev\""),
        ),
    ] {
        scene
            .stand_in
            .plan(CannedResponse {
                method: Method::GET,
                path: page(at),
                status: StatusCode::OK,
                headers: vec![("link".into(), link)],
                body: body.into(),
                times: 1,
            })
            .await;
    }
    let before = scene.recorded().len();
    let status = scene.forge.status(made.number).await.unwrap();
    let reviews = status.reviews.unwrap();
    assert_eq!(reviews.approved, ["ann"]);
    assert_eq!(reviews.changes_requested, ["bob"]);
    // The pull request, check runs, statuses, and two pages of reviews.
    assert!(before > 0 && scene.recorded().len() == 5);
}

/// GitHub may not have seen a branch that was pushed a moment ago.
#[tokio::test]
async fn branch_that_is_seen_late_gets_its_pull_request() {
    let (_, missing) = documented_failures()
        .into_iter()
        .find(|(file, _)| file.contains("missing-head"))
        .unwrap();
    let late = DocumentedFailure {
        times: 2,
        ..missing
    };
    let (result, calls) = open_with(&late).await;
    assert_eq!(result.unwrap().number, 1);
    let posts = calls
        .iter()
        .filter(|call| call.method == Method::POST && call.uri.ends_with("/pulls"));
    assert_eq!(posts.count(), 3);
}

#[tokio::test]
async fn requests_use_the_proxy() {
    let scene = Scene::new().await;
    let address = scene.stand_in.url().replace("http://", "");
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxies = Matcher::builder()
        .all(format!("http://user:word@{}", proxy.local_addr().unwrap()))
        .build();
    // Handles CONNECT, and connects every client to the stand-in.
    let served = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let mut server = TcpStream::connect(address).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        drop(copy_bidirectional(&mut client, &mut server).await);
        String::from_utf8(head).unwrap()
    });
    let away = target("http://github.acme.example");
    let options = ForgeOptions {
        token: Secret::new(TOKEN),
        proxies: Some(proxies),
        ..ForgeOptions::default()
    };
    let forge = forge::open(&away, options).unwrap().unwrap();
    let made = forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!(made.number, 1);
    drop(forge);
    let head = tokio::time::timeout(Duration::from_secs(60), served)
        .await
        .unwrap()
        .unwrap();
    assert!(
        head.starts_with("CONNECT github.acme.example:80 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.to_lowercase().contains("proxy-authorization: basic "));
    assert!(!head.contains(TOKEN));
}

#[tokio::test]
async fn token_in_a_response_is_redacted() {
    let failure = DocumentedFailure {
        documented: String::new(),
        method: "POST".into(),
        path: "/pulls".into(),
        status: 403,
        headers: Vec::new(),
        body: serde_json::json!({"message": format!("{TOKEN} may not do this\u{1b}[2J")}),
        times: 1,
        name: None,
        says: String::new(),
    };
    let (result, _) = open_with(&failure).await;
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("(hidden) may not do this␛[2J"),
        "{message}"
    );
}
