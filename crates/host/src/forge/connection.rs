//! The HTTP connection to a forge: octocrab over one client, through the environment's proxy.
//!
//! It does not interpret statuses. The token is redacted from every response here, so that it cannot be shown later.

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

/// Maximum size of a response, in bytes.
const RESPONSE_LIMIT: usize = 8 * 1024 * 1024;
/// Maximum width of a server's message in an error.
const MESSAGE_LIMIT: usize = 300;
/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for a whole response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(40);
/// The requested version of the REST API.
const API_VERSION: &str = "2022-11-28";

/// The GraphQL path, which is not below the REST API on GitHub Enterprise Server.
pub(super) const GRAPHQL: &str = "/graphql";

/// A server and the token for it.
#[derive(Clone)]
pub(super) struct Connection {
    crab: Octocrab,
    /// Base URL of the REST API, without a trailing slash.
    api: String,
    /// The base URL that requests are sent to, with an explicit port where needed.
    address: String,
    /// The server's name for display.
    pub(super) host: String,
    token: Option<Secret>,
}

/// A response from the server.
pub(super) struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Connection {
    /// Connects to the REST API at `api_url`, through a proxy if `proxies` selects one. Must be called within a tokio
    /// runtime.
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
        let mut uri: Uri = api.parse().map_err(|_| {
            unusable(format!(
                "{} is not a valid URL",
                text::sanitize(&redact(api))
            ))
        })?;
        let bearer = token
            .as_ref()
            .map(|token| HeaderValue::from_str(&format!("Bearer {}", token.expose())))
            .transpose()
            .map_err(|_| {
                unusable("the token contains characters that are not allowed in a header".into())
            })?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        let proxy = proxy::proxy_for(&uri, proxies).map_err(&unusable)?;
        // The tunnel would use port 443 if the port is missing.
        if let (Some(_), Some("http"), Some(host), None) =
            (&proxy, uri.scheme_str(), uri.host(), uri.port())
        {
            address = format!("http://{host}:80{}", uri.path().trim_end_matches('/'));
            uri = address.parse().unwrap_or(uri);
        }
        // The layer adds the token only to requests for this host and port.
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

    /// Returns whether requests carry a token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Sends a request to `path` (below the REST API, or [`GRAPHQL`]) and reads the response, whatever its status.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiResponse, ForgeError> {
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
        tokio::time::timeout(RESPONSE_TIMEOUT, self.send_request(request))
            .await
            .unwrap_or_else(|_| {
                Err(ForgeError::Network {
                    host: self.host.clone(),
                    message: format!("no response within {} s", RESPONSE_TIMEOUT.as_secs()),
                })
            })
    }

    async fn send_request(
        &self,
        request: http::Request<OctoBody>,
    ) -> Result<ApiResponse, ForgeError> {
        let response = self
            .crab
            .execute(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, RESPONSE_LIMIT)
            .collect()
            .await
            .map_err(|error| self.unreachable(error.as_ref()))?
            .to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let text = match &self.token {
            Some(token) => token.redact(&text),
            None => text,
        };
        let body = if text.trim().is_empty() {
            Value::Null
        } else {
            match serde_json::from_str(&text) {
                Ok(body) => body,
                Err(_) if !parts.status.is_success() => Value::Null,
                Err(error) => {
                    return Err(ForgeError::InvalidResponse {
                        host: self.host.clone(),
                        message: error.to_string(),
                    });
                }
            }
        };
        Ok(ApiResponse {
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

    /// Returns the path of the next page from the `Link` header, if it belongs to this API.
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

/// Returns the GraphQL URL of the server whose REST API is at `api`: next to `v3` on GitHub Enterprise Server, below
/// the API elsewhere.
fn graphql(api: &str) -> String {
    let base = api.strip_suffix("/v3").unwrap_or(api);
    format!("{base}{GRAPHQL}")
}

/// Returns the display name of an API's host.
fn host(api_url: &str) -> String {
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
            assert_eq!(host(url), name);
        }
    }

    #[test]
    fn graphql_url_fits_each_kind_of_server() {
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
    async fn next_page_link_must_belong_to_the_api() {
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
