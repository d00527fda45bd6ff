//! Quiet looks at the remote that nobody asked for: they never prompt, never disturb the person's own git, and come less often
//! while nobody answers.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    Facts, RemoteAnswer, RemoteError,
    remote::{self, Manner},
};

/// Longest time between two looks while the remote does not answer.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A lock that is older was left behind by a git that is gone.
const LEFT_BEHIND: Duration = Duration::from_secs(10 * 60);

/// When to look next. Pure: chance and answers are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    interval: Duration,
    /// Looks in a row that got no answer.
    unanswered: u32,
    /// It asked for a credential that only a person can give.
    refused: bool,
}

impl Rhythm {
    /// Looks about every `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            unanswered: 0,
            refused: false,
        }
    }

    /// What was heard, quietly or because the person asked.
    pub fn heard(&mut self, answer: &Result<RemoteAnswer, RemoteError>) {
        match answer {
            Ok(_) => *self = Self::new(self.interval),
            Err(RemoteError::Auth { .. } | RemoteError::HostKey { .. }) => self.refused = true,
            Err(_) => self.unanswered = self.unanswered.saturating_add(1),
        }
    }

    /// Whether to look at all: not where it would need a person, until a person has asked and got an answer.
    #[must_use]
    pub const fn looks(&self) -> bool {
        !self.refused
    }

    /// How long to wait for the next look: the interval, doubled for each look without an answer up to a quarter of an hour, and up
    /// to a fifth longer or shorter by `chance`, so that many consoles do not come at once.
    #[must_use]
    pub fn wait(&self, chance: u64) -> Duration {
        let doubled = self.interval * 2_u32.saturating_pow(self.unanswered.min(10));
        let wait = doubled.min(LONGEST.max(self.interval));
        // From 80 to 120 per cent.
        wait.mul_f64(0.8 + (chance % 1000) as f64 / 2500.0)
    }
}

/// Asks the remote as [`ask`](super::ask) does, but so that nothing prompts; `None` while the person's git holds a lock.
pub async fn glance(facts: &Facts) -> Option<Result<RemoteAnswer, RemoteError>> {
    if busy(facts) {
        return None;
    }
    Some(remote::ask_in(facts, Manner::Quiet, remote::ANSWER).await)
}

/// Whether a git is at work here: one of its locks is held.
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
    let taken = std::fs::metadata(lock).and_then(|lock| lock.modified());
    taken.is_ok_and(|taken| {
        SystemTime::now()
            .duration_since(taken)
            .is_ok_and(|age| age < LEFT_BEHIND)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::repository::{fixture::Fixture, read};

    fn silent() -> Result<RemoteAnswer, RemoteError> {
        Err(RemoteError::Network {
            place: "x".into(),
            said: "x".into(),
        })
    }

    const ANSWER: Result<RemoteAnswer, RemoteError> = Ok(RemoteAnswer {
        commit: None,
        default_branch: None,
        asked: Timestamp::UNIX_EPOCH,
    });

    #[test]
    fn looks_come_less_often_while_nobody_answers() {
        let mut rhythm = Rhythm::new(Duration::from_secs(60));
        assert_eq!(rhythm.wait(500).as_secs(), 60);
        assert_eq!(
            (rhythm.wait(0).as_secs(), rhythm.wait(999).as_secs()),
            (48, 71)
        );
        rhythm.heard(&silent());
        assert_eq!(rhythm.wait(500).as_secs(), 120);
        for _ in 0..100 {
            rhythm.heard(&silent());
        }
        assert_eq!(rhythm.wait(500).as_secs(), 900);
        assert!(rhythm.looks());
        rhythm.heard(&ANSWER);
        assert_eq!(rhythm.wait(500).as_secs(), 60);
    }

    #[test]
    fn a_remote_that_wants_a_password_is_left_alone_until_the_person_has_asked() {
        let mut rhythm = Rhythm::new(Duration::from_secs(60));
        rhythm.heard(&Err(RemoteError::Auth {
            place: "x".into(),
            said: "x".into(),
        }));
        rhythm.heard(&silent());
        assert!(!rhythm.looks());
        rhythm.heard(&ANSWER);
        assert!(rhythm.looks());
    }

    #[tokio::test]
    async fn a_git_at_work_is_not_disturbed() {
        let fixture = Fixture::pushed().await;
        let facts = read(&fixture.root).await.unwrap();
        assert!(matches!(glance(&facts).await, Some(Ok(_))));
        let lock = fixture.root.join(".git/index.lock");
        std::fs::write(&lock, "").unwrap();
        assert_eq!(glance(&facts).await, None);
        // One that a git left behind when it was killed, an hour ago.
        let then = SystemTime::now() - Duration::from_secs(3600);
        let file = std::fs::File::options().write(true).open(&lock).unwrap();
        file.set_modified(then).unwrap();
        assert!(matches!(glance(&facts).await, Some(Ok(_))));
    }
}
