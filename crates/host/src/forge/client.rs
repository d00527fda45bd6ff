//! The HTTP client of the forges: through the environment's proxy, with retries, auditing and conditional requests.
//!
//! Redirects are never followed, so the token reaches only the API's own host. The token is redacted from every
//! response here, so that it cannot be shown later.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client, Error as HttpError,
            connect::{Connect, HttpConnector},
        },
        proxy::matcher::Matcher,
    },
    rt::TokioExecutor,
};
use serde_json::Value;
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{
    Audit, ForgeError, ForgeOptions, RetryPolicy, Secret,
    retry::{self, Hint},
};
use crate::proxy;
use flightdeck_core::{
    backoff,
    remote_url::{RemoteUrl, redact},
    text,
};

/// Maximum size of a response, in bytes.
const RESPONSE_LIMIT: usize = 8 * 1024 * 1024;
/// Maximum width of a server's message in an error.
const MESSAGE_LIMIT: usize = 300;
/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for a whole response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(40);
/// Responses kept for conditional requests, and the maximum size of each, in bytes.
const CACHED_RESPONSES: usize = 16;
const CACHED_SIZE: usize = 1024 * 1024;

/// An API call, for auditing. Never contains a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// `None` if there was no response.
    pub status: Option<u16>,
    /// Starts at 1.
    pub attempt: u32,
    pub milliseconds: u64,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.path)?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("no answer")?,
        }
        write!(f, " after {} ms", self.milliseconds)?;
        if self.attempt > 1 {
            write!(f, ", attempt {}", self.attempt)?;
        }
        Ok(())
    }
}

/// A request to the API.
pub(super) struct ApiRequest<'a> {
    pub(super) method: Method,
    /// Path and query below the client's root.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'static str)],
    pub(super) body: Option<&'a Value>,
}

/// A response from the server.
pub(super) struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Null if it is empty, or an error that is not JSON.
    pub(super) body: Value,
}

/// A successful response with an `ETag`, for conditional requests.
struct Cached {
    path: String,
    etag: HeaderValue,
    headers: HeaderMap,
    text: String,
}

type Http = BoxCloneSyncService<Request<Full<Bytes>>, Response<Incoming>, HttpError>;

/// A server and the token for it.
pub(super) struct ApiClient {
    http: Http,
    /// Base URL of the API, without a trailing slash.
    root: String,
    /// The base URL that requests are sent to, with an explicit port where needed.
    address: String,
    /// The server's name for display.
    pub(super) host: String,
    token: Option<Secret>,
    authorization: Option<HeaderValue>,
    pub(super) retry_policy: RetryPolicy,
    audit: Option<Audit>,
    cache: Mutex<VecDeque<Cached>>,
}

impl ApiClient {
    /// Waits before retry number `retry` (from 0) of a call whose response depends on something that GitHub may not have seen
    /// yet. Returns `false` to give up.
    pub(super) async fn wait_briefly(&self, retry: u32) -> bool {
        let longest = self.retry_policy.longest;
        match retry::wait(retry, Hint::Backoff, backoff::jitter(), longest) {
            Some(wait) => {
                (self.retry_policy.sleep)(wait).await;
                true
            }
            None => false,
        }
    }

    /// Creates a client of the API at `root`, through a proxy if one is configured for it. Must be called within a
    /// tokio runtime.
    pub(super) fn new(root: &str, options: ForgeOptions) -> Result<Self, ForgeError> {
        let ForgeOptions {
            token,
            proxies,
            retry_policy,
            audit,
        } = options;
        let host = display_host(root);
        let unusable = |message: String| ForgeError::Network {
            host: host.clone(),
            message,
        };
        let root = root.trim_end_matches('/');
        let mut address = root.to_owned();
        let uri: Uri = root.parse().map_err(|_| {
            unusable(format!(
                "{} is not a valid URL",
                text::sanitize(&redact(root))
            ))
        })?;
        let authorization = token.as_ref().map(bearer).transpose().map_err(|_| {
            unusable("the token contains characters that are not allowed in a header".into())
        })?;
        let proxies = proxies.unwrap_or_else(Matcher::from_env);
        let proxy = proxy::proxy_for(&uri, &proxies).map_err(&unusable)?;
        // The tunnel would use port 443 if the port is missing.
        if let (Some(_), Some("http"), Some(host), None) =
            (&proxy, uri.scheme_str(), uri.host(), uri.port())
        {
            address = format!("http://{host}:80{}", uri.path().trim_end_matches('/'));
        }
        let direct = https(tcp()).map_err(|error| unusable(error.to_string()))?;
        let http = match proxy {
            None => client(direct),
            Some(proxy) => {
                let through = https(proxy::tunnel(&proxy, direct))
                    .map_err(|error| unusable(error.to_string()))?;
                client(through)
            }
        };
        Ok(Self {
            http,
            root: root.to_owned(),
            address,
            host,
            token,
            authorization,
            retry_policy,
            audit,
            cache: Mutex::default(),
        })
    }

    /// Returns whether requests carry a token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request, with retries. `classify` returns the failure that a response means and whether to retry;
    /// `failed` converts an error without a response.
    pub(super) async fn call<E>(
        &self,
        request: &ApiRequest<'_>,
        classify: impl Fn(&ApiResponse) -> Option<(Hint, E)>,
        failed: impl Fn(ForgeError) -> E,
    ) -> Result<ApiResponse, E> {
        let mut retries = 0;
        loop {
            let started = Instant::now();
            let sent = self.send(request).await;
            if let Some(audit) = &self.audit {
                audit(&Call {
                    method: request.method.to_string(),
                    path: request.path.to_owned(),
                    status: sent.as_ref().ok().map(|(status, _)| status.as_u16()),
                    attempt: retries + 1,
                    milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
            let (hint, failure) = match sent {
                Ok((_, answer)) => match classify(&answer) {
                    None => return Ok(answer),
                    Some(failed) => failed,
                },
                Err(error) => (Hint::Backoff, failed(error)),
            };
            match retry::wait(retries, hint, backoff::jitter(), self.retry_policy.longest) {
                Some(wait) => (self.retry_policy.sleep)(wait).await,
                None => return Err(failure),
            }
            retries += 1;
        }
    }

    /// Sends a request and reads the response, whatever its status. Returns the status that was sent, too: a 304 is
    /// answered from the cache.
    async fn send(
        &self,
        request: &ApiRequest<'_>,
    ) -> Result<(StatusCode, ApiResponse), ForgeError> {
        tokio::time::timeout(RESPONSE_TIMEOUT, self.exchange(request))
            .await
            .unwrap_or_else(|_| {
                Err(ForgeError::Network {
                    host: self.host.clone(),
                    message: format!("no response within {} s", RESPONSE_TIMEOUT.as_secs()),
                })
            })
    }

    async fn exchange(
        &self,
        request: &ApiRequest<'_>,
    ) -> Result<(StatusCode, ApiResponse), ForgeError> {
        let cached = self.take_cached(request);
        let http_request = self
            .build(request, cached.as_ref())
            .map_err(|error| self.unreachable(&error))?;
        let response = self
            .http
            .clone()
            .oneshot(http_request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, RESPONSE_LIMIT)
            .collect()
            .await
            .map_err(|error| self.unreachable(error.as_ref()))?
            .to_bytes();
        if let (StatusCode::NOT_MODIFIED, Some(cached)) = (parts.status, cached) {
            let answer = self.answer(StatusCode::OK, cached.headers.clone(), &cached.text)?;
            self.remember(cached);
            return Ok((parts.status, answer));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = match &self.token {
            Some(token) => token.redact(&text),
            None => text,
        };
        let answer = self.answer(parts.status, parts.headers, &text)?;
        if request.method == Method::GET
            && parts.status == StatusCode::OK
            && text.len() <= CACHED_SIZE
            && let Some(etag) = answer.headers.get(ETAG)
        {
            self.remember(Cached {
                path: request.path.to_owned(),
                etag: etag.clone(),
                headers: answer.headers.clone(),
                text: text.into_owned(),
            });
        }
        Ok((parts.status, answer))
    }

    fn build(
        &self,
        request: &ApiRequest<'_>,
        cached: Option<&Cached>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut builder = Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.address, request.path))
            .header(
                USER_AGENT,
                concat!("flightdeck/", env!("CARGO_PKG_VERSION")),
            );
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(cached) = cached {
            builder = builder.header(IF_NONE_MATCH, &cached.etag);
        }
        match request.body {
            Some(body) => builder
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(body.to_string())),
            None => builder.body(Full::default()),
        }
    }

    fn answer(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        text: &str,
    ) -> Result<ApiResponse, ForgeError> {
        let body = if text.trim().is_empty() {
            Value::Null
        } else {
            match serde_json::from_str(text) {
                Ok(body) => body,
                Err(_) if !status.is_success() => Value::Null,
                Err(error) => {
                    return Err(ForgeError::InvalidResponse {
                        host: self.host.clone(),
                        message: error.to_string(),
                    });
                }
            }
        };
        Ok(ApiResponse {
            status,
            headers,
            body,
        })
    }

    /// Removes the cached response to a request; it is remembered again if the server confirms it.
    fn take_cached(&self, request: &ApiRequest<'_>) -> Option<Cached> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache
            .iter()
            .position(|cached| request.method == Method::GET && cached.path == request.path)?;
        cache.remove(at)
    }

    fn remember(&self, response: Cached) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() == CACHED_RESPONSES {
            cache.pop_front();
        }
        cache.push_back(response);
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ForgeError {
        ForgeError::Network {
            host: self.host.clone(),
            message: innermost(error),
        }
    }

    /// Returns the path of the next page from the `Link` header, if it belongs to this API.
    pub(super) fn next_page(&self, headers: &HeaderMap) -> Option<String> {
        let links = headers.get(http::header::LINK)?.to_str().ok()?;
        let next = links
            .split(',')
            .find(|link| link.contains("rel=\"next\""))?;
        let url = next.split_once('<')?.1.split_once('>')?.0;
        let path = url.strip_prefix(self.root.as_str())?;
        path.starts_with('/').then(|| path.to_owned())
    }
}

/// Returns the `Authorization` header of a token.
fn bearer(token: &Secret) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

/// Adds TLS to connections of `inner` for `https` URLs.
fn https<C>(inner: C) -> std::io::Result<HttpsConnector<C>> {
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(inner))
}

fn client<C>(connector: C) -> Http
where
    C: Connect + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(Client::builder(TokioExecutor::new()).build(connector))
}

/// Returns the display name of an API's host.
pub(super) fn display_host(api_url: &str) -> String {
    let shown = RemoteUrl::parse(api_url).map_or_else(|_| redact(api_url), |url| url.authority());
    text::sanitize(shown.strip_prefix("api.").unwrap_or(&shown)).into_owned()
}

/// Returns the innermost cause; outer errors only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let message = innermost.to_string();
    // Some causes append where they were caught on further lines.
    clean_message(message.lines().next().unwrap_or_default())
}

/// Sanitises and shortens a server's message.
pub(super) fn clean_message(message: &str) -> String {
    text::cut_end(&text::sanitize(message), MESSAGE_LIMIT).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_has_no_api_prefix_path_or_password() {
        for (url, name) in [
            ("https://api.github.com", "github.com"),
            ("https://github.acme.example/api/v3", "github.acme.example"),
            ("http://user:pass@127.0.0.1:8080/x", "127.0.0.1:8080"),
        ] {
            assert_eq!(display_host(url), name);
        }
    }

    #[tokio::test]
    async fn next_page_link_must_belong_to_the_api() {
        let connection =
            ApiClient::new("https://ghe.example/api/v3", ForgeOptions::default()).unwrap();
        let next = |link: &'static str| {
            let headers =
                HeaderMap::from_iter([(http::header::LINK, HeaderValue::from_static(link))]);
            connection.next_page(&headers)
        };
        assert_eq!(
            next(
                r#"<https://ghe.example/api/v3/repositories/1/pulls?page=1>; rel="prev", <https://ghe.example/api/v3/repositories/1/pulls?page=3>; rel="next""#
            )
            .as_deref(),
            Some("/repositories/1/pulls?page=3")
        );
        for link in [
            r#"<https://ghe.example/api/v3/x?page=1>; rel="prev""#,
            r#"<https://evil.example/api/v3/x?page=2>; rel="next""#,
            r#"<https://ghe.example/api/v3.evil.example/x>; rel="next""#,
            "nonsense",
        ] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
