//! Sends API calls: auditing, retries and pagination.

use std::{fmt, sync::Arc, time::Instant};

use http::Method;
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::Value;

use super::{
    ForgeError, RetryPolicy, Secret,
    classify::CallError,
    connection::{ApiResponse, Connection},
    retry::{self, Hint},
};
use flightdeck_core::runs::ForgeTarget;

/// Maximum number of pages read of a list, at 100 items each.
const PAGES: usize = 10;

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

type Audit = dyn Fn(&Call) + Send + Sync;

/// A repository on a forge.
#[derive(Clone)]
pub struct Forge {
    pub(super) connection: Connection,
    pub(super) target: ForgeTarget,
    pub(super) retry_policy: RetryPolicy,
    audit: Option<Arc<Audit>>,
}

impl Forge {
    /// Creates a client for the repository of `target`, using the proxy settings of the environment (`HTTPS_PROXY`,
    /// `NO_PROXY` ...). Must be called within a tokio runtime.
    pub fn new(target: &ForgeTarget, token: Option<Secret>) -> Result<Self, ForgeError> {
        Self::with_proxies(target, token, &Matcher::from_env())
    }

    /// Like [`Self::new`], with explicit proxy settings.
    pub fn with_proxies(
        target: &ForgeTarget,
        token: Option<Secret>,
        proxies: &Matcher,
    ) -> Result<Self, ForgeError> {
        Ok(Self {
            connection: Connection::new(&target.api_url, token, proxies)?,
            target: target.clone(),
            retry_policy: RetryPolicy::default(),
            audit: None,
        })
    }

    /// Sets the retry policy.
    #[must_use]
    pub fn with_retry_policy(mut self, retry_policy: RetryPolicy) -> Self {
        self.retry_policy = retry_policy;
        self
    }

    /// Calls `audit` after each API call.
    #[must_use]
    pub fn with_audit(mut self, audit: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        self.audit = Some(Arc::new(audit));
        self
    }

    /// Returns `owner/name`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.target.owner, self.target.repository)
    }

    /// Returns the server's name for display.
    pub(super) fn host(&self) -> String {
        self.connection.host.clone()
    }

    /// Returns an API path below the repository. `below` is empty or starts with `/`.
    pub(super) fn path(&self, below: &str) -> String {
        let (owner, name) = (encode(&self.target.owner), encode(&self.target.repository));
        format!("/repos/{owner}/{name}{below}")
    }

    /// Sends a request, with retries. `action` completes "the token may not ..." in errors.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        action: &str,
    ) -> Result<ApiResponse, CallError> {
        let mut retries = 0;
        loop {
            let started = Instant::now();
            let sent = self.connection.send(&method, path, body).await;
            if let Some(audit) = &self.audit {
                audit(&Call {
                    method: method.to_string(),
                    path: path.to_owned(),
                    status: sent.as_ref().ok().map(|answer| answer.status.as_u16()),
                    attempt: retries + 1,
                    milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
            let (hint, failure) = match sent {
                Ok(answer) => match self.classify(&answer, action) {
                    None => return Ok(answer),
                    Some(failed) => failed,
                },
                Err(error) => (Hint::Backoff, CallError::Other(error)),
            };
            match retry::wait(retries, hint, retry::jitter(), self.retry_policy.longest) {
                Some(wait) => (self.retry_policy.sleep)(wait).await,
                None => return Err(failure),
            }
            retries += 1;
        }
    }

    /// Sends a request whose refusals need no special handling, and returns the response body.
    pub(super) async fn plain_call(
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
    pub(super) async fn pages(&self, path: &str, action: &str) -> Result<Vec<Value>, CallError> {
        let mut next = Some(format!("{path}&per_page=100"));
        let mut bodies = Vec::new();
        while let Some(path) = next.filter(|_| bodies.len() < PAGES) {
            let answer = self.call(Method::GET, &path, None, action).await?;
            next = self.connection.next_page(&answer.headers);
            bodies.push(answer.body);
        }
        Ok(bodies)
    }
}

/// Percent-encodes a path segment or query value.
pub(super) fn encode(part: &str) -> String {
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
