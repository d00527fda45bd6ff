//! When a call is tried again, and after how long: a pure decision, and the clock it is carried out by.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;

/// Tries after the first.
const RETRIES: u32 = 4;
/// First wait; doubled with every try.
const FIRST: Duration = Duration::from_millis(500);
/// First wait after a limit whose end the server does not tell; doubled with every try.
const MINUTE: Duration = Duration::from_secs(60);
/// Longest wait that somebody who looks on is asked for; a longer one is told instead.
const WATCHED: Duration = Duration::from_secs(5);
/// Longest wait of work that goes on by itself.
const UNWATCHED: Duration = Duration::from_secs(300);

/// What a failure says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// Trying again gives the same answer.
    Final,
    /// It may pass by itself.
    BackOff,
    /// It passes in minutes; the server did not say when.
    Minutes,
    /// The server said when.
    After(Duration),
}

/// How long to wait before try number `retry` (from 0); `None` to give up, which a wait beyond `longest` is a reason for.
/// `jitter` is in `0.0..1.0`.
pub(super) fn wait(retry: u32, hint: Hint, jitter: f64, longest: Duration) -> Option<Duration> {
    if retry >= RETRIES {
        return None;
    }
    let wait = match hint {
        Hint::Final => return None,
        Hint::BackOff => {
            return Some((FIRST * 2_u32.pow(retry)).mul_f64(0.5 + jitter / 2.0));
        }
        Hint::Minutes => MINUTE * 2_u32.pow(retry),
        Hint::After(wait) => wait,
    };
    // Never earlier than asked, and not all clients at the same moment.
    (wait <= longest).then(|| wait + Duration::from_secs(1).mul_f64(jitter))
}

type Sleep = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// The clock of a forge: real, or one that a test drives.
#[derive(Clone)]
pub struct Pace {
    pub(super) sleep: Arc<Sleep>,
    pub(super) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The longest single wait.
    pub(super) longest: Duration,
}

impl Pace {
    /// A clock of one's own, for work that goes on by itself.
    pub fn new(
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            sleep: Arc::new(sleep),
            now: Arc::new(now),
            longest: UNWATCHED,
        }
    }

    /// The real clock, for somebody who waits for the answer: a limit of minutes is told, not waited for.
    #[must_use]
    pub fn watched() -> Self {
        Self {
            longest: WATCHED,
            ..Self::default()
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(|time| Box::pin(tokio::time::sleep(time)), Timestamp::now)
    }
}

/// A number in `0.0..1.0` that differs from client to client.
pub(super) fn jitter() -> f64 {
    // The standard library seeds each `RandomState` afresh; that is random enough to spread retries.
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_have_jitter_and_end() {
        let waits = |hint, jitter| -> Vec<Option<u128>> {
            (0..5)
                .map(|retry| Some(wait(retry, hint, jitter, UNWATCHED)?.as_millis()))
                .collect()
        };
        assert_eq!(
            waits(Hint::BackOff, 0.0),
            [Some(250), Some(500), Some(1000), Some(2000), None]
        );
        assert_eq!(
            waits(Hint::BackOff, 1.0),
            [Some(500), Some(1000), Some(2000), Some(4000), None]
        );
        assert_eq!(
            waits(Hint::Minutes, 0.0),
            [Some(60_000), Some(120_000), Some(240_000), None, None]
        );
        assert_eq!(wait(0, Hint::Final, 0.5, UNWATCHED), None);
    }

    #[test]
    fn the_server_is_obeyed_unless_it_asks_for_too_much() {
        let after = |seconds| Hint::After(Duration::from_secs(seconds));
        let unwatched = |hint, jitter| wait(0, hint, jitter, UNWATCHED);
        assert_eq!(unwatched(after(7), 0.0), Some(Duration::from_secs(7)));
        assert_eq!(unwatched(after(7), 0.5), Some(Duration::from_millis(7_500)));
        assert_eq!(unwatched(after(3600), 0.0), None);
        assert_eq!(wait(0, after(7), 0.0, WATCHED), None);
        assert_eq!(wait(0, Hint::Minutes, 0.0, WATCHED), None);
    }

    #[test]
    fn jitter_stays_in_its_range() {
        assert!((0..1000).all(|_| (0.0..1.0).contains(&jitter())));
    }
}
