//! What the ledger has of each source.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;

use flightdeck_core::log::LogSource;

/// Seconds before the newest line in which a line may still be new: stdout and stderr are written slightly out of
/// order.
const SLACK: i64 = 1;

/// What is stored of a source. A log is always followed from its first line, so the stored part is a prefix.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) source: Arc<LogSource>,
    pub(super) newest: Option<Timestamp>,
    /// The last stored line, if its segment was read: lines that follow it in the stream are new.
    pub(super) last: Option<(Timestamp, u32)>,
    /// Lines of the last seconds.
    pub(super) recent: HashSet<(Timestamp, u32)>,
    /// The log is being read again from its first line, and no new line was seen yet. Only then does an old timestamp
    /// mean that a line is stored: clocks may be set back.
    pub(super) catching_up: bool,
    pub(super) ended: bool,
}

impl Stored {
    /// Returns whether a line is stored.
    pub(super) fn contains(&self, at: Timestamp, ordinal: u32) -> bool {
        (self.catching_up && self.is_old(at)) || self.recent.contains(&(at, ordinal))
    }

    /// Records a stored line.
    pub(super) fn note(&mut self, at: Timestamp, ordinal: u32) {
        self.last = Some((at, ordinal));
        if self.is_old(at) {
            return;
        }
        self.recent.insert((at, ordinal));
        let before = self.newest;
        if before.is_none_or(|newest| at > newest) {
            self.newest = Some(at);
            if before.is_none_or(|newest| at.as_second() > newest.as_second()) {
                let second = at.as_second();
                self.recent
                    .retain(|(at, _)| at.as_second() >= second - SLACK);
            }
        }
    }

    /// Returns whether a line with this time must be a stored one while catching up.
    pub(super) fn is_old(&self, at: Timestamp) -> bool {
        self.newest
            .is_some_and(|newest| at.as_second() < newest.as_second() - SLACK)
    }
}
