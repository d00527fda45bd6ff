//! Exponential backoff. Pure: callers sleep.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Bounds of an exponential backoff: delays double from `first` to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    /// At least `first`; a shorter one counts as `first`.
    pub longest: Duration,
}

impl Backoff {
    /// Creates a backoff from its bounds.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the delay after a failure that `earlier` failures in a row preceded.
    #[must_use]
    pub fn delay(self, earlier: u32) -> Duration {
        let factor = 2_u32.checked_pow(earlier).unwrap_or(u32::MAX);
        let doubled = self.first.saturating_mul(factor);
        doubled.min(self.longest.max(self.first))
    }

    /// Returns [`delay`](Self::delay), shortened by up to half so that clients do not retry in step. `jitter` is in
    /// `0.0..1.0`, see [`jitter`].
    #[must_use]
    pub fn jittered(self, earlier: u32, jitter: f64) -> Duration {
        self.delay(earlier)
            .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// A sequence of attempts with a backoff, which starts over after a success.
#[derive(Clone, Debug)]
pub struct Attempts {
    backoff: Backoff,
    failures: u32,
}

impl Attempts {
    /// Creates a sequence without failures.
    #[must_use]
    pub const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            failures: 0,
        }
    }

    /// Returns the number of failures since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Resets the backoff after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and returns how long to wait before the next attempt, with jitter.
    pub fn next_delay(&mut self) -> Duration {
        let earlier = self.failures;
        self.failures = earlier.saturating_add(1);
        self.backoff.jittered(earlier, jitter())
    }
}

/// Returns a number in `0.0..1.0` that differs between clients and calls.
#[must_use]
pub fn jitter() -> f64 {
    // The standard library seeds each `RandomState` differently, which is random enough to spread clients.
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));

    #[test]
    fn doubles_to_the_limit() {
        let delays =
            [0, 1, 2, 3, 31, 32, u32::MAX].map(|earlier| BACKOFF.delay(earlier).as_millis());
        assert_eq!(delays, [100, 200, 350, 350, 350, 350, 350]);
        let short = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(short.delay(5), Duration::from_secs(2));
        let zero = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(zero.delay(9), Duration::ZERO);
    }

    #[test]
    fn jitter_shortens_by_up_to_half() {
        assert_eq!(BACKOFF.jittered(1, 0.0).as_millis(), 200);
        assert_eq!(BACKOFF.jittered(1, 1.0).as_millis(), 100);
        assert_eq!(BACKOFF.jittered(1, 7.0).as_millis(), 100);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&jitter())));
    }

    #[test]
    fn starts_over_after_a_success() {
        let mut attempts = Attempts::new(BACKOFF);
        for full in [100, 200, 350, 350] {
            let delay = attempts.next_delay().as_millis();
            assert!((full / 2..=full).contains(&delay), "{delay}");
        }
        assert_eq!(attempts.failures(), 4);
        attempts.reset();
        assert!((50..=100).contains(&attempts.next_delay().as_millis()));
    }
}
