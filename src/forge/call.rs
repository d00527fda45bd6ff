//! One call of the API: sent, tried again when that helps, its failure told apart.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Method, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Limited};
use octocrab::{Octocrab, service::middleware::retry::RetryConfig};
use serde_json::Value;

use super::{
    ForgeError, Pace, Secret,
    refusal::{Refusal, refusal},
    retry::{self, Hint},
};
use crate::{runs::ForgeTarget, text};

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Longest part of a server's message that is kept, in columns.
const MESSAGE_LIMIT: usize = 300;

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
    crab: Octocrab,
    pub(super) target: ForgeTarget,
    pub(super) host: String,
    has_token: bool,
    pace: Pace,
    audit: Option<Arc<Audit>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

/// Why a call failed: 422s are kept apart, since only the caller knows which branches they speak of.
pub(super) enum CallError {
    Refused(Refusal),
    NotFound,
    Other(ForgeError),
}

impl Forge {
    /// The repository of `target`. Must be called within a tokio runtime.
    pub fn new(target: &ForgeTarget, token: Option<Secret>) -> Result<Self, ForgeError> {
        let host = host(&target.api_url);
        let unusable = |error: octocrab::Error| ForgeError::Network {
            host: host.clone(),
            message: network_message(&error),
        };
        let mut builder = Octocrab::builder()
            .base_uri(target.api_url.as_str())
            .map_err(unusable)?
            .add_retry_config(RetryConfig::None)
            .set_connect_timeout(Some(Duration::from_secs(10)))
            .set_read_timeout(Some(Duration::from_secs(30)));
        let has_token = token.is_some();
        if let Some(token) = token {
            builder = builder.personal_token(token.expose().to_owned());
        }
        Ok(Self {
            crab: builder.build().map_err(unusable)?,
            target: target.clone(),
            host,
            has_token,
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

    /// The path of something of the repository, `below` starting with `/`.
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
    ) -> Result<Value, CallError> {
        let mut retries = 0;
        loop {
            let started = Instant::now();
            let sent = self.send(&method, path, body).await;
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
                Ok(answer) if answer.status.is_success() => return Ok(answer.body),
                Ok(answer) => self.judge(&answer, action),
                Err(error) => (Hint::BackOff, CallError::Other(error)),
            };
            match retry::wait(retries, hint, retry::jitter()) {
                Some(wait) => (self.pace.sleep)(wait).await,
                None => return Err(failure),
            }
            retries += 1;
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ForgeError> {
        let network = |error: &dyn std::error::Error| ForgeError::Network {
            host: self.host.clone(),
            message: network_message(error),
        };
        let request = http::Request::builder()
            .method(method.clone())
            .uri(path)
            .header(http::header::ACCEPT, "application/vnd.github+json");
        let request = self
            .crab
            .build_request(request, body)
            .map_err(|error| network(&error))?;
        let response = self
            .crab
            .execute(request)
            .await
            .map_err(|error| network(&error))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, ANSWER_LIMIT)
            .collect()
            .await
            .map_err(|error| network(error.as_ref()))?
            .to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            match serde_json::from_slice(&bytes) {
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

    /// What a failed answer means, and whether to try again.
    fn judge(&self, answer: &Answer, action: &str) -> (Hint, CallError) {
        let (host, repository) = (self.host.clone(), self.repository());
        let message = answer
            .body
            .get("message")
            .and_then(Value::as_str)
            .map(shown)
            .unwrap_or_default();
        let limited = self.rate_limit(answer, &message);
        let error = match answer.status.as_u16() {
            _ if limited.is_some() => {
                let hint = limited.unwrap_or(Hint::BackOff);
                let retry_after_seconds = match hint {
                    Hint::After(wait) => Some(wait.as_secs()),
                    _ => None,
                };
                let error = ForgeError::RateLimited {
                    host,
                    retry_after_seconds,
                };
                return (hint, CallError::Other(error));
            }
            401 if !self.has_token => ForgeError::NoToken { host, repository },
            401 => ForgeError::Unauthorized { host, repository },
            403 => ForgeError::Forbidden {
                repository,
                action: action.to_owned(),
                message,
            },
            404 => return (Hint::Final, CallError::NotFound),
            301 | 302 | 307 | 308 => ForgeError::Moved { host, repository },
            422 => match refusal(&answer.body) {
                Refusal::Other(message) => ForgeError::Refused {
                    host,
                    repository,
                    action: action.to_owned(),
                    status: 422,
                    message: shown(&message),
                },
                refusal => return (Hint::Final, CallError::Refused(refusal)),
            },
            status @ 500.. => {
                let error = ForgeError::Server { host, status };
                return (Hint::BackOff, CallError::Other(error));
            }
            status => ForgeError::Refused {
                host,
                repository,
                action: action.to_owned(),
                status,
                message,
            },
        };
        (Hint::Final, CallError::Other(error))
    }

    /// Whether an answer is about asking too often, and when to ask again: a 429, or a 403 that says so.
    fn rate_limit(&self, answer: &Answer, message: &str) -> Option<Hint> {
        let number = |name: &str| -> Option<i64> {
            answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
        };
        let retry_after = number(RETRY_AFTER.as_str());
        let used_up = number("x-ratelimit-remaining") == Some(0);
        let about_limits = answer.status == StatusCode::TOO_MANY_REQUESTS
            || answer.status == StatusCode::FORBIDDEN
                && (used_up || retry_after.is_some() || message.contains("rate limit"));
        if !about_limits {
            return None;
        }
        let reset = number("x-ratelimit-reset").filter(|_| used_up);
        let until_reset = reset.map(|reset| reset.saturating_sub((self.pace.now)().as_second()));
        Some(
            retry_after
                .or(until_reset)
                .map_or(Hint::BackOff, |seconds| {
                    Hint::After(Duration::from_secs(seconds.max(0).unsigned_abs()))
                }),
        )
    }

    /// A call whose refusals have no meaning of their own.
    pub(super) async fn plain_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        action: &str,
    ) -> Result<Value, ForgeError> {
        self.call(method, path, body, action)
            .await
            .map_err(|error| self.unexpected(error, action))
    }

    /// A failure that stands for itself.
    pub(super) fn unexpected(&self, error: CallError, action: &str) -> ForgeError {
        match error {
            CallError::Other(error) => error,
            CallError::NotFound => ForgeError::NotFound {
                host: self.host.clone(),
                repository: self.repository(),
            },
            CallError::Refused(refusal) => ForgeError::Refused {
                host: self.host.clone(),
                repository: self.repository(),
                action: action.to_owned(),
                status: 422,
                message: format!("{refusal:?}"),
            },
        }
    }
}

/// The host of an API's address, as people know it.
fn host(api_url: &str) -> String {
    let rest = api_url.split_once("://").map_or(api_url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    let host = host.rsplit('@').next().unwrap_or(host);
    text::sanitize(host.strip_prefix("api.").unwrap_or(host)).into_owned()
}

/// The innermost cause: the outer ones only say that a request failed.
fn network_message(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let words = innermost.to_string();
    // Some causes print where they were caught below what they say.
    shown(words.lines().next().unwrap_or_default())
}

/// A server's words, fit to be shown.
fn shown(message: &str) -> String {
    text::cut_end(&text::sanitize(message), MESSAGE_LIMIT).into_owned()
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

    #[test]
    fn a_host_is_named_without_its_address() {
        for (url, name) in [
            ("https://api.github.com", "github.com"),
            ("https://github.acme.example/api/v3", "github.acme.example"),
            ("http://user:pass@127.0.0.1:8080/x", "127.0.0.1:8080"),
        ] {
            assert_eq!(host(url), name);
        }
    }
}
