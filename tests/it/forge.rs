//! Pull requests against a double of GitHub: what is asked and answered is held against GitHub's own description, and each
//! failure is an exchange as GitHub documents it, with the sentence that a person reads.

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

const TOKEN: &str = "ghp_of_the_double";

/// A double and a forge that asks it without ever sleeping.
struct Scene {
    stand_in: StandIn,
    forge: Box<dyn Forge>,
    exchanges: UnboundedReceiver<RecordedCall>,
    _directory: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (recorder, exchanges) = unbounded_channel();
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
            retry_policy: never_waits(),
            ..ForgeOptions::default()
        };
        let forge = forge::open(&target(&stand_in.url()), options).unwrap();
        Self {
            stand_in,
            forge: forge.unwrap(),
            exchanges,
            _directory: directory,
        }
    }

    /// What was said so far.
    fn recorded(&mut self) -> Vec<RecordedCall> {
        let mut all = Vec::new();
        while let Ok(exchange) = self.exchanges.try_recv() {
            all.push(exchange);
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

fn never_waits() -> RetryPolicy {
    RetryPolicy::new(
        |_: Duration| Box::pin(std::future::ready(())),
        || "2030-01-01T00:00:00Z".parse().unwrap(),
    )
}

/// With everything that can be asked for.
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
async fn what_is_asked_and_answered_is_what_github_describes() {
    let Some(description) = Description::installed() else {
        skipped(
            "what_is_asked_and_answered_is_what_github_describes",
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
    let exchanges = scene.recorded();
    let rest = exchanges.iter().filter(|said| said.uri != "/graphql");
    assert!(rest.clone().count() > 12, "{exchanges:?}");
    let complaints: Vec<String> = rest.flat_map(|said| description.complaints(said)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    // It can complain.
    let mut wrong = exchanges[0].clone();
    wrong.uri.push_str("&colour=blue");
    wrong.answered = serde_json::json!([{"number": "one"}]);
    let complaints = description.complaints(&wrong);
    assert!(complaints.len() > 10, "{complaints:?}");
}

/// A console that is opened again at once finds the address of the double free.
#[tokio::test]
async fn a_double_that_was_stopped_has_let_go_of_its_address() {
    let Scene { stand_in, .. } = Scene::new().await;
    let address = stand_in.url().trim_start_matches("http://").to_owned();
    assert!(TcpListener::bind(&address).await.is_err(), "it serves");
    stand_in.stop().await;
    TcpListener::bind(&address).await.unwrap();
}

#[tokio::test]
async fn what_stands_already_is_not_asked_for_again_and_nobody_else_may_change_the_branch() {
    let mut scene = Scene::new().await;
    for _ in 0..2 {
        scene.forge.ensure_pull_request(&spec()).await.unwrap();
    }
    let exchanges = scene.recorded();
    let sent = |path: &str| {
        let sent = exchanges.iter();
        let sent = sent.filter(|said| said.method == Method::POST && said.uri.ends_with(path));
        sent.map(|said| &said.sent).collect::<Vec<_>>()
    };
    assert_eq!(
        sent("/graphql").len(),
        1,
        "auto-merge is on after the first"
    );
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

/// One exchange as GitHub documents it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// The page that documents it.
    documented: String,
    method: String,
    /// What of the path and query tells the call.
    path: String,
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Value,
    /// How often it is answered so.
    #[serde(default = "often")]
    times: usize,
    /// The failure's name; absent for what only becomes a note.
    #[serde(default)]
    name: Option<String>,
    /// What the sentence must hold.
    says: String,
}

const fn often() -> usize {
    9
}

fn recorded() -> Vec<(String, Recorded)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/forge/exchanges");
    let mut all: Vec<(String, Recorded)> = fs::read_dir(directory)
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

async fn meet(exchange: &Recorded) -> (Result<PullRequest, ForgeError>, Vec<RecordedCall>) {
    let mut scene = Scene::new().await;
    let header = |(name, value): &(String, String)| (name.clone(), value.clone());
    scene
        .stand_in
        .plan(CannedResponse {
            method: exchange.method.parse::<Method>().unwrap(),
            path: exchange.path.clone(),
            status: StatusCode::from_u16(exchange.status).unwrap(),
            headers: exchange.headers.iter().map(header).collect(),
            body: exchange.body.clone(),
            times: exchange.times,
        })
        .await;
    let met = scene.forge.ensure_pull_request(&spec()).await;
    (met, scene.recorded())
}

#[tokio::test]
async fn each_documented_failure_has_a_name_and_a_sentence_that_says_what_to_do() {
    let description = Description::installed();
    if description.is_none() {
        skipped(
            "each_documented_failure (its form alone)",
            "@octokit/openapi is not installed (.ci/peers installs it)",
        );
    }
    let mut names = BTreeSet::new();
    for (file, exchange) in recorded() {
        assert!(
            exchange.documented.starts_with("https://docs.github.com/"),
            "{file}"
        );
        let (met, said) = meet(&exchange).await;
        let sentence = match (&exchange.name, met) {
            (Some(name), Err(error)) => {
                assert_eq!(error.name(), name, "{file}: {error}");
                names.insert(error.name());
                error.to_string()
            }
            // It is there all the same.
            (None, Ok(pull)) => {
                assert_eq!(pull.number, 1);
                pull.notes.join("\n")
            }
            (_, met) => panic!("{file}: {met:?}"),
        };
        assert!(sentence.contains(&exchange.says), "{file}: {sentence}");
        assert!(!sentence.contains(TOKEN), "{file}");
        if let Some(description) = &description {
            let rest = said.iter().filter(|said| said.uri != "/graphql");
            let complaints: Vec<_> = rest.flat_map(|said| description.complaints(said)).collect();
            assert!(complaints.is_empty(), "{file}: {}", complaints.join("\n"));
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
async fn lists_are_read_to_their_last_page_and_reviews_by_each_persons_last_word() {
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
    let asked = scene.recorded().len();
    let status = scene.forge.status(made.number).await.unwrap();
    let reviews = status.reviews.unwrap();
    assert_eq!(reviews.approved, ["ann"]);
    assert_eq!(reviews.changes_requested, ["bob"]);
    // The pull request, check runs, statuses, and two pages of reviews.
    assert!(asked > 0 && scene.recorded().len() == 5);
}

#[tokio::test]
async fn a_forge_behind_a_proxy_is_reached_through_it_and_only_it_is_asked() {
    let scene = Scene::new().await;
    let address = scene.stand_in.url().replace("http://", "");
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxies = Matcher::builder()
        .all(format!("http://user:word@{}", proxy.local_addr().unwrap()))
        .build();
    // Speaks CONNECT, and leads everybody to the double whatever they ask for.
    let served = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(client.read_u8().await.unwrap());
        }
        let mut server = TcpStream::connect(address).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        drop(copy_bidirectional(&mut client, &mut server).await);
        String::from_utf8(asked).unwrap()
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
    let asked = tokio::time::timeout(Duration::from_secs(60), served)
        .await
        .unwrap()
        .unwrap();
    assert!(
        asked.starts_with("CONNECT github.acme.example:80 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.to_lowercase().contains("proxy-authorization: basic "));
    assert!(!asked.contains(TOKEN));
}

#[tokio::test]
async fn a_server_that_repeats_the_token_is_not_repeated() {
    let exchange = Recorded {
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
    let (met, _) = meet(&exchange).await;
    let sentence = met.unwrap_err().to_string();
    assert!(
        sentence.contains("(hidden) may not do this␛[2J"),
        "{sentence}"
    );
}
