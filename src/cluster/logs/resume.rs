//! Where a log was when its stream broke, and which lines of the next stream are already known.
//!
//! A server answers `sinceTime` with all lines of its file, in the order of the file, that are not older. So the lines that
//! were read are the first of that answer, and can be recognised by what they are. Times alone would not do: many lines
//! bear the same moment, and two pipes of one process may be written down slightly out of order.

use std::collections::VecDeque;

use jiff::Timestamp;

/// Seconds that are asked for again, so that a line written down late is not missed.
const SLACK: i64 = 1;

/// The lines of the last two seconds.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// Second and hash of each line.
    seen: VecDeque<(i64, u64)>,
    newest: i64,
    last: Option<Timestamp>,
    /// While lines are recognised: the place in `seen` of the next expected one.
    expected: Option<usize>,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was read before.
    Known,
    /// It is the next line.
    New,
    /// It is new, but lines between it and the last one are gone.
    AfterGap(Timestamp),
}

impl Resume {
    /// What to ask for: whole seconds, since a client library rounds what is not; `None` for all there is.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.last?;
        Timestamp::from_second(self.newest - SLACK).ok()
    }

    /// A new stream begins, from [`Resume::since`].
    pub(super) fn reopened(&mut self) {
        self.expected = (!self.seen.is_empty()).then_some(0);
    }

    /// Whether the new stream has shown every line that was known, so that nothing can be missing before what follows.
    pub(super) fn caught_up(&self) -> bool {
        self.expected.is_none_or(|place| !self.misses(place))
    }

    pub(super) fn take(&mut self, at: Timestamp, hash: u64) -> Verdict {
        let mut verdict = Verdict::New;
        if let Some(place) = self.expected {
            let mut rest = self.seen.iter().skip(place);
            if let Some(found) = rest.position(|(_, known)| *known == hash) {
                self.expected = Some(place + found + 1);
                return Verdict::Known;
            }
            if let Some(last) = self.last.filter(|_| self.misses(place)) {
                verdict = Verdict::AfterGap(last);
            }
            self.expected = None;
        }
        self.newest = match self.last {
            Some(_) => self.newest.max(at.as_second()),
            None => at.as_second(),
        };
        self.last = Some(at);
        self.seen.push_back((at.as_second(), hash));
        while self
            .seen
            .front()
            .is_some_and(|(second, _)| *second < self.newest - SLACK)
        {
            self.seen.pop_front();
        }
        verdict
    }

    /// Whether a known line from `place` on should have come again. Older ones were not asked for.
    fn misses(&self, place: usize) -> bool {
        let mut rest = self.seen.iter().skip(place);
        rest.any(|(second, _)| *second >= self.newest - SLACK)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    /// What a server gives for `since`: all lines not older, in the order of the file.
    fn answer(file: &[(i64, u64)], since: Option<Timestamp>) -> Vec<(i64, u64)> {
        let not_older = |(time, _): &&(i64, u64)| since.is_none_or(|since| at(*time) >= since);
        file.iter().filter(not_older).copied().collect()
    }

    #[test]
    fn a_rotated_file_is_a_gap_and_not_a_loss_in_silence() {
        let mut resume = Resume::default();
        assert_eq!(resume.take(at(5_000), 1), Verdict::New);
        assert_eq!(resume.take(at(5_100), 2), Verdict::New);
        resume.reopened();
        assert!(!resume.caught_up());
        assert_eq!(resume.take(at(9_000), 3), Verdict::AfterGap(at(5_100)));
        assert_eq!(resume.take(at(9_001), 4), Verdict::New);
    }

    #[test]
    fn lines_that_left_the_file_after_they_were_read_are_no_gap() {
        let mut resume = Resume::default();
        for hash in 1..=3 {
            resume.take(at(5_000), hash);
        }
        resume.reopened();
        assert_eq!(resume.take(at(5_000), 3), Verdict::Known);
        assert!(resume.caught_up());
        assert_eq!(resume.take(at(5_000), 4), Verdict::New);
    }

    #[test]
    fn whole_seconds_are_asked_for() {
        let mut resume = Resume::default();
        assert_eq!(resume.since(), None);
        resume.take(at(12_700), 1);
        assert_eq!(resume.since(), Some(at(11_000)));
    }

    proptest! {
        /// However often and wherever a stream breaks, however coarse or disorderly its clock: each line comes once.
        #[test]
        fn each_line_comes_once(
            steps in prop::collection::vec((-900_i64..1_500, 1_usize..4), 0..60),
            breaks in prop::collection::vec(0_usize..200, 0..8),
        ) {
            let mut time = 100_000;
            let mut newest = time;
            let mut file = Vec::new();
            for (step, same) in steps {
                // A line is written down at most 0.9 s late.
                time = (newest + step).max(newest - 900);
                newest = newest.max(time);
                for _ in 0..same {
                    file.push((time, file.len() as u64));
                }
            }
            let mut resume = Resume::default();
            let mut got = Vec::new();
            for stop in breaks.into_iter().chain([usize::MAX]) {
                resume.reopened();
                for (time, hash) in answer(&file, resume.since()).into_iter().take(stop) {
                    match resume.take(at(time), hash) {
                        Verdict::Known => {}
                        Verdict::New => got.push(hash),
                        Verdict::AfterGap(_) => prop_assert!(false, "a gap where there is none"),
                    }
                }
            }
            let all: Vec<u64> = file.iter().map(|(_, hash)| *hash).collect();
            prop_assert_eq!(got, all);
        }
    }
}
