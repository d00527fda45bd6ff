//! Classifies responses: success, a named failure, and whether a retry may help.

use std::time::Duration;

use http::{StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{
    GitHub, KIND,
    refusal::{Refusal, parse_refusal},
};
use crate::forge::{
    ForgeError,
    client::{ApiResponse, clean_message},
    retry::Hint,
};

/// Why a call failed. 422 refusals are kept separate, because only the caller knows the branches they are about.
pub(super) enum CallError {
    Refused(Refusal),
    NotFound,
    Other(ForgeError),
}

impl GitHub {
    /// Returns the failure and whether to retry; `None` for a success.
    pub(super) fn classify(&self, answer: &ApiResponse, action: &str) -> Option<(Hint, CallError)> {
        let (host, repository) = (self.host(), self.repository());
        let message = answer
            .body
            .get("message")
            .and_then(Value::as_str)
            .map(clean_message)
            .unwrap_or_default();
        if let Some(hint) = self.rate_limit(answer, &message) {
            let retry_after_seconds = match hint {
                Hint::After(wait) => Some(wait.as_secs()),
                _ => None,
            };
            let error = ForgeError::RateLimited {
                host,
                retry_after_seconds,
            };
            return Some((hint, CallError::Other(error)));
        }
        let error = match answer.status.as_u16() {
            200..=299 => return None,
            401 if !self.client.has_token() => ForgeError::NoToken {
                host,
                repository,
                variable: KIND.token_variable(),
            },
            401 => ForgeError::Unauthorized {
                host,
                repository,
                variable: KIND.token_variable(),
            },
            403 => ForgeError::Forbidden {
                repository,
                action: action.to_owned(),
                message,
            },
            404 => return Some((Hint::Final, CallError::NotFound)),
            301 | 302 | 307 | 308 => ForgeError::Moved { host, repository },
            422 => match parse_refusal(&answer.body) {
                Refusal::Other(message) => self.refused(action, 422, &message),
                refusal => return Some((Hint::Final, CallError::Refused(refusal))),
            },
            407 => ForgeError::Network {
                host,
                message: "the proxy requires a user and password: set them in HTTPS_PROXY".into(),
            },
            status @ 500.. => {
                let error = ForgeError::Server { host, status };
                return Some((Hint::Backoff, CallError::Other(error)));
            }
            status => self.refused(action, status, &message),
        };
        Some((Hint::Final, CallError::Other(error)))
    }

    /// Returns a refusal without a variant of its own.
    pub(super) fn refused(&self, action: &str, status: u16, message: &str) -> ForgeError {
        ForgeError::Refused {
            host: self.host(),
            repository: self.repository(),
            action: action.to_owned(),
            status,
            message: clean_message(message),
        }
    }

    /// Returns when to retry if the response is about a rate limit. GitHub's rule
    /// (<https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#rate-limit-errors>): on a
    /// 403 or 429, wait for `retry-after` if present, else until `x-ratelimit-reset` if nothing remains, else a
    /// minute, then exponentially longer.
    fn rate_limit(&self, answer: &ApiResponse, message: &str) -> Option<Hint> {
        let number = |name: &str| -> Option<i64> {
            answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
        };
        let retry_after = number(RETRY_AFTER.as_str());
        let used_up = number("x-ratelimit-remaining") == Some(0);
        let words = message.to_lowercase();
        let about_limits = answer.status == StatusCode::TOO_MANY_REQUESTS
            || answer.status == StatusCode::FORBIDDEN
                && (used_up || retry_after.is_some() || words.contains("rate limit"));
        if !about_limits {
            return None;
        }
        let reset = number("x-ratelimit-reset").filter(|_| used_up);
        let until_reset =
            reset.map(|reset| reset.saturating_sub((self.client.retry_policy.now)().as_second()));
        let known = retry_after.or(until_reset);
        Some(known.map_or(Hint::Minutes, |seconds| {
            Hint::After(Duration::from_secs(seconds.max(0).unsigned_abs()))
        }))
    }

    /// Converts a failure that the caller does not handle.
    pub(super) fn unexpected(&self, error: CallError, action: &str) -> ForgeError {
        match error {
            CallError::Other(error) => error,
            CallError::NotFound => ForgeError::NotFound {
                host: self.host(),
                repository: self.repository(),
            },
            CallError::Refused(refusal) => self.refused(action, 422, refusal.message()),
        }
    }

    /// Returns the error for a response that does not match the API.
    pub(super) fn bad_response(&self, message: &str) -> ForgeError {
        ForgeError::InvalidResponse {
            host: self.host(),
            message: message.to_owned(),
        }
    }
}
