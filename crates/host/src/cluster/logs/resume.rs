//! The position at which a stream broke, and which lines of the next response are already known.
//!
//! Lines are found by their position and never by their time. A node's clock may be set back, and `sinceTime` makes a
//! kubelet skip all lines with earlier timestamps for the duration of the stream (`logWriter.write` in
//! `k8s.io/cri-client/pkg/logs`). Instead, the last lines of the file are requested (see `request.rs`); lines after
//! the last known ones are new.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use super::request::{Event, LogRequest, Search};

/// Number of lines that identify a position. Only equal lines with equal timestamps could be confused with them.
pub(super) const WINDOW: usize = 16;
/// Seconds before the newest line in which further lines may have the same timestamp as an earlier one.
const SLACK: i64 = 1;

/// The last lines read, and the state of the search for them.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// Hashes in file order. If fewer than [`WINDOW`], they are all lines from the start of the file.
    window: VecDeque<u64>,
    last: Option<Timestamp>,
    ordinals: Ordinals,
    search: Search,
    /// The lines of the current response, while the window is searched for.
    shown: Option<Shown>,
    /// Set once the file is known to have lost the window, except for some lines at its start.
    lost: Option<Lost>,
}

/// The lines of a response that has not shown the window yet.
#[derive(Debug, Default)]
struct Shown {
    count: usize,
    first: Option<u64>,
    /// The last lines, as many as in the window.
    recent: VecDeque<u64>,
    /// Length of the response's start that equals the end of the window.
    head: usize,
}

/// A file that no longer contains the window.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Hash of its first line.
    first: u64,
    /// Number of lines at its start that were already read.
    head: usize,
}

/// The classification of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Read before.
    Known,
    /// The next line.
    New,
    /// A new line, but lines between it and the last one are lost.
    AfterGap(Timestamp),
    /// The response is of no further use: send another request.
    NewRequest,
}

impl Resume {
    /// Returns the next request.
    pub(super) fn request(&self, running: bool) -> LogRequest {
        if self.last.is_none() || self.lost.is_some() {
            return LogRequest {
                tail: None,
                follow: running,
            };
        }
        let request = self.search.request(running);
        if self.is_at_the_start() {
            // Nearly all lines are new; the first line of the tail may equal the first line of the log by
            // coincidence.
            return LogRequest {
                tail: None,
                ..request
            };
        }
        request
    }

    /// Returns whether the known lines are the start of the file.
    fn is_at_the_start(&self) -> bool {
        self.window.len() < WINDOW
    }

    /// Returns the time of the last line; `None` before the first.
    pub(super) const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Starts a response to [`Resume::request`].
    pub(super) fn start_response(&mut self) {
        self.shown = (!self.window.is_empty()).then(Shown::default);
    }

    /// Returns whether the response has shown the last known line, so that all following lines are new.
    pub(super) const fn caught_up(&self) -> bool {
        self.shown.is_none()
    }

    /// Returns whether the response showed none of the known lines, and the file can contain only the incomplete line
    /// of length `rest`.
    pub(super) fn is_lost(&self, rest: u64) -> bool {
        let nothing = self.shown.as_ref().is_some_and(|shown| shown.count == 0);
        nothing && (rest == 0 || self.request(false).tail.is_none())
    }

    /// Returns whether the line is one of the last lines read.
    pub(super) fn recognises(&self, hash: u64) -> bool {
        self.shown.is_some() && self.window.contains(&hash)
    }

    /// Returns whether a line that follows those of the response would be the last line read: the lines before it
    /// match.
    pub(super) fn ends_with(&self, hash: u64) -> bool {
        let Some(shown) = &self.shown else {
            return false;
        };
        // The response may start after the first line of the window.
        let mut before = self
            .window
            .iter()
            .rev()
            .skip(1)
            .zip(shown.recent.iter().rev());
        self.window.back() == Some(&hash) && before.all(|(read, shown)| read == shown)
    }

    /// Stops searching; all further lines are new.
    pub(super) fn stop_searching(&mut self) {
        self.shown = None;
    }

    /// Ends the response. If the server `closed` it, it may be complete. `rest` is the length of its incomplete last
    /// line.
    pub(super) fn ended(&mut self, closed: bool, rest: u64) {
        let Some(shown) = self.shown.as_ref().filter(|_| self.lost.is_none()) else {
            return;
        };
        let end = (shown.count, shown.recent.back().copied(), rest);
        if shown.count > 0 {
            self.step(Event::Ended(closed.then_some(end)));
        } else if rest > 0 {
            self.step(Event::Ended(None));
        }
    }

    pub(super) fn take(&mut self, at: Timestamp, hash: u64) -> Verdict {
        let verdict = match &mut self.shown {
            None => Verdict::New,
            Some(shown) => {
                shown.add(hash, &self.window);
                match self.lost {
                    Some(lost) => self.skip_known_start(lost),
                    None => self.find_window(hash),
                }
            }
        };
        if matches!(verdict, Verdict::New | Verdict::AfterGap(_)) {
            self.last = Some(at);
            if self.window.len() == WINDOW {
                self.window.pop_front();
            }
            self.window.push_back(hash);
        }
        verdict
    }

    /// Returns the number of the line among those with the same timestamp, from 0.
    pub(super) fn ordinal(&mut self, at: Timestamp) -> u32 {
        self.ordinals.next(at)
    }

    /// Searches the lines of the response for the window.
    fn find_window(&mut self, hash: u64) -> Verdict {
        let Some(shown) = &self.shown else {
            return Verdict::New;
        };
        let count = shown.count;
        if shown.recent == self.window {
            self.search = Search::default();
            self.shown = None;
            return Verdict::Known;
        }
        let needs_request = if !self.is_at_the_start() {
            self.step(Event::Line { count, hash })
        } else if count == self.window.len() {
            self.set_lost();
            true
        } else {
            false
        };
        if needs_request {
            Verdict::NewRequest
        } else {
            Verdict::Known
        }
    }

    /// Handles a line of a file that has lost the window, from its start.
    fn skip_known_start(&mut self, lost: Lost) -> Verdict {
        let Some(shown) = &self.shown else {
            return Verdict::New;
        };
        if shown.first != Some(lost.first) {
            // The file was rotated again; start over.
            self.lost = None;
            return Verdict::NewRequest;
        }
        if shown.count < lost.head {
            return Verdict::Known;
        }
        self.lost = None;
        self.shown = None;
        // Only the start of this file is known now.
        self.window.drain(..self.window.len() - lost.head);
        match self.last {
            Some(before) if lost.head == 0 => Verdict::AfterGap(before),
            _ => Verdict::Known,
        }
    }

    /// Passes an event to the search. Returns whether a new request is needed.
    fn step(&mut self, event: Event) -> bool {
        let needs_request = self.search.step(event);
        if self.search.is_missing() {
            self.set_lost();
        }
        needs_request
    }

    /// Records that the file of this response does not contain the window.
    fn set_lost(&mut self) {
        if let Some(shown) = &self.shown
            && let Some(first) = shown.first
        {
            self.search = Search::default();
            self.lost = Some(Lost {
                first,
                head: shown.head,
            });
        }
    }
}

impl Shown {
    fn add(&mut self, hash: u64, window: &VecDeque<u64>) {
        self.count += 1;
        self.first.get_or_insert(hash);
        if self.recent.len() == window.len() {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        let whole = self.recent.len() == self.count;
        if whole && window.range(window.len() - self.count..).eq(&self.recent) {
            self.head = self.count;
        }
    }
}

/// Number of lines for each timestamp of the last seconds.
#[derive(Debug, Default)]
struct Ordinals {
    counts: HashMap<Timestamp, u32>,
    /// The newest second since the clock was last set back.
    newest: i64,
}

impl Ordinals {
    fn next(&mut self, at: Timestamp) -> u32 {
        let second = at.as_second();
        if !(self.newest - SLACK..=self.newest).contains(&second) {
            self.newest = second;
            let near = second - SLACK..=second + SLACK;
            self.counts
                .retain(|known, _| near.contains(&known.as_second()));
        }
        let count = self.counts.entry(at).or_default();
        *count += 1;
        *count - 1
    }
}

#[cfg(test)]
mod tests;
