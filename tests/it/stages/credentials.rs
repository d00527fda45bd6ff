//! The Git token over HTTP: it reaches the host of the run's URL and nobody else.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flightdeck::runs::{ForgeTarget, reason};
use http::{HeaderMap, StatusCode, header};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};

use super::bench::Bench;

const TOKEN: &str = "ghp_a_token_for_one_host";

/// A server that speaks HTTP as a Git host does.
struct Host {
    /// Where its repositories are; none for a host that only wants to know passwords.
    root: Option<PathBuf>,
    /// Where it sends everybody on to.
    elsewhere: Option<String>,
    /// Every `Authorization` it was sent.
    told: Mutex<Vec<String>>,
}

impl Host {
    /// Serves; gives its address.
    async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

fn host(root: Option<PathBuf>, elsewhere: Option<String>) -> Arc<Host> {
    Arc::new(Host {
        root,
        elsewhere,
        told: Mutex::default(),
    })
}

fn password() -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("x-access-token:{TOKEN}"))
    )
}

fn plain(status: StatusCode, name: header::HeaderName, value: &str) -> Response {
    let response = Response::builder().status(status).header(name, value);
    response.body(Body::empty()).unwrap()
}

async fn answer(State(host): State<Arc<Host>>, request: Request) -> Response {
    let sent = word(request.headers(), "authorization");
    if !sent.is_empty() {
        host.told.lock().unwrap().push(sent.clone());
    }
    if let Some(elsewhere) = &host.elsewhere {
        return plain(
            StatusCode::FOUND,
            header::LOCATION,
            &format!("{elsewhere}{}", request.uri()),
        );
    }
    if sent != password() {
        return plain(
            StatusCode::UNAUTHORIZED,
            header::WWW_AUTHENTICATE,
            "Basic realm=\"git\"",
        );
    }
    if request.uri().path().starts_with("/api") {
        return plain(StatusCode::NOT_FOUND, header::SERVER, "git");
    }
    let (parts, body) = request.into_parts();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", host.root.as_ref().unwrap())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "someone")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", word(&parts.headers, "content-type"))
        .env(
            "HTTP_CONTENT_ENCODING",
            word(&parts.headers, "content-encoding"),
        )
        .env("GIT_PROTOCOL", word(&parts.headers, "git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = backend.stdin.take().unwrap();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    input.write_all(&body).await.unwrap();
    drop(input);
    let output = backend.wait_with_output().await.unwrap().stdout;
    let end = output
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(&value[..3]),
            name => response.header(name, value),
        };
    }
    response
        .body(Body::from(output[end + 4..].to_vec()))
        .unwrap()
}

fn word(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Has the run cloned from `url`, known as a forge, with the token in the credentialed containers.
fn point(bench: &mut Bench, url: &str) {
    bench.credential = vec![("GITHUB_TOKEN".into(), TOKEN.into())];
    bench.manifest.repository_url = format!("{url}/origin.git");
    bench.manifest.forge = Some(ForgeTarget {
        api_url: format!("{url}/api"),
        owner: "acme".into(),
        repository: "shop".into(),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cloned_and_pushed_with_the_token_which_is_written_nowhere() {
    let mut bench = Bench::new();
    bench.origin(&["config", "http.receivepack", "true"]);
    let here = host(Some(bench.path("")), None);
    point(&mut bench, &here.serve().await);
    let ended = bench.run_until("publish collect");
    assert_eq!(ended.code, 0, "{}", ended.log);
    let push = bench.stage("publish push");
    // No forge answers there: the branch is pushed all the same.
    assert_eq!(
        push.report.commit,
        Some(bench.origin(&["rev-parse", "docs/run-1"])),
        "{}",
        push.log
    );
    let bearer = format!("Bearer {TOKEN}");
    assert!(
        here.told()
            .iter()
            .all(|told| *told == password() || *told == bearer)
    );
    assert!(here.told().len() >= 4, "clone, base, standing, push");
    assert!(!bench.contains(TOKEN) && !push.log.contains(TOKEN) && !ended.log.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_one_is_sent_on_to_never_gets_the_token() {
    let other = host(None, None);
    let here = host(None, Some(other.serve().await));
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    let prep = bench.stage("prep clone");
    assert_eq!(
        (prep.code, prep.report.reason.as_deref()),
        (1, Some(reason::CLONE_FAILED)),
        "{}",
        prep.log
    );
    assert_eq!(other.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_is_no_known_forge_never_gets_the_token() {
    let here = host(None, None);
    let mut bench = Bench::new();
    point(&mut bench, &here.serve().await);
    bench.manifest.forge = None;
    let prep = bench.stage("prep clone");
    let message = prep.report.message.unwrap();
    assert!(message.contains("none was given"), "{message}");
    assert_eq!(here.told(), [""; 0]);
}
