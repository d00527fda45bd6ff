//! Growing waits between tries, with jitter, so that many clients do not come back at the same moment.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The first and the longest wait; waits double in between and start over after a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(20),
        }
    }
}

/// A row of tries.
#[derive(Debug)]
pub(super) struct Tries {
    back_off: BackOff,
    pub(super) failed: u32,
}

impl Tries {
    pub(super) const fn new(back_off: BackOff) -> Self {
        Self {
            back_off,
            failed: 0,
        }
    }

    /// It worked: the next failure waits shortly again.
    pub(super) const fn succeeded(&mut self) {
        self.failed = 0;
    }

    /// It failed: waits as long as it is due.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.delay()).await;
    }

    /// Counts a failure and returns how long to wait before the next try.
    pub(super) fn delay(&mut self) -> Duration {
        // The standard library seeds each `RandomState` afresh; that is random enough to spread clients.
        let jitter = (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64;
        self.next(jitter)
    }

    /// The wait that is due; `jitter` in `0.0..1.0` takes up to a half off it.
    fn next(&mut self, jitter: f64) -> Duration {
        let factor = 2_u32.saturating_pow(self.failed.min(16));
        self.failed += 1;
        let full = self.back_off.first.saturating_mul(factor);
        full.min(self.back_off.longest)
            .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_success() {
        let mut tries = Tries::new(BackOff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(350),
        });
        let mut next = || tries.next(0.0).as_millis();
        assert_eq!([next(), next(), next(), next()], [100, 200, 350, 350]);
        tries.succeeded();
        assert_eq!(tries.next(1.0).as_millis(), 50);
        tries.failed = u32::MAX - 1;
        assert_eq!(tries.next(0.0).as_millis(), 350);
    }
}
