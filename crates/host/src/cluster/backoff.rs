//! Exponential backoff with jitter, so that clients do not retry in step.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Bounds of an exponential backoff: waits double from `first` to `longest` and start over after a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(20),
        }
    }
}

/// The state of a sequence of attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    backoff: Backoff,
    pub(super) failures: u32,
}

impl Attempts {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failures: 0,
        }
    }

    /// Resets the backoff after a success.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Waits after a failure.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.delay()).await;
    }

    /// Counts a failure and returns how long to wait before the next attempt.
    pub(super) fn delay(&mut self) -> Duration {
        // The standard library seeds each `RandomState` differently, which is random enough to spread clients.
        let jitter = (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64;
        self.next(jitter)
    }

    /// Returns the next wait. `jitter` in `0.0..1.0` shortens it by up to half.
    fn next(&mut self, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(16));
        self.failures += 1;
        let full = self.backoff.first.saturating_mul(factor);
        full.min(self.backoff.longest)
            .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_limit_and_resets_on_success() {
        let mut attempts = Attempts::new(Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(350),
        });
        let mut next = || attempts.next(0.0).as_millis();
        assert_eq!([next(), next(), next(), next()], [100, 200, 350, 350]);
        attempts.reset();
        assert_eq!(attempts.next(1.0).as_millis(), 50);
        attempts.failures = u32::MAX - 1;
        assert_eq!(attempts.next(0.0).as_millis(), 350);
    }
}
