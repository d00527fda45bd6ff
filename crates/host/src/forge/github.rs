//! GitHub (github.com and Enterprise Server) over its REST API. Uses GraphQL where REST has no equivalent.

mod auto_merge;
mod classify;
mod ensure;
mod refusal;
mod reviewers;
mod status;

use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;

use super::{
    Forge, ForgeError, ForgeKind, ForgeOptions, PullRequest, PullRequestSpec, PullRequestStatus,
    client::{ApiClient, ApiRequest, ApiResponse, display_host},
};
use classify::CallError;
use flightdeck_core::runs::ForgeTarget;

/// The row of [`KINDS`](super::KINDS).
pub(super) const KIND: ForgeKind = ForgeKind {
    name: "github",
    label: "GitHub",
    token_variables: &["GITHUB_TOKEN", "GH_TOKEN"],
    recognizes: |api_url| {
        let host = display_host(api_url);
        host == "github.com" || host.ends_with(".ghe.com") || api_url.ends_with("/api/v3")
    },
    open: |target, options| Ok(Box::new(GitHub::new(target, options)?)),
};

/// Maximum number of pages read of a list, at 100 items each.
const PAGES: usize = 10;
/// Media type and version of the REST API.
const HEADERS: &[(&str, &str)] = &[
    ("accept", "application/vnd.github+json"),
    ("x-github-api-version", "2022-11-28"),
];
/// The GraphQL path, which on Enterprise Server is beside the REST API.
const GRAPHQL: &str = "/graphql";

/// A repository on GitHub.
pub(super) struct GitHub {
    client: ApiClient,
    owner: String,
    name: String,
    /// Path of the REST API below the client's root: `/v3` on Enterprise Server, else empty.
    prefix: &'static str,
}

impl Forge for GitHub {
    fn ensure_pull_request<'a>(
        &'a self,
        spec: &'a PullRequestSpec,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>> {
        Box::pin(self.ensure(spec))
    }

    fn status(&self, number: i64) -> BoxFuture<'_, Result<PullRequestStatus, ForgeError>> {
        Box::pin(self.read_status(number))
    }
}

impl GitHub {
    /// Creates a client for the repository of `target`.
    ///
    /// # Errors
    /// If the project is not `owner/name`, or the API's URL is invalid.
    pub(super) fn new(target: &ForgeTarget, options: ForgeOptions) -> Result<Self, ForgeError> {
        let parts = target.project.split_once('/');
        let parts = parts
            .filter(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'));
        let Some((owner, name)) = parts else {
            return Err(ForgeError::InvalidProject {
                forge: KIND.label,
                project: target.project.clone(),
                expected: "owner/name",
            });
        };
        let api = target.api_url.trim_end_matches('/');
        let (root, prefix) = match api.strip_suffix("/v3") {
            Some(root) => (root, "/v3"),
            None => (api, ""),
        };
        Ok(Self {
            client: ApiClient::new(root, options)?,
            owner: owner.to_owned(),
            name: name.to_owned(),
            prefix,
        })
    }

    /// Returns `owner/name`.
    fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the server's name for display.
    fn host(&self) -> String {
        self.client.host.clone()
    }

    /// Returns an API path below the repository. `below` is empty or starts with `/`.
    fn path(&self, below: &str) -> String {
        let (owner, name) = (encode(&self.owner), encode(&self.name));
        format!("{}/repos/{owner}/{name}{below}", self.prefix)
    }

    /// Sends a request, with retries. `action` completes "the token may not ..." in errors.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        action: &str,
    ) -> Result<ApiResponse, CallError> {
        let request = ApiRequest {
            method,
            path,
            headers: HEADERS,
            body,
        };
        let classify = |answer: &ApiResponse| self.classify(answer, action);
        self.client.call(&request, classify, CallError::Other).await
    }

    /// Sends a request whose refusals need no special handling, and returns the response body.
    async fn plain_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        action: &str,
    ) -> Result<Value, ForgeError> {
        match self.call(method, path, body, action).await {
            Ok(answer) => Ok(answer.body),
            Err(error) => Err(self.unexpected(error, action)),
        }
    }

    /// Returns the bodies of all pages of a list. `path` already has a query.
    async fn pages(&self, path: &str, action: &str) -> Result<Vec<Value>, CallError> {
        let mut next = Some(format!("{path}&per_page=100"));
        let mut bodies = Vec::new();
        while let Some(path) = next.filter(|_| bodies.len() < PAGES) {
            let answer = self.call(Method::GET, &path, None, action).await?;
            next = self.client.next_page(&answer.headers);
            bodies.push(answer.body);
        }
        Ok(bodies)
    }
}

/// Percent-encodes a path segment or query value.
fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_every_reserved_character() {
        assert_eq!(
            encode("acme:docs/ü & x#1"),
            "acme%3Adocs%2F%C3%BC%20%26%20x%231"
        );
    }
}
