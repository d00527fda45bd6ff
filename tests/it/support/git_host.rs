//! A Git host over HTTP that wants a password and remembers what it was told.

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
use http::{HeaderMap, StatusCode, header};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};

/// A server that speaks HTTP as a Git host does.
pub(crate) struct GitHost {
    /// The passwords it takes.
    tokens: Vec<String>,
    /// Where its repositories are; none for a host that only wants to know passwords.
    root: Option<PathBuf>,
    /// Where it sends everybody on to.
    elsewhere: Option<String>,
    /// Every `Authorization` it was sent, with the path it came to.
    told: Mutex<Vec<(String, String)>>,
}

impl GitHost {
    /// One that has the repositories below `root`.
    pub(crate) fn with(token: &str, root: Option<PathBuf>) -> Arc<Self> {
        Self::taking(&[token], root)
    }

    /// One that has the repositories below `root`, for any of these tokens.
    pub(crate) fn taking(tokens: &[&str], root: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            tokens: tokens.iter().map(ToString::to_string).collect(),
            root,
            elsewhere: None,
            told: Mutex::default(),
        })
    }

    /// One that sends everybody on to `elsewhere`.
    pub(crate) fn leading(elsewhere: String) -> Arc<Self> {
        Arc::new(Self {
            tokens: Vec::new(),
            root: None,
            elsewhere: Some(elsewhere),
            told: Mutex::default(),
        })
    }

    /// Serves; gives its address.
    pub(crate) async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Every `Authorization` it was sent.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told_at("/")
    }

    /// Every `Authorization` it was sent for a path that begins so.
    pub(crate) fn told_at(&self, start: &str) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let here = told.iter().filter(|(path, _)| path.starts_with(start));
        here.map(|(_, sent)| sent.clone()).collect()
    }
}

/// What is sent for a token.
pub(crate) fn password(token: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("x-access-token:{token}"))
    )
}

fn plain(status: StatusCode, name: header::HeaderName, value: &str) -> Response {
    let response = Response::builder().status(status).header(name, value);
    response.body(Body::empty()).unwrap()
}

async fn answer(State(host): State<Arc<GitHost>>, request: Request) -> Response {
    let sent = word(request.headers(), "authorization");
    if !sent.is_empty() {
        let path = request.uri().path().to_owned();
        host.told.lock().unwrap().push((path, sent.clone()));
    }
    if let Some(elsewhere) = &host.elsewhere {
        return plain(
            StatusCode::FOUND,
            header::LOCATION,
            &format!("{elsewhere}{}", request.uri()),
        );
    }
    if !host.tokens.iter().any(|token| sent == password(token)) {
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
