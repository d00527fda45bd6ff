//! One call of the API: sent, told to the audit, tried again when that helps.

use std::{fmt, sync::Arc, time::Instant};

use http::Method;
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::Value;

use super::{
    ForgeError, Pace, Secret,
    connection::{Answer, Connection},
    judge::CallError,
    retry::{self, Hint},
};
use flightdeck_core::runs::ForgeTarget;

/// Most pages of a list that are read; a page has a hundred items.
const PAGES: usize = 10;

/// One call that was made, for an audit: never holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// Absent when there was no answer.
    pub status: Option<u16>,
    /// Counts from 1.
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

/// One repository on one server.
#[derive(Clone)]
pub struct Forge {
    pub(super) connection: Connection,
    pub(super) target: ForgeTarget,
    pub(super) pace: Pace,
    audit: Option<Arc<Audit>>,
}

impl Forge {
    /// The repository of `target`, by way of the proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY` ...). Must be
    /// called within a tokio runtime.
    pub fn new(target: &ForgeTarget, token: Option<Secret>) -> Result<Self, ForgeError> {
        Self::by_way_of(target, token, &Matcher::from_env())
    }

    /// The same with proxies of one's own.
    pub fn by_way_of(
        target: &ForgeTarget,
        token: Option<Secret>,
        proxies: &Matcher,
    ) -> Result<Self, ForgeError> {
        Ok(Self {
            connection: Connection::new(&target.api_url, token, proxies)?,
            target: target.clone(),
            pace: Pace::default(),
            audit: None,
        })
    }

    /// The same with another clock.
    #[must_use]
    pub fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The same, telling of each call.
    #[must_use]
    pub fn audited(mut self, audit: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        self.audit = Some(Arc::new(audit));
        self
    }

    /// `owner/name`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.target.owner, self.target.repository)
    }

    /// The server, as people know it.
    pub(super) fn host(&self) -> String {
        self.connection.host.clone()
    }

    /// The path of something of the repository, `below` empty or starting with `/`.
    pub(super) fn path(&self, below: &str) -> String {
        let (owner, name) = (encode(&self.target.owner), encode(&self.target.repository));
        format!("/repos/{owner}/{name}{below}")
    }

    /// Sends and, where it helps, sends again. `action` is what is tried, as words that follow "may not".
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        action: &str,
    ) -> Result<Answer, CallError> {
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
                Ok(answer) => match self.judge(&answer, action) {
                    None => return Ok(answer),
                    Some(failed) => failed,
                },
                Err(error) => (Hint::BackOff, CallError::Other(error)),
            };
            match retry::wait(retries, hint, retry::jitter(), self.pace.longest) {
                Some(wait) => (self.pace.sleep)(wait).await,
                None => return Err(failure),
            }
            retries += 1;
        }
    }

    /// A call whose refusals have no meaning of their own; gives the body.
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

    /// Every page of a list, as the bodies that were answered. `path` has a query already.
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

/// A part of a path or a query, percent-encoded.
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
    fn branches_are_encoded_whole() {
        assert_eq!(
            encode("acme:docs/ü & x#1"),
            "acme%3Adocs%2F%C3%BC%20%26%20x%231"
        );
    }
}
