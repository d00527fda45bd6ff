//! Decides when to retry a call. Pure, apart from the clock it is given.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;

use flightdeck_core::backoff::Backoff;

/// Retries after the first attempt.
const RETRIES: u32 = 4;
/// Backoff after a transient failure.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(4));
/// Backoff after a rate limit without a reset time.
const MINUTES: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(480));
/// Longest wait while a user waits for the response; a longer one is reported as an error.
const INTERACTIVE_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait of background work.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(300);

/// What a failure says about retrying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A retry gets the same response.
    Final,
    /// Transient.
    Backoff,
    /// A rate limit without a reset time.
    Minutes,
    /// The server sent the time to wait.
    After(Duration),
}

/// Returns how long to wait before retry number `retry` (from 0). Returns `None` to give up, also if the wait would
/// exceed `longest`. `jitter` is in `0.0..1.0`.
pub(super) fn wait(retry: u32, hint: Hint, jitter: f64, longest: Duration) -> Option<Duration> {
    if retry >= RETRIES {
        return None;
    }
    let wait = match hint {
        Hint::Final => return None,
        Hint::Backoff => return Some(BACKOFF.jittered(retry, jitter)),
        Hint::Minutes => MINUTES.delay(retry),
        Hint::After(wait) => wait,
    };
    // Never earlier than requested, with jitter to spread clients.
    (wait <= longest).then(|| wait + Duration::from_secs(1).mul_f64(jitter))
}

type Sleep = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// Clock and limit for retries; tests pass their own clock.
#[derive(Clone)]
pub struct RetryPolicy {
    pub(super) sleep: Arc<Sleep>,
    pub(super) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The longest single wait.
    pub(super) longest: Duration,
}

impl RetryPolicy {
    /// Creates a policy for background work with the given clock.
    pub fn new(
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            sleep: Arc::new(sleep),
            now: Arc::new(now),
            longest: BACKGROUND_LIMIT,
        }
    }

    /// Returns a policy for interactive use: rate limits of minutes are reported instead of waited for.
    #[must_use]
    pub fn interactive() -> Self {
        Self {
            longest: INTERACTIVE_LIMIT,
            ..Self::default()
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(|time| Box::pin(tokio::time::sleep(time)), Timestamp::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_jitter_and_end() {
        let waits = |hint, jitter| -> Vec<Option<u128>> {
            (0..5)
                .map(|retry| Some(wait(retry, hint, jitter, BACKGROUND_LIMIT)?.as_millis()))
                .collect()
        };
        assert_eq!(
            waits(Hint::Backoff, 1.0),
            [Some(250), Some(500), Some(1000), Some(2000), None]
        );
        assert_eq!(
            waits(Hint::Backoff, 0.0),
            [Some(500), Some(1000), Some(2000), Some(4000), None]
        );
        assert_eq!(
            waits(Hint::Minutes, 0.0),
            [Some(60_000), Some(120_000), Some(240_000), None, None]
        );
        assert_eq!(wait(0, Hint::Final, 0.5, BACKGROUND_LIMIT), None);
    }

    #[test]
    fn honours_server_wait_up_to_the_limit() {
        let after = |seconds| Hint::After(Duration::from_secs(seconds));
        let background = |hint, jitter| wait(0, hint, jitter, BACKGROUND_LIMIT);
        assert_eq!(background(after(7), 0.0), Some(Duration::from_secs(7)));
        assert_eq!(
            background(after(7), 0.5),
            Some(Duration::from_millis(7_500))
        );
        assert_eq!(background(after(3600), 0.0), None);
        assert_eq!(wait(0, after(7), 0.0, INTERACTIVE_LIMIT), None);
        assert_eq!(wait(0, Hint::Minutes, 0.0, INTERACTIVE_LIMIT), None);
    }
}
