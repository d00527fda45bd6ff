//! Tests the forge client against the stand-in.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    stand_in::{CannedResponse, StandIn, StandInOptions},
    *,
};
use crate::repository::git::Git;
use flightdeck_core::runs::ForgeTarget;

struct Scene {
    stand_in: StandIn,
    forge: Box<dyn Forge>,
    retry_policy: RetryPolicy,
    /// Requested waits; none was slept.
    waits: Arc<Mutex<Vec<Duration>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut StandInOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = StandInOptions {
            state_file: directory.path().join("pulls.json"),
            repository: Some("acme/shop".into()),
            token: Some("secret-token".into()),
            ..StandInOptions::default()
        };
        change(&mut options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stand_in = stand_in::serve(listener, options).await.unwrap();
        let waits = Arc::new(Mutex::new(Vec::new()));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (asked, made) = (waits.clone(), calls.clone());
        let retry_policy = RetryPolicy::new(
            move |wait| {
                asked.lock().unwrap().push(wait);
                Box::pin(std::future::ready(()))
            },
            || "2030-01-01T00:00:00Z".parse().unwrap(),
        );
        let options = ForgeOptions {
            token: Secret::new("secret-token"),
            retry_policy: retry_policy.clone(),
            audit: Some(Arc::new(move |call: &Call| {
                made.lock().unwrap().push(call.clone());
            })),
            ..ForgeOptions::default()
        };
        let forge = open(&target(&stand_in.url()), options).unwrap().unwrap();
        Self {
            stand_in,
            forge,
            retry_policy,
            waits,
            calls,
            directory,
        }
    }

    async fn plan(&self, method: Method, path: &str, status: u16, body: Value, times: usize) {
        self.plan_with(method, path, status, body, times, Vec::new())
            .await;
    }

    async fn plan_with(
        &self,
        method: Method,
        path: &str,
        status: u16,
        body: Value,
        times: usize,
        headers: Vec<(String, String)>,
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        self.stand_in
            .plan(CannedResponse {
                method,
                path: path.to_owned(),
                status,
                headers,
                body,
                times,
            })
            .await;
    }

    /// Opens a target with the options of the scene.
    fn open(&self, target: &ForgeTarget, token: Option<&str>) -> Box<dyn Forge> {
        let options = ForgeOptions {
            token: token.and_then(Secret::new),
            retry_policy: self.retry_policy.clone(),
            ..ForgeOptions::default()
        };
        open(target, options).unwrap().unwrap()
    }

    fn waited(&self) -> Vec<u64> {
        let waits = self.waits.lock().unwrap();
        waits.iter().map(Duration::as_secs).collect()
    }
}

fn target(api_url: &str) -> ForgeTarget {
    ForgeTarget {
        kind: "github".into(),
        api_url: api_url.to_owned(),
        project: "acme/shop".into(),
    }
}

fn spec() -> PullRequestSpec {
    PullRequestSpec {
        head: "docs/plan-7f3a".into(),
        base: "feature/nested/checkout".into(),
        title: "docs: tasks 1 to 12".into(),
        body: "Forty-eight documents.".into(),
        ..PullRequestSpec::default()
    }
}

async fn git(directory: &Path, arguments: &[&str]) -> String {
    let git = Git::new(directory).isolated().args(arguments);
    let git = git
        .config("user.name", "t")
        .config("user.email", "t@example.invalid");
    git.run().await.unwrap().text()
}

/// Creates a bare repository with `main`, the nested feature branch, and a branch that is one commit ahead of it.
async fn bare(directory: &Path) -> std::path::PathBuf {
    let bare = directory.join("origin.git");
    git(
        directory,
        &["init", "-q", "--bare", "-b", "main", "origin.git"],
    )
    .await;
    let tree = git(&bare, &["mktree"]).await;
    let first = git(&bare, &["commit-tree", "-m", "one", &tree]).await;
    let second = git(&bare, &["commit-tree", "-m", "two", "-p", &first, &tree]).await;
    for (branch, commit) in [
        ("main", &first),
        ("feature/nested/checkout", &first),
        ("docs/plan-7f3a", &second),
    ] {
        git(
            &bare,
            &["update-ref", &format!("refs/heads/{branch}"), commit],
        )
        .await;
    }
    bare
}

#[tokio::test]
async fn creates_pull_request_once_per_head_and_base() {
    let scene = Scene::new(|_| ()).await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!((made.number, made.state), (1, PullState::Open));
    assert_eq!(
        (made.base.as_str(), made.head.as_str()),
        ("feature/nested/checkout", "docs/plan-7f3a")
    );
    let again = PullRequestSpec {
        title: "another title".into(),
        ..spec()
    };
    let found = scene.forge.ensure_pull_request(&again).await.unwrap();
    assert_eq!((found.number, found.title.as_str()), (1, "another title"));
    let other_base = PullRequestSpec {
        base: "main".into(),
        ..spec()
    };
    let other = scene.forge.ensure_pull_request(&other_base).await.unwrap();
    assert_eq!(other.number, 2);
}

#[tokio::test]
async fn sets_labels_reviewers_and_teams_from_options() {
    let scene = Scene::new(|options| {
        options.people = Some(vec!["ann".into(), "acme/team-leads".into()]);
    })
    .await;
    let options = [
        ("labels", "documentation, auto-generated"),
        ("reviewers", "ann,team-leads,zoe"),
        ("draft", "true"),
        ("auto_merge", "true"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let asked = spec().with_options(&options.into());
    let made = scene.forge.ensure_pull_request(&asked).await.unwrap();
    assert!(made.draft);
    assert_eq!(
        made.notes,
        [
            "cannot request reviews from zoe in acme/shop: correct `reviewers` in the settings, or add them as collaborators"
        ]
    );
    assert!(made.auto_merge);
    let status = scene.forge.status(made.number).await.unwrap();
    assert!(status.pull_request.auto_merge);
    assert_eq!(status.labels, ["documentation", "auto-generated"]);
    assert_eq!(status.reviewers, ["ann", "team-leads"]);
}

#[tokio::test]
async fn retries_until_server_recovers() {
    let scene = Scene::new(|_| ()).await;
    scene
        .plan(Method::POST, "/pulls", 500, Value::Null, 1)
        .await;
    scene
        .plan_with(
            Method::POST,
            "/pulls",
            429,
            Value::Null,
            1,
            vec![("retry-after".into(), "7".into())],
        )
        .await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!(made.number, 1);
    let waits = scene.waited();
    assert_eq!(waits[0], 0);
    assert!((7..=8).contains(&waits[1]), "{waits:?}");
    let posts: Vec<(Option<u16>, u32)> = scene
        .calls
        .lock()
        .unwrap()
        .iter()
        .filter(|call| call.method == "POST")
        .map(|call| (call.status, call.attempt))
        .collect();
    assert_eq!(posts, [(Some(500), 1), (Some(429), 2), (Some(201), 3)]);
}

#[tokio::test]
async fn waits_minutes_for_secondary_limit_unless_interactive() {
    let scene = Scene::new(|_| ()).await;
    let limit = || json!({"message": "You have exceeded a secondary rate limit."});
    scene.plan(Method::POST, "/pulls", 403, limit(), 2).await;
    scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let waits = scene.waited();
    assert!((60..=61).contains(&waits[0]), "{waits:?}");
    assert!((120..=121).contains(&waits[1]), "{waits:?}");

    scene.plan(Method::GET, "/pulls", 403, limit(), 1).await;
    let options = ForgeOptions {
        token: Secret::new("secret-token"),
        retry_policy: RetryPolicy::interactive(),
        ..ForgeOptions::default()
    };
    let forge = open(&target(&scene.stand_in.url()), options).unwrap();
    let error = forge.unwrap().status(1).await.unwrap_err();
    assert!(matches!(error, ForgeError::RateLimited { .. }), "{error}");
}

#[tokio::test]
async fn finds_pull_request_whose_response_was_lost() {
    let scene = Scene::new(|_| ()).await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    // The first list does not contain it yet, and creating it again is refused.
    scene.plan(Method::GET, "/pulls?", 200, json!([]), 1).await;
    let found = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!(found.number, made.number);
}

#[tokio::test]
async fn ignores_pull_requests_of_other_branches() {
    let scene = Scene::new(|_| ()).await;
    // A server that ignores the filter.
    let others = json!([{
        "number": 99, "state": "open", "html_url": "https://forge.example/pull/99",
        "head": {"ref": "somebody/else"}, "base": {"ref": "feature/nested/checkout"},
    }]);
    scene.plan(Method::GET, "/pulls?", 200, others, 1).await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    assert_eq!((made.number, made.head.as_str()), (1, "docs/plan-7f3a"));
}

#[tokio::test]
async fn does_not_retry_unauthorized() {
    let scene = Scene::new(|_| ()).await;
    scene.plan(Method::GET, "/pulls", 401, Value::Null, 1).await;
    let error = scene.forge.status(1).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unauthorized { .. }));
    assert_eq!(scene.waited(), Vec::<u64>::new());
}

#[tokio::test]
async fn missing_token_differs_from_wrong_token() {
    let scene = Scene::new(|_| ()).await;
    let forge = scene.open(&target(&scene.stand_in.url()), None);
    let error = forge.status(1).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("requires a token for acme/shop: set GITHUB_TOKEN"),
        "{error}"
    );
}

#[tokio::test]
async fn unreachable_server_is_a_network_error() {
    let scene = Scene::new(|_| ()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let forge = scene.open(&target(&url), None);
    let error = forge.status(1).await.unwrap_err();
    assert!(matches!(error, ForgeError::Network { .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn distinguishes_missing_repository_and_pull_request() {
    let scene = Scene::new(|_| ()).await;
    let error = scene.forge.status(9).await.unwrap_err();
    assert_eq!(error.to_string(), "acme/shop has no pull request #9");
    let other = ForgeTarget {
        project: "acme/other".into(),
        ..target(&scene.stand_in.url())
    };
    let forge = scene.open(&other, Some("secret-token"));
    let error = forge.status(9).await.unwrap_err();
    assert!(matches!(error, ForgeError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn stand_in_reflects_its_repository() {
    let fixture = tempfile::tempdir().unwrap();
    let origin = bare(fixture.path()).await;
    let scene = Scene::new(|options| options.bare_repository = Some(origin.clone())).await;
    for (base, head, expected) in [
        ("gone", "docs/plan-7f3a", "has no base branch gone"),
        ("main", "gone", "has no head branch gone"),
        (
            "main",
            "feature/nested/checkout",
            "has no commits that are not in main",
        ),
    ] {
        let asked = PullRequestSpec {
            base: base.into(),
            head: head.into(),
            ..spec()
        };
        let error = scene.forge.ensure_pull_request(&asked).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let status = scene.forge.status(made.number).await.unwrap();
    let passed = Checks {
        passed: 1,
        ..Checks::default()
    };
    assert_eq!(
        (status.mergeable, status.checks),
        (Some(true), Some(passed))
    );

    let head = git(&origin, &["rev-parse", "docs/plan-7f3a"]).await;
    assert_eq!(made.head_commit, head);
    git(
        &origin,
        &["update-ref", "refs/heads/feature/nested/checkout", &head],
    )
    .await;
    let merged = scene.forge.status(made.number).await.unwrap();
    assert_eq!(merged.pull_request.state, PullState::Merged);
}

#[tokio::test]
async fn stand_in_restores_pull_requests() {
    let scene = Scene::new(|_| ()).await;
    scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let state_file = scene.directory.path().join("pulls.json");
    let again = Scene::new(|options| options.state_file = state_file).await;
    let found = again.forge.status(1).await.unwrap().pull_request;
    assert_eq!((found.number, found.head), (1, spec().head));
    assert!(
        found.url.starts_with(&again.stand_in.url()),
        "{}",
        found.url
    );
}

#[tokio::test]
async fn counts_checks_and_tolerates_missing_permission() {
    let scene = Scene::new(|_| ()).await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let runs = json!({"check_runs": [
        {"conclusion": "success"}, {"conclusion": "failure"}, {"conclusion": null}, {"conclusion": "skipped"}]});
    let statuses = json!({"statuses": [{"state": "pending"}, {"state": "error"}]});
    scene.plan(Method::GET, "/check-runs", 200, runs, 1).await;
    scene.plan(Method::GET, "/status", 200, statuses, 1).await;
    let counted = Checks {
        passed: 2,
        failed: 2,
        pending: 2,
    };
    let status = scene.forge.status(made.number).await.unwrap();
    assert_eq!(status.checks, Some(counted));

    for path in ["/check-runs", "/status"] {
        scene.plan(Method::GET, path, 403, Value::Null, 1).await;
    }
    let status = scene.forge.status(made.number).await.unwrap();
    assert_eq!(status.checks, None);
}

#[tokio::test]
async fn unchanged_responses_are_read_from_the_cache() {
    let scene = Scene::new(|_| ()).await;
    let made = scene.forge.ensure_pull_request(&spec()).await.unwrap();
    let first = scene.forge.status(made.number).await.unwrap();
    let before = scene.calls.lock().unwrap().len();
    assert_eq!(scene.forge.status(made.number).await.unwrap(), first);
    let statuses: Vec<Option<u16>> = scene.calls.lock().unwrap()[before..]
        .iter()
        .map(|call| call.status)
        .collect();
    assert_eq!(statuses, [Some(304); 4]);
    // A change is read.
    let change = PullRequestSpec {
        title: "another title".into(),
        ..spec()
    };
    scene.forge.ensure_pull_request(&change).await.unwrap();
    let status = scene.forge.status(made.number).await.unwrap();
    assert_eq!(status.pull_request.title, "another title");
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let scene = Scene::new(|_| ()).await;
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let elsewhere = Scene::new(|options| options.recorder = Some(sender)).await;
    let location = format!("{}/repos/acme/shop/pulls/1", elsewhere.stand_in.url());
    let headers = vec![("location".into(), location)];
    scene
        .plan_with(Method::GET, "/pulls", 302, Value::Null, 1, headers)
        .await;
    let error = scene.forge.status(1).await.unwrap_err();
    assert!(matches!(error, ForgeError::Moved { .. }), "{error}");
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn stand_in_never_gets_the_token_of_the_user() {
    let scene = Scene::new(|options| options.token = Some(stand_in::TOKEN.into())).await;
    let target = ForgeTarget {
        kind: stand_in::NAME.into(),
        ..target(&scene.stand_in.url())
    };
    let own = |_: &str| Some("ghp_of_the_user".to_owned());
    assert_eq!(token(Some(&target), own), None);
    let forge = scene.open(&target, Some("ghp_of_the_user"));
    assert_eq!(forge.ensure_pull_request(&spec()).await.unwrap().number, 1);
}

#[tokio::test]
async fn rejects_project_with_groups_and_unknown_kinds() {
    let at = |kind: &str, project: &str| {
        let target = ForgeTarget {
            kind: kind.into(),
            api_url: "https://api.github.com".into(),
            project: project.into(),
        };
        open(&target, ForgeOptions::default()).map(|forge| forge.is_some())
    };
    assert_eq!(at("github", "acme/shop"), Ok(true));
    assert_eq!(at(NONE, "group/sub/project"), Ok(false));
    for project in ["group/sub/project", "shop", "/srv/shop", "acme/", ""] {
        let error = at("github", project).unwrap_err();
        assert_eq!(error.name(), "InvalidProject", "{project}");
    }
    let error = at("github", "group/sub/project").unwrap_err().to_string();
    assert!(
        error.starts_with("group/sub/project is not a repository of GitHub, which has owner/name:"),
        "{error}"
    );
    assert_eq!(at("gitlub", "a/b").unwrap_err().name(), "UnknownForge");
}

#[test]
fn kinds_are_distinct_and_recognized_by_their_api() {
    for (at, kind) in KINDS.iter().enumerate() {
        assert!(KINDS[..at].iter().all(|other| other.name != kind.name));
        assert!(is_known(kind.name) && kind.name != AUTO && kind.name != NONE);
    }
    for url in [
        "https://api.github.com",
        "https://api.acme.ghe.com",
        "https://github.acme.example/api/v3",
        "https://git.example",
    ] {
        assert_eq!(recognize(url), "github", "{url}");
    }
}
