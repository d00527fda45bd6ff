//! Where a log was when its stream broke, and which lines of the next stream are already known.
//!
//! A server answers `sinceTime` with all lines of its file, in the order of the file, that are not older. So the lines that
//! were read are the first of that answer, and can be recognised by what they are. Times alone would not do: many lines
//! bear the same moment, two pipes of one process may be written down slightly out of order, and a clock may be set back.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

/// Seconds that are asked for again, so that a line written down late is not missed.
const SLACK: i64 = 1;
/// Seconds of lines after which a clock that went back is taken to have been set, and not to have brought a late line.
const SETTLED: i64 = 3;

/// The lines of the last two seconds.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// Time and hash of each line, in the order of the file.
    seen: VecDeque<(Timestamp, u64)>,
    /// How many lines bore each of those times.
    names: HashMap<Timestamp, u32>,
    /// The newest second, since the clock was last set back.
    newest: i64,
    set_back: Option<SetBack>,
    last: Option<Timestamp>,
    /// While lines are recognised: the place in `seen` of the next expected one.
    expected: Option<usize>,
}

/// A clock that went back, until it is past where it was.
#[derive(Clone, Copy, Debug)]
struct SetBack {
    /// The second it went back to.
    to: i64,
    /// The newest second before.
    from: i64,
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

    /// When the last line was written; `None` before the first.
    pub(super) const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// A new stream begins, from [`Resume::since`].
    pub(super) fn reopened(&mut self) {
        self.expected = (!self.seen.is_empty()).then_some(0);
    }

    /// Whether the new stream has shown every line that was known, so that nothing can be missing before what follows.
    pub(super) fn caught_up(&self) -> bool {
        self.expected.is_none_or(|place| !self.misses(place))
    }

    /// Whether the new stream has shown no line that was known, though some are: the file is another, or the stream was cut
    /// off before its first line.
    pub(super) fn is_lost(&self) -> bool {
        self.expected == Some(0) && !self.caught_up()
    }

    /// Whether the next line is one of those that were read.
    pub(super) fn recognises(&self, hash: u64) -> bool {
        let mut rest = self.expected.map(|place| self.seen.iter().skip(place));
        rest.as_mut()
            .is_some_and(|rest| rest.any(|(_, known)| *known == hash))
    }

    pub(super) fn take(&mut self, at: Timestamp, hash: u64) -> Verdict {
        let mut verdict = Verdict::New;
        if let Some(place) = self.expected {
            let mut rest = self.seen.iter().skip(place);
            if let Some(found) = rest.position(|(_, known)| *known == hash) {
                self.expected = Some(place + found + 1);
                return Verdict::Known;
            }
            // Before the clock was set back these times have been read once, and forgotten since.
            let read_before = |set: SetBack| at.as_second() <= set.from;
            if place == 0 && self.set_back.is_some_and(read_before) {
                return Verdict::Known;
            }
            if let Some(last) = self.last.filter(|_| self.misses(place)) {
                verdict = Verdict::AfterGap(last);
            }
            self.expected = None;
        }
        self.advance(at);
        self.last = Some(at);
        self.seen.push_back((at, hash));
        while self.seen.front().is_some_and(|(at, _)| self.is_past(*at)) {
            if let Some((at, _)) = self.seen.pop_front() {
                self.names.remove(&at);
            }
        }
        verdict
    }

    /// Which of the lines of this very moment a new line is, from 0.
    pub(super) fn ordinal(&mut self, at: Timestamp) -> u32 {
        let count = self.names.entry(at).or_default();
        *count += 1;
        *count - 1
    }

    fn advance(&mut self, at: Timestamp) {
        let second = at.as_second();
        if self.last.is_none() {
            self.newest = second;
        } else if second < self.newest - SLACK {
            let from = self
                .set_back
                .map_or(self.newest, |set| set.from.max(self.newest));
            self.newest = second;
            self.set_back = Some(SetBack { to: second, from });
        }
        self.newest = self.newest.max(second);
        let newest = self.newest;
        self.set_back = self.set_back.filter(|set| newest - SLACK <= set.from);
    }

    /// Whether a line of that time will not be asked for again, or not be missed.
    fn is_past(&self, at: Timestamp) -> bool {
        let second = at.as_second();
        let settled = |set: SetBack| self.newest >= set.to + SETTLED;
        second < self.newest - SLACK || second > self.newest && self.set_back.is_some_and(settled)
    }

    /// Whether a known line from `place` on should have come again. Older ones were not asked for.
    fn misses(&self, place: usize) -> bool {
        let mut rest = self.seen.iter().skip(place);
        rest.any(|(at, _)| at.as_second() >= self.newest - SLACK)
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
    fn a_clock_that_is_set_back_neither_hides_lines_nor_brings_old_ones_again() {
        // An hour of lines, then the clock is set back by half an hour, and lines go on.
        let mut file: Vec<(i64, u64)> = (0..3_600)
            .map(|n| (10_000_000 + n * 1_000, n as u64))
            .collect();
        let after = (0..3_600).map(|n| (11_800_500 + n * 1_000, 3_600 + n as u64));
        file.extend(after);
        let mut resume = Resume::default();
        let mut got = Vec::new();
        for written in [
            3_605, 3_605, 3_606, 3_620, 5_399, 5_400, 5_401, 5_402, 5_410, 7_200,
        ] {
            resume.reopened();
            for (time, hash) in answer(&file[..written], resume.since()) {
                match resume.take(at(time), hash) {
                    Verdict::Known => {}
                    Verdict::New => got.push(hash),
                    Verdict::AfterGap(_) => panic!("a gap where there is none, at {hash}"),
                }
            }
            assert!(resume.caught_up());
        }
        assert_eq!(got, (0..7_200).collect::<Vec<u64>>());
        assert!(resume.seen.len() < 10, "what is past is forgotten");
    }

    #[test]
    fn lines_of_one_moment_have_names_of_their_own_whatever_their_order() {
        let mut resume = Resume::default();
        let mut names = std::collections::HashSet::new();
        for (hash, time) in [1_500, 1_400, 1_500, 1_400, 1_500].into_iter().enumerate() {
            assert_eq!(resume.take(at(time), hash as u64), Verdict::New);
            assert!(names.insert((time, resume.ordinal(at(time)))));
        }
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
