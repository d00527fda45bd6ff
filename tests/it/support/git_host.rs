//! A Git host over HTTP that requires a password and records the credentials it receives.

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

/// A Git server over HTTP.
pub(crate) struct GitHost {
    /// Accepted passwords.
    tokens: Vec<String>,
    /// Directory of its repositories; `None` for a host that only records credentials.
    root: Option<PathBuf>,
    /// Where it redirects every request.
    redirect: Option<String>,
    /// Each received `Authorization` header, with the path of its request.
    authorizations: Mutex<Vec<(String, String)>>,
}

impl GitHost {
    /// Returns a host with the repositories in `root`.
    pub(crate) fn with(token: &str, root: Option<PathBuf>) -> Arc<Self> {
        Self::with_tokens(&[token], root)
    }

    /// Returns a host with the repositories in `root` that accepts any of the tokens.
    pub(crate) fn with_tokens(tokens: &[&str], root: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self {
            tokens: tokens.iter().map(ToString::to_string).collect(),
            root,
            redirect: None,
            authorizations: Mutex::default(),
        })
    }

    /// Returns a host that redirects every request to `target`.
    pub(crate) fn redirecting(target: String) -> Arc<Self> {
        Arc::new(Self {
            tokens: Vec::new(),
            root: None,
            redirect: Some(target),
            authorizations: Mutex::default(),
        })
    }

    /// Starts to serve. Returns the URL.
    pub(crate) async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    /// Returns every received `Authorization` header.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.authorizations_for("/")
    }

    /// Returns the `Authorization` headers of requests whose path begins with `prefix`.
    pub(crate) fn authorizations_for(&self, prefix: &str) -> Vec<String> {
        let all = self.authorizations.lock().unwrap();
        let matching = all.iter().filter(|(path, _)| path.starts_with(prefix));
        matching.map(|(_, header)| header.clone()).collect()
    }
}

/// Returns the `Authorization` header for a token.
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
    let sent = header_value(request.headers(), "authorization");
    if !sent.is_empty() {
        let path = request.uri().path().to_owned();
        let mut authorizations = host.authorizations.lock().unwrap();
        authorizations.push((path, sent.clone()));
    }
    if let Some(target) = &host.redirect {
        return plain(
            StatusCode::FOUND,
            header::LOCATION,
            &format!("{target}{}", request.uri()),
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
        .env("CONTENT_TYPE", header_value(&parts.headers, "content-type"))
        .env(
            "HTTP_CONTENT_ENCODING",
            header_value(&parts.headers, "content-encoding"),
        )
        .env("GIT_PROTOCOL", header_value(&parts.headers, "git-protocol"))
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

fn header_value(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
