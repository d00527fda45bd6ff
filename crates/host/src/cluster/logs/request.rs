//! Decides what to request after a stream broke.
//!
//! Usually the last few lines include the position where the stream broke, and that response is followed further.
//! Otherwise more lines are requested, up to the whole file. A position counts as missing from the whole file only if
//! that response is certainly complete, because servers may close a stream early: it contains a line known to be
//! newer than the position (a landmark), or two consecutive responses end alike.

/// Number of lines requested first, and the factor for each further request.
pub(super) const FIRST_TAIL: usize = 32;
const FACTOR: usize = 32;
/// Maximum number of lines requested, short of all.
const MAX_TAIL: usize = FIRST_TAIL * FACTOR * FACTOR;

/// A log request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRequest {
    /// Number of last lines; `None` for all.
    pub(super) tail: Option<usize>,
    /// Whether to follow the log.
    pub(super) follow: bool,
}

/// How far back to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Lines(usize),
    All,
}

/// The end of a response: number of lines, hash of the last one, and length of an incomplete line.
pub(super) type End = (usize, Option<u64>, u64);

/// Something in a response that did not show the position yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The `count`th line.
    Line { count: usize, hash: u64 },
    /// The response ended; with its end if the server closed it.
    Ended(Option<End>),
}

/// A search for the position where a stream broke.
#[derive(Debug)]
pub(super) struct Search {
    reach: Reach,
    /// Hash of a line after the position, or of a line in a file without it.
    landmark: Option<u64>,
    /// The end of the last response, if it was the whole file.
    end: Option<End>,
    missing: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            reach: Reach::Lines(FIRST_TAIL),
            landmark: None,
            end: None,
            missing: false,
        }
    }
}

impl Search {
    pub(super) const fn request(&self, running: bool) -> LogRequest {
        match self.reach {
            Reach::Lines(lines) => LogRequest {
                tail: Some(lines),
                follow: running,
            },
            // Without following, because only a complete response proves that the position is missing.
            Reach::All => LogRequest {
                tail: None,
                follow: false,
            },
        }
    }

    /// Returns whether the file does not contain the position.
    pub(super) const fn is_missing(&self) -> bool {
        self.missing
    }

    /// Handles an event. Returns whether a new request is needed.
    pub(super) fn step(&mut self, event: Event) -> bool {
        match (event, self.reach) {
            // More lines than requested: this one was written after the response began, so it is newer than the
            // position.
            (Event::Line { count, hash }, Reach::Lines(lines)) if count > lines => {
                self.landmark = Some(hash);
                let more = lines.saturating_mul(FACTOR);
                self.reach = if lines < FIRST_TAIL || more > MAX_TAIL {
                    Reach::All
                } else {
                    Reach::Lines(more)
                };
                true
            }
            (Event::Line { hash, .. }, Reach::All) if self.landmark == Some(hash) => {
                self.missing = true;
                true
            }
            (Event::Line { .. }, _) => false,
            (Event::Ended(_), Reach::Lines(_)) => {
                self.reach = Reach::All;
                self.end = None;
                true
            }
            (Event::Ended(None), Reach::All) => true,
            (Event::Ended(Some(end)), Reach::All) => {
                match self.end.replace(end) {
                    Some(before) if before == end => self.missing = true,
                    // The log is being written: its next line becomes a landmark.
                    Some(_) => self.reach = Reach::Lines(1),
                    None => {}
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(count: usize, hash: u64) -> Event {
        Event::Line { count, hash }
    }

    const fn closed(lines: usize) -> Event {
        Event::Ended(Some((lines, Some(9), 0)))
    }

    const BROKEN: Event = Event::Ended(None);

    #[test]
    fn requests_as_much_as_needed_and_gives_up_only_on_proof() {
        let tail = |lines| (Some(lines), true);
        let all = (None, false);
        for (events, asked, missing) in [
            // The position may still follow.
            (vec![], tail(32), false),
            (vec![line(32, 1)], tail(32), false),
            // More lines were written meanwhile than requested.
            (vec![line(33, 1)], tail(1024), false),
            (vec![line(33, 1), line(1025, 2)], tail(32_768), false),
            (
                vec![line(33, 1), line(1025, 2), line(32_769, 3)],
                all,
                false,
            ),
            // The whole file is requested; a line that is certainly newer proves that the position is missing.
            (vec![line(33, 1), BROKEN, line(1, 2)], all, false),
            (vec![line(33, 1), BROKEN, line(1, 1)], all, true),
            // Two equal ends prove it as well, but not one end, or two broken streams.
            (vec![closed(3)], all, false),
            (vec![closed(3), closed(3)], all, false),
            (vec![closed(3), closed(3), closed(3)], all, true),
            (vec![BROKEN, BROKEN, BROKEN], all, false),
            // The ends of a growing log never match: wait for its next line.
            (vec![BROKEN, closed(3), closed(4)], tail(1), false),
            (
                vec![BROKEN, closed(3), closed(4), line(1, 5)],
                tail(1),
                false,
            ),
            (vec![BROKEN, closed(3), closed(4), line(2, 6)], all, false),
            (
                vec![BROKEN, closed(3), closed(4), line(2, 6), line(7, 6)],
                all,
                true,
            ),
        ] {
            let mut search = Search::default();
            for event in &events {
                search.step(*event);
            }
            let request = search.request(true);
            assert_eq!((request.tail, request.follow), asked, "{events:?}");
            assert_eq!(search.is_missing(), missing, "{events:?}");
            assert!(!search.request(false).follow, "{events:?}");
        }
    }
}
