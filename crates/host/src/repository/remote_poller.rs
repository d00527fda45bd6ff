//! Background polling of the remote: never prompts, never runs beside the user's git, backs off on failure.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    Facts, RemoteAnswer, RemoteError,
    remote::{self, PromptMode},
};
use flightdeck_core::backoff::Backoff;

/// Longest time between two polls while the remote does not answer.
const MAX_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Older locks were left by a git that was killed.
const STALE_LOCK_AGE: Duration = Duration::from_secs(10 * 60);

/// The polling schedule. Pure: randomness and results are passed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollInterval {
    interval: Duration,
    /// Failed polls in a row.
    unanswered: u32,
    /// The remote requires credentials that only the user can enter.
    refused: bool,
}

impl PollInterval {
    /// Polls about every `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            unanswered: 0,
            refused: false,
        }
    }

    /// Records the result of a poll, or of a request by the user.
    pub fn record(&mut self, answer: &Result<RemoteAnswer, RemoteError>) {
        match answer {
            Ok(_) => *self = Self::new(self.interval),
            Err(error) if error.needs_user() => self.refused = true,
            Err(_) => self.unanswered = self.unanswered.saturating_add(1),
        }
    }

    /// Returns whether to poll. False after the remote required credentials, until a request by the user succeeds.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        !self.refused
    }

    /// Returns the time until the next poll: the interval, doubled for each failure up to 15 minutes, with up to 20%
    /// jitter from `chance` to spread consoles.
    #[must_use]
    pub fn wait(&self, chance: u64) -> Duration {
        let wait = Backoff::new(self.interval, MAX_INTERVAL).delay(self.unanswered);
        // From 80% to 120%.
        wait.mul_f64(0.8 + (chance % 1000) as f64 / 2500.0)
    }
}

/// Contacts the remote like [`query_remote`](super::query_remote) but without prompting; `None` while the user's git holds a lock.
pub async fn poll_remote(facts: &Facts) -> Option<Result<RemoteAnswer, RemoteError>> {
    if busy(facts) {
        return None;
    }
    Some(remote::query_remote_as(facts, PromptMode::Never, remote::LIST_TIMEOUT).await)
}

/// Returns whether git is running here, which holds one of its locks.
fn busy(facts: &Facts) -> bool {
    let tracking = facts
        .remote
        .as_ref()
        .and_then(|remote| remote.tracking_ref.as_ref())
        .map(|tracking| facts.common_dir.join(format!("{tracking}.lock")));
    let locks = [
        facts.git_dir.join("index.lock"),
        facts.git_dir.join("HEAD.lock"),
        facts.common_dir.join("packed-refs.lock"),
        facts.common_dir.join("shallow.lock"),
        facts.common_dir.join("config.lock"),
        facts.common_dir.join("reftable/tables.list.lock"),
    ];
    locks.into_iter().chain(tracking).any(|lock| held(&lock))
}

fn held(lock: &PathBuf) -> bool {
    let modified = std::fs::metadata(lock).and_then(|lock| lock.modified());
    modified.is_ok_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age < STALE_LOCK_AGE)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::repository::{GitFailure, fixture::Fixture, read};

    fn failed(failure: GitFailure) -> Result<RemoteAnswer, RemoteError> {
        Err(RemoteError::Failed {
            place: "x".into(),
            failure,
            detail: "x".into(),
        })
    }

    fn no_response() -> Result<RemoteAnswer, RemoteError> {
        failed(GitFailure::Network)
    }

    const ANSWER: Result<RemoteAnswer, RemoteError> = Ok(RemoteAnswer {
        taken_folders: Vec::new(),
        commit: None,
        default_branch: None,
        asked: Timestamp::UNIX_EPOCH,
    });

    #[test]
    fn polls_less_often_while_unanswered() {
        let mut interval = PollInterval::new(Duration::from_secs(60));
        assert_eq!(interval.wait(500).as_secs(), 60);
        assert_eq!(
            (interval.wait(0).as_secs(), interval.wait(999).as_secs()),
            (48, 71)
        );
        interval.record(&no_response());
        assert_eq!(interval.wait(500).as_secs(), 120);
        for _ in 0..100 {
            interval.record(&no_response());
        }
        assert_eq!(interval.wait(500).as_secs(), 900);
        assert!(interval.is_enabled());
        interval.record(&ANSWER);
        assert_eq!(interval.wait(500).as_secs(), 60);
    }

    #[test]
    fn stops_polling_after_auth_failure_until_user_succeeds() {
        let mut interval = PollInterval::new(Duration::from_secs(60));
        interval.record(&failed(GitFailure::Auth));
        interval.record(&no_response());
        assert!(!interval.is_enabled());
        interval.record(&ANSWER);
        assert!(interval.is_enabled());
    }

    #[tokio::test]
    async fn skips_poll_while_git_holds_a_lock() {
        let fixture = Fixture::pushed().await;
        let facts = read(&fixture.root).await.unwrap();
        assert!(matches!(poll_remote(&facts).await, Some(Ok(_))));
        let lock = fixture.root.join(".git/index.lock");
        std::fs::write(&lock, "").unwrap();
        assert_eq!(poll_remote(&facts).await, None);
        // A lock left an hour ago by a git that was killed.
        let then = SystemTime::now() - Duration::from_secs(3600);
        let file = std::fs::File::options().write(true).open(&lock).unwrap();
        file.set_modified(then).unwrap();
        assert!(matches!(poll_remote(&facts).await, Some(Ok(_))));
    }
}
