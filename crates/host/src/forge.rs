//! Git hosts: pull requests of a project, whatever software serves it.
//!
//! [`Forge`] is one project on one server; [`KINDS`] has a row for each kind of server. Every failure is a
//! [`ForgeError`] that says what to do. Transient failures (5xx, rate limits, dropped connections) are retried within
//! limits. This module does not depend on runs or stages.

mod client;
mod error;
mod github;
mod pull_request;
mod retry;
mod secret;
#[cfg(any(test, feature = "stand-in-forge"))]
pub mod stand_in;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::future::BoxFuture;
use hyper_util::client::proxy::matcher::Matcher;

pub use client::Call;
pub use error::ForgeError;
use flightdeck_core::runs::ForgeTarget;
pub use pull_request::{PullRequest, PullRequestSpec, PullState};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use status::{Checks, PullRequestStatus, Reviews};

/// A project on a Git host.
pub trait Forge: Send + Sync {
    /// Finds the pull request by head and base or creates it, then sets title, text, labels, reviewers and auto-merge.
    /// Failures after the pull request exists become [`PullRequest::notes`].
    fn ensure_pull_request<'a>(
        &'a self,
        spec: &'a PullRequestSpec,
    ) -> BoxFuture<'a, Result<PullRequest, ForgeError>>;

    /// Returns the status of a pull request.
    fn status(&self, number: i64) -> BoxFuture<'_, Result<PullRequestStatus, ForgeError>>;
}

type Open = fn(&ForgeTarget, ForgeOptions) -> Result<Box<dyn Forge>, ForgeError>;

/// A kind of Git host.
#[derive(Debug)]
pub struct ForgeKind {
    /// Name in the settings.
    pub name: &'static str,
    /// Name for display.
    pub label: &'static str,
    /// Environment variables that may have a token, the preferred one first.
    pub token_variables: &'static [&'static str],
    /// Returns whether the API at a URL is of this kind.
    recognizes: fn(&str) -> bool,
    open: Open,
}

/// The kinds of Git hosts. A host that none recognises is of the first kind.
pub const KINDS: &[&ForgeKind] = &[
    &github::KIND,
    #[cfg(any(test, feature = "stand-in-forge"))]
    &stand_in::KIND,
];
/// The kind of a host whose kind is recognised by its API.
pub const AUTO: &str = "auto";
/// The kind of a host that gets the token for git, but has no pull requests.
pub const NONE: &str = "none";

impl ForgeKind {
    /// Returns the environment variable for a token, or an empty string.
    fn token_variable(&self) -> &'static str {
        self.token_variables.first().copied().unwrap_or_default()
    }
}

/// Receives each API call.
pub type Audit = Arc<dyn Fn(&Call) + Send + Sync>;

/// How to call a forge.
#[derive(Default)]
pub struct ForgeOptions {
    pub token: Option<Secret>,
    /// The proxy settings; `None` for those of the environment (`HTTPS_PROXY`, `NO_PROXY` ...).
    pub proxies: Option<Matcher>,
    pub retry_policy: RetryPolicy,
    pub audit: Option<Audit>,
}

/// Opens the forge of `target`; `None` if its host has no pull requests. Must be called within a tokio runtime.
///
/// # Errors
/// If the kind, the project or the API's URL is invalid.
pub fn open(
    target: &ForgeTarget,
    options: ForgeOptions,
) -> Result<Option<Box<dyn Forge>>, ForgeError> {
    if target.kind == NONE {
        return Ok(None);
    }
    let kind = kind(&target.kind).ok_or_else(|| ForgeError::UnknownKind {
        kind: target.kind.clone(),
    })?;
    (kind.open)(target, options).map(Some)
}

/// Returns the kind of the API at `api_url`.
#[must_use]
pub fn recognize(api_url: &str) -> &'static str {
    let recognized = KINDS.iter().find(|kind| (kind.recognizes)(api_url));
    recognized.or(KINDS.first()).map_or(NONE, |kind| kind.name)
}

/// Returns whether the settings may name this kind.
#[must_use]
pub fn is_known(name: &str) -> bool {
    name == AUTO || name == NONE || kind(name).is_some()
}

/// Returns the token for the host of `target`. `lookup` reads the environment. A host without a kind takes the token of
/// any.
pub fn token(
    target: Option<&ForgeTarget>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Option<Secret> {
    match target.and_then(|target| kind(&target.kind)) {
        Some(kind) => Secret::from_environment(kind.token_variables, lookup),
        None => Secret::from_environment(&token_variables(), lookup),
    }
}

/// Returns every environment variable that may have a token.
#[must_use]
pub fn token_variables() -> Vec<&'static str> {
    let variables = KINDS.iter().flat_map(|kind| kind.token_variables);
    variables.copied().collect()
}

/// Returns the environment variable that a token for the host of `target` is passed in.
#[must_use]
pub fn token_variable(target: Option<&ForgeTarget>) -> &'static str {
    let kind = target.and_then(|target| kind(&target.kind));
    let variable = kind.map_or("", ForgeKind::token_variable);
    if variable.is_empty() {
        github::KIND.token_variable()
    } else {
        variable
    }
}

fn kind(name: &str) -> Option<&'static ForgeKind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}
