//! Which runs are followed, and for which consumers.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use crate::world::RunId;

/// The consumers of a run's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// The lists show the run's progress.
    pub(super) progress: bool,
    /// The Logs tab shows the log. Each opening has its own number, because it reads the log from the first line.
    pub(super) tab: Option<u64>,
    /// The follower has ended, and ignores further changes.
    closed: bool,
}

impl Interest {
    pub(super) const fn is_empty(self) -> bool {
        !self.progress && self.tab.is_none()
    }
}

/// The interest in a run, shared with its follower.
pub(super) type SharedInterest = Arc<watch::Sender<Interest>>;

/// The followers, at most one per run.
#[derive(Debug, Default)]
pub(super) struct Followers {
    pub(super) by_run: HashMap<RunId, SharedInterest>,
    openings: u64,
}

impl Followers {
    /// Adds the lists as a consumer. Returns the interest for a new follower, if there is none yet.
    pub(super) fn report_progress(&mut self, run: &RunId) -> Option<SharedInterest> {
        self.change(run, |interest| interest.progress = true)
    }

    /// Makes the Logs tab a consumer of this run only. Returns the interest for a new follower, if there is none yet.
    pub(super) fn show(&mut self, run: &RunId) -> Option<SharedInterest> {
        self.hide();
        self.openings += 1;
        let opening = self.openings;
        self.change(run, |interest| interest.tab = Some(opening))
    }

    /// Removes the Logs tab as a consumer, and followers that have ended.
    pub(super) fn hide(&mut self) {
        self.by_run.retain(|_, shared| {
            shared.send_if_modified(|interest| interest.tab.take().is_some());
            !shared.borrow().closed
        });
    }

    fn change(&mut self, run: &RunId, change: impl Fn(&mut Interest)) -> Option<SharedInterest> {
        if let Some(shared) = self.by_run.get(run)
            && shared.send_if_modified(|interest| {
                if !interest.closed {
                    change(interest);
                }
                !interest.closed
            })
        {
            return None;
        }
        let mut interest = Interest::default();
        change(&mut interest);
        let shared = Arc::new(watch::Sender::new(interest));
        self.by_run.insert(run.clone(), Arc::clone(&shared));
        Some(shared)
    }
}

/// Closes a follower. Returns `false` if a consumer was added since `served`, and it has to continue.
pub(super) fn close(shared: &SharedInterest, served: Option<u64>) -> bool {
    let mut closed = false;
    shared.send_if_modified(|interest| {
        closed = interest.is_empty() || interest.tab.is_none_or(|tab| served == Some(tab));
        interest.closed |= closed;
        false
    });
    closed
}
