//! What is asked of a server whose stream broke, as the answers so far decide.
//!
//! A few of the last lines mostly hold the place where the stream broke, and then that answer goes on being followed.
//! Where they do not, more is asked for, up to the whole file. That the whole file no longer has the place is believed only
//! of an answer that was surely whole, since a server may close one early as if all were said: one that shows a line known
//! to be newer than the place (a landmark), or two in a row that end alike.

/// Lines asked for first, and how many times more each time they do not reach back far enough.
pub(super) const FIRST: usize = 32;
const FURTHER: usize = 32;
/// Most lines asked for short of all.
const MOST: usize = FIRST * FURTHER * FURTHER;

/// A request for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The last so many lines; `None` for all there are.
    pub(super) tail: Option<usize>,
    /// Whether it goes on with what is written later.
    pub(super) follow: bool,
}

/// How far back is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Lines(usize),
    All,
}

/// How an answer ended: its lines, the last of them, and what stood behind it.
pub(super) type End = (usize, Option<u64>, u64);

/// What an answer did that does not show the place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It gave a line, which is the `count`th.
    Line { count: usize, hash: u64 },
    /// It gave some lines and ended, at this end if the server closed it.
    Ended(Option<End>),
}

/// A search for the place where a stream broke.
#[derive(Debug)]
pub(super) struct Search {
    reach: Reach,
    /// A line that stands behind the place, or in a file that does not have it.
    landmark: Option<u64>,
    /// Of the last answer, if it was the whole file.
    end: Option<End>,
    vain: bool,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            reach: Reach::Lines(FIRST),
            landmark: None,
            end: None,
            vain: false,
        }
    }
}

impl Search {
    pub(super) const fn ask(&self, running: bool) -> Ask {
        match self.reach {
            Reach::Lines(lines) => Ask {
                tail: Some(lines),
                follow: running,
            },
            // Without an end nothing could be said of what it lacks.
            Reach::All => Ask {
                tail: None,
                follow: false,
            },
        }
    }

    /// Whether the file does not have the place.
    pub(super) const fn is_vain(&self) -> bool {
        self.vain
    }

    /// Takes in what the answer did; whether it can tell no more.
    pub(super) fn step(&mut self, event: Event) -> bool {
        match (event, self.reach) {
            // More than was asked for: this one was written after the answer began, so it is newer than the place.
            (Event::Line { count, hash }, Reach::Lines(lines)) if count > lines => {
                self.landmark = Some(hash);
                let more = lines.saturating_mul(FURTHER);
                self.reach = if lines < FIRST || more > MOST {
                    Reach::All
                } else {
                    Reach::Lines(more)
                };
                true
            }
            (Event::Line { hash, .. }, Reach::All) if self.landmark == Some(hash) => {
                self.vain = true;
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
                    Some(before) if before == end => self.vain = true,
                    // It is being written: the next line of it will be a landmark.
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

    const BROKE_OFF: Event = Event::Ended(None);

    #[test]
    fn as_much_is_asked_for_as_it_takes_and_a_place_is_given_up_only_on_proof() {
        let tail = |lines| (Some(lines), true);
        let all = (None, false);
        for (events, asked, vain) in [
            // The place may still come.
            (vec![], tail(32), false),
            (vec![line(32, 1)], tail(32), false),
            // More was written meanwhile than was asked for.
            (vec![line(33, 1)], tail(1024), false),
            (vec![line(33, 1), line(1025, 2)], tail(32_768), false),
            (
                vec![line(33, 1), line(1025, 2), line(32_769, 3)],
                all,
                false,
            ),
            // All of it is asked for; a line that was surely written later proves that the place is gone.
            (vec![line(33, 1), BROKE_OFF, line(1, 2)], all, false),
            (vec![line(33, 1), BROKE_OFF, line(1, 1)], all, true),
            // So do two ends that are alike, but neither one end nor two that the server did not mean.
            (vec![closed(3)], all, false),
            (vec![closed(3), closed(3)], all, false),
            (vec![closed(3), closed(3), closed(3)], all, true),
            (vec![BROKE_OFF, BROKE_OFF, BROKE_OFF], all, false),
            // A log that grows ends never alike: its next line is waited for.
            (vec![BROKE_OFF, closed(3), closed(4)], tail(1), false),
            (
                vec![BROKE_OFF, closed(3), closed(4), line(1, 5)],
                tail(1),
                false,
            ),
            (
                vec![BROKE_OFF, closed(3), closed(4), line(2, 6)],
                all,
                false,
            ),
            (
                vec![BROKE_OFF, closed(3), closed(4), line(2, 6), line(7, 6)],
                all,
                true,
            ),
        ] {
            let mut search = Search::default();
            for event in &events {
                search.step(*event);
            }
            let ask = search.ask(true);
            assert_eq!((ask.tail, ask.follow), asked, "{events:?}");
            assert_eq!(search.is_vain(), vain, "{events:?}");
            assert!(!search.ask(false).follow, "{events:?}");
        }
    }
}
