//! The way to a forge: octocrab over one HTTP client, through the proxy that the environment names for its host.
//!
//! It sends and reads, and knows nothing of pull requests or of what a status means. Whatever the server says is freed of the
//! token here, so that nothing further on can show it.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ACCEPT, USER_AGENT},
};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{Connect, HttpConnector},
        },
        proxy::matcher::Matcher,
    },
    rt::TokioExecutor,
};
use octocrab::{
    AuthState, OctoBody, Octocrab, OctocrabBuilder,
    service::middleware::auth_header::AuthHeaderLayer,
};
use serde_json::Value;

use super::{ForgeError, Secret};
use crate::proxy;
use flightdeck_core::{
    remote_url::{RemoteUrl, redact},
    text,
};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Longest part of a server's message that is kept, in columns.
const MESSAGE_LIMIT: usize = 300;
/// Until a connection stands.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Until an answer is read whole.
const PATIENCE: Duration = Duration::from_secs(40);
/// The version of the REST API that is asked for.
const API_VERSION: &str = "2022-11-28";

/// The path of GraphQL, which is not below the REST API of a GitHub Enterprise Server.
pub(super) const GRAPHQL: &str = "/graphql";

/// One server, and the token for it.
#[derive(Clone)]
pub(super) struct Connection {
    crab: Octocrab,
    /// Base of the REST API, without a slash at its end.
    api: String,
    /// The same, as it is sent to.
    address: String,
    /// As people know it.
    pub(super) host: String,
    token: Option<Secret>,
}

/// What the server said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Connection {
    /// To the REST API at `api_url`, through a proxy where `proxies` says so. Must be called within a tokio runtime.
    pub(super) fn new(
        api_url: &str,
        token: Option<Secret>,
        proxies: &Matcher,
    ) -> Result<Self, ForgeError> {
        let host = host(api_url);
        let unusable = |message: String| ForgeError::Network {
            host: host.clone(),
            message,
        };
        let api = api_url.trim_end_matches('/');
        let mut address = api.to_owned();
        let mut uri: Uri = api
            .parse()
            .map_err(|_| unusable(format!("{} is no address", text::sanitize(&redact(api)))))?;
        let bearer = token
            .as_ref()
            .map(|token| HeaderValue::from_str(&format!("Bearer {}", token.expose())))
            .transpose()
            .map_err(|_| unusable("the token is no word that a header can carry".into()))?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let proxy = proxy::before(&uri, proxies).map_err(&unusable)?;
        // The tunnel takes a missing port for that of HTTPS.
        if let (Some(_), Some("http"), Some(host), None) =
            (&proxy, uri.scheme_str(), uri.host(), uri.port())
        {
            address = format!("http://{host}:80{}", uri.path().trim_end_matches('/'));
            uri = address.parse().unwrap_or(uri);
        }
        // The layer adds the token to calls of this very host and port alone.
        let auth = AuthHeaderLayer::new(bearer, uri.clone(), uri);
        let direct = https(tcp()).map_err(|error| unusable(error.to_string()))?;
        let crab = match proxy {
            None => crab(direct, &auth),
            Some(proxy) => {
                let through = https(proxy::tunnel(&proxy, direct))
                    .map_err(|error| unusable(error.to_string()))?;
                crab(through, &auth)
            }
        };
        Ok(Self {
            crab,
            api: api.to_owned(),
            address,
            host,
            token,
        })
    }

    /// Whether calls carry a token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends `body` to `path` (below the REST API, or [`GRAPHQL`]) and reads the answer, whatever its status.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let url = if path == GRAPHQL {
            graphql(&self.address)
        } else {
            format!("{}{path}", self.address)
        };
        let request = http::Request::builder()
            .method(method.clone())
            .uri(url)
            .header(ACCEPT, "application/vnd.github+json")
            .header(
                USER_AGENT,
                concat!("flightdeck/", env!("CARGO_PKG_VERSION")),
            )
            .header("x-github-api-version", API_VERSION);
        let request = self
            .crab
            .build_request(request, body)
            .map_err(|error| self.unreachable(&error))?;
        tokio::time::timeout(PATIENCE, self.exchange(request))
            .await
            .unwrap_or_else(|_| {
                Err(ForgeError::Network {
                    host: self.host.clone(),
                    message: format!("no answer within {} s", PATIENCE.as_secs()),
                })
            })
    }

    async fn exchange(&self, request: http::Request<OctoBody>) -> Result<Answer, ForgeError> {
        let response = self
            .crab
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| self.unreachable(error.as_ref()))?
            .to_bytes();
        let said = String::from_utf8_lossy(&bytes);
        let said = match &self.token {
            Some(token) => token.hidden_in(&said),
            None => said,
        };
        let body = if said.trim().is_empty() {
            Value::Null
        } else {
            match serde_json::from_str(&said) {
                Ok(body) => body,
                Err(_) if !parts.status.is_success() => Value::Null,
                Err(error) => {
                    return Err(ForgeError::Answer {
                        host: self.host.clone(),
                        message: error.to_string(),
                    });
                }
            }
        };
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ForgeError {
        ForgeError::Network {
            host: self.host.clone(),
            message: innermost(error),
        }
    }

    /// The path of the page after this one, from the `Link` header; only if it is of this API.
    pub(super) fn next_page(&self, headers: &HeaderMap) -> Option<String> {
        let links = headers.get(http::header::LINK)?.to_str().ok()?;
        let next = links
            .split(',')
            .find(|link| link.contains("rel=\"next\""))?;
        let url = next.split_once('<')?.1.split_once('>')?.0;
        let path = url.strip_prefix(self.api.as_str())?;
        path.starts_with('/').then(|| path.to_owned())
    }
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_PATIENCE));
    connector
}

/// TLS, where the address asks for it, over connections of `inner`.
fn https<C>(inner: C) -> std::io::Result<HttpsConnector<C>> {
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(inner))
}

fn crab<C>(connector: C, auth: &AuthHeaderLayer) -> Octocrab
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build::<_, OctoBody>(connector);
    let Ok(crab) = OctocrabBuilder::new_empty()
        .with_service(client)
        .with_layer(auth)
        .with_auth(AuthState::None)
        .build();
    crab
}

/// GraphQL of the server whose REST API is at `api`: beside `v3` on a GitHub Enterprise Server, below it everywhere else.
fn graphql(api: &str) -> String {
    let base = api.strip_suffix("/v3").unwrap_or(api);
    format!("{base}{GRAPHQL}")
}

/// Host and port of an API's address, as people know it: without `api.`.
fn host(api_url: &str) -> String {
    let shown = RemoteUrl::parse(api_url).map_or_else(|_| redact(api_url), |url| url.authority());
    text::sanitize(shown.strip_prefix("api.").unwrap_or(&shown)).into_owned()
}

/// The innermost cause: the outer ones only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let words = innermost.to_string();
    // Some causes print where they were caught below what they say.
    shown(words.lines().next().unwrap_or_default())
}

/// A server's words, fit to be shown.
pub(super) fn shown(message: &str) -> String {
    text::cut_end(&text::sanitize(message), MESSAGE_LIMIT).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_without_its_address_and_without_a_password() {
        for (url, name) in [
            ("https://api.github.com", "github.com"),
            ("https://github.acme.example/api/v3", "github.acme.example"),
            ("http://user:pass@127.0.0.1:8080/x", "127.0.0.1:8080"),
        ] {
            assert_eq!(host(url), name);
        }
    }

    #[test]
    fn graphql_is_where_each_kind_of_server_has_it() {
        for (api, expected) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            (
                "https://github.acme.example/api/v3",
                "https://github.acme.example/api/graphql",
            ),
            (
                "https://api.acme.ghe.com",
                "https://api.acme.ghe.com/graphql",
            ),
        ] {
            assert_eq!(graphql(api), expected);
        }
    }

    #[tokio::test]
    async fn a_link_leads_to_the_next_page_of_this_api_alone() {
        let none = Matcher::builder().build();
        let connection = Connection::new("https://ghe.example/api/v3", None, &none).unwrap();
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
