//! Where a log was when its stream broke, and which lines of the next answer are already known.
//!
//! Lines are found again by their place in the file and never by their time. A node's clock may be set back, and a kubelet
//! that was asked for the lines since a moment leaves out whatever bears an earlier one, for as long as that stream lasts
//! (`logWriter.write` in `k8s.io/cri-client/pkg/logs`). So the last lines of the file are asked for (see `ask.rs`); what
//! stands in it behind the last lines that were read is new.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use super::ask::{Ask, Event, Search};

/// Lines by which the place in a file is known. Nothing but the same lines with the same times could be taken for them.
pub(super) const WINDOW: usize = 16;
/// Seconds before the newest line in which others may bear the same time as one before them.
const SLACK: i64 = 1;

/// The last lines that were read, and how far they have been found again.
#[derive(Debug, Default)]
pub(super) struct Resume {
    /// Hashes, in the order of the file. Fewer than [`WINDOW`] are all the file had, from its first line on.
    window: VecDeque<u64>,
    last: Option<Timestamp>,
    names: Names,
    search: Search,
    /// While the window is looked for: what the answer has shown.
    shown: Option<Shown>,
    /// The file is known to have lost the window, but for some lines that it begins with.
    lost: Option<Lost>,
}

/// Lines of an answer that does not show the window yet.
#[derive(Debug, Default)]
struct Shown {
    count: usize,
    first: Option<u64>,
    /// As many as there are in a window.
    recent: VecDeque<u64>,
    /// How many lines the answer began with that the window ends with.
    head: usize,
}

/// A file that no longer has the window.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Its first line.
    first: u64,
    /// Lines at its start that were read.
    head: usize,
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
    /// This answer tells no more: another is to be asked for.
    Astray,
}

impl Resume {
    /// What to ask for next.
    pub(super) fn ask(&self, running: bool) -> Ask {
        if self.last.is_none() || self.lost.is_some() {
            return Ask {
                tail: None,
                follow: running,
            };
        }
        let ask = self.search.ask(running);
        if self.is_at_the_start() {
            // All but a few lines of it are new. Of the last lines the first might be one that looks like the first of all.
            return Ask { tail: None, ..ask };
        }
        ask
    }

    /// Whether all that is known of the file is how it begins.
    fn is_at_the_start(&self) -> bool {
        self.window.len() < WINDOW
    }

    /// When the last line was written; `None` before the first.
    pub(super) const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// An answer to [`Resume::ask`] begins.
    pub(super) fn reopened(&mut self) {
        self.shown = (!self.window.is_empty()).then(Shown::default);
    }

    /// Whether the answer has shown the last known line, so that nothing can be missing before what follows.
    pub(super) const fn caught_up(&self) -> bool {
        self.shown.is_none()
    }

    /// Whether the answer has shown nothing though something is known, and nothing but the `rest` behind its last line can be
    /// in the file.
    pub(super) fn is_lost(&self, rest: u64) -> bool {
        let nothing = self.shown.as_ref().is_some_and(|shown| shown.count == 0);
        nothing && (rest == 0 || self.ask(false).tail.is_none())
    }

    /// Whether the line is one of the last that were read.
    pub(super) fn recognises(&self, hash: u64) -> bool {
        self.shown.is_some() && self.window.contains(&hash)
    }

    /// Whether a line behind those that the answer has shown would be the last one that was read: what was shown stands before it.
    pub(super) fn ends_with(&self, hash: u64) -> bool {
        let Some(shown) = &self.shown else {
            return false;
        };
        // The answer may begin behind the first line of the window.
        let mut before = self
            .window
            .iter()
            .rev()
            .skip(1)
            .zip(shown.recent.iter().rev());
        self.window.back() == Some(&hash) && before.all(|(read, shown)| read == shown)
    }

    /// Looks for nothing any more: whatever comes is new.
    pub(super) fn give_up(&mut self) {
        self.shown = None;
    }

    /// The answer ended. If the server `closed` it, it may have been whole: `rest` stands for the bytes behind its last line.
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
                    Some(lost) => self.begin(lost),
                    None => self.look(hash),
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

    /// Which of the lines of this very moment a new line is, from 0.
    pub(super) fn ordinal(&mut self, at: Timestamp) -> u32 {
        self.names.next(at)
    }

    /// Looks for the window in what the answer has shown.
    fn look(&mut self, hash: u64) -> Verdict {
        let Some(shown) = &self.shown else {
            return Verdict::New;
        };
        let count = shown.count;
        if shown.recent == self.window {
            self.search = Search::default();
            self.shown = None;
            return Verdict::Known;
        }
        let tells_no_more = if !self.is_at_the_start() {
            self.step(Event::Line { count, hash })
        } else if count == self.window.len() {
            self.lose();
            true
        } else {
            false
        };
        if tells_no_more {
            Verdict::Astray
        } else {
            Verdict::Known
        }
    }

    /// Reads a file that has lost the window from its start.
    fn begin(&mut self, lost: Lost) -> Verdict {
        let Some(shown) = &self.shown else {
            return Verdict::New;
        };
        if shown.first != Some(lost.first) {
            // It was rotated once more, so that what was found out is of no use.
            self.lost = None;
            return Verdict::Astray;
        }
        if shown.count < lost.head {
            return Verdict::Known;
        }
        self.lost = None;
        self.shown = None;
        // What is known now is the start of this file and no more.
        self.window.drain(..self.window.len() - lost.head);
        match self.last {
            Some(before) if lost.head == 0 => Verdict::AfterGap(before),
            _ => Verdict::Known,
        }
    }

    /// Whether something else is to be asked for at once.
    fn step(&mut self, event: Event) -> bool {
        let asks_anew = self.search.step(event);
        if self.search.is_vain() {
            self.lose();
        }
        asks_anew
    }

    /// The file of which the answer has shown lines does not have the window.
    fn lose(&mut self) {
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

/// How many lines bore each time of the last seconds.
#[derive(Debug, Default)]
struct Names {
    counts: HashMap<Timestamp, u32>,
    /// The newest second, since the clock was last set back.
    newest: i64,
}

impl Names {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    /// Reads what a whole file gives for what is asked, up to line number `stop` of it; the hashes of what is new, and whether a
    /// gap was found.
    fn read(
        resume: &mut Resume,
        file: &[(i64, u64)],
        running: bool,
        stop: usize,
    ) -> (Vec<u64>, bool) {
        let ask = resume.ask(running);
        let from = ask.tail.map_or(0, |tail| file.len().saturating_sub(tail));
        resume.reopened();
        let (mut new, mut gap) = (Vec::new(), false);
        for (time, hash) in file[from..].iter().take(stop) {
            match resume.take(at(*time), *hash) {
                Verdict::Known => {}
                Verdict::Astray => return (new, gap),
                Verdict::New => new.push(*hash),
                Verdict::AfterGap(_) => {
                    new.push(*hash);
                    gap = true;
                }
            }
        }
        resume.ended(from.saturating_add(stop) >= file.len(), 0);
        (new, gap)
    }

    /// The same, as often as it takes to come to the end of the file.
    fn read_on(resume: &mut Resume, file: &[(i64, u64)]) -> (Vec<u64>, bool) {
        let (mut all, mut gaps) = (Vec::new(), false);
        for _ in 0..20 {
            let (new, gap) = read(resume, file, true, usize::MAX);
            let done = new.is_empty() && resume.caught_up();
            all.extend(new);
            gaps |= gap;
            if done {
                return (all, gaps);
            }
        }
        panic!("it never comes to an end");
    }

    fn numbered(numbers: std::ops::Range<u64>) -> Vec<(i64, u64)> {
        numbers
            .map(|number| (number as i64 * 100, number))
            .collect()
    }

    fn hashes(lines: &[(i64, u64)]) -> Vec<u64> {
        lines.iter().map(|(_, hash)| *hash).collect()
    }

    #[test]
    fn a_place_is_found_again_however_much_was_written_since() {
        for missed in [0, 1, 15, 16, 17, 31, 33, 1_000, 1_100, 40_000] {
            let file = numbered(0..50_000);
            for known in [1, 15, 16, 17, 5_000] {
                let mut resume = Resume::default();
                read(&mut resume, &file[..known], true, usize::MAX);
                let (new, gap) = read_on(&mut resume, &file[..known + missed]);
                assert_eq!(new, hashes(&file[known..known + missed]));
                assert!(!gap, "{missed} lines after {known}");
            }
        }
    }

    #[test]
    fn all_is_asked_for_while_little_is_known_and_then_the_last_lines() {
        for (known, tail) in [(0, None), (1, None), (15, None), (16, Some(32))] {
            let mut resume = Resume::default();
            read(&mut resume, &numbered(0..known), true, usize::MAX);
            let follow = true;
            assert_eq!(resume.ask(true), Ask { tail, follow }, "{known}");
        }
    }

    #[test]
    fn a_rotated_file_is_a_gap_and_not_a_loss_in_silence() {
        for (rotated, missed) in [(100, 1), (103, 50), (200, 5_000)] {
            let file = numbered(0..10_000);
            let mut resume = Resume::default();
            read(&mut resume, &file[..100], true, usize::MAX);
            let now = &file[rotated..rotated + missed];
            assert_eq!(read_on(&mut resume, now), (hashes(now), true));
            // And what follows is found without one.
            let (new, gap) = read_on(&mut resume, &file[rotated..rotated + missed + 40]);
            assert_eq!((new.len(), gap), (40, false));
        }
    }

    #[test]
    fn lines_that_left_the_file_after_they_were_read_are_no_gap() {
        for kept in [1, 3, 15, 16, 20] {
            let file = numbered(0..1_000);
            let mut resume = Resume::default();
            read(&mut resume, &file[..100], true, usize::MAX);
            let (new, gap) = read_on(&mut resume, &file[100 - kept..140]);
            assert_eq!(new, hashes(&file[100..140]));
            assert!(!gap, "{kept}");
        }
    }

    #[test]
    fn a_line_that_looks_like_the_first_of_all_is_not_taken_for_it() {
        // Empty lines of one moment, say, and a clock that counts in seconds.
        for again in [1, 2, 20, 60] {
            for known in [1, 2, 15] {
                let mut file = numbered(0..100);
                file[again] = file[0];
                let mut resume = Resume::default();
                read(&mut resume, &file[..known], true, usize::MAX);
                let (new, gap) = read_on(&mut resume, &file[..again + 32]);
                assert_eq!(new, hashes(&file[known..again + 32]));
                assert!(!gap, "{again} after {known}");
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_the_last_one_only_behind_those_that_stood_before_it() {
        let file = numbered(1..4);
        for (shown, line, is_last) in [
            (&file[..2], 3, true),
            (&file[..2], 1, false),
            (&file[..1], 3, false),
            // A file that was rotated begins later.
            (&file[1..2], 3, true),
            (&[], 3, true),
            (&[], 2, false),
        ] {
            let mut resume = Resume::default();
            read(&mut resume, &file, true, usize::MAX);
            resume.reopened();
            for (time, hash) in shown {
                resume.take(at(*time), *hash);
            }
            assert_eq!(resume.ends_with(line), is_last, "{line} behind {shown:?}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_off_is_not_taken_for_a_file_without_the_place() {
        let file = numbered(0..3_000);
        let mut resume = Resume::default();
        read(&mut resume, &file[..500], true, usize::MAX);
        for stop in [10, 20, 100, 499, 3, 450] {
            let (new, gap) = read(&mut resume, &file, true, stop);
            assert!(new.is_empty() && !gap, "{stop}");
        }
        assert_eq!(read_on(&mut resume, &file), (hashes(&file[500..]), false));
    }

    #[test]
    fn a_clock_that_is_set_back_hides_nothing() {
        // Nobody is connected while the clock is set back by an hour, and then by some seconds.
        for (back, missed) in [(3_600_000, 20), (3_600_000, 500), (5_000, 200)] {
            let mut file = numbered(0..1_000);
            for (time, _) in &mut file[500..] {
                *time -= back;
            }
            let mut resume = Resume::default();
            read(&mut resume, &file[..500], true, usize::MAX);
            let (new, gap) = read_on(&mut resume, &file[..500 + missed]);
            assert_eq!(new, hashes(&file[500..500 + missed]));
            assert!(!gap);
        }
    }

    #[test]
    fn lines_of_one_moment_have_names_of_their_own_whatever_their_order() {
        let mut resume = Resume::default();
        let mut names = std::collections::HashSet::new();
        for time in [1_500, 1_400, 1_500, 2_100, 1_400, 1_500, 2_900, 2_000] {
            assert!(names.insert((time, resume.ordinal(at(time)))));
        }
        resume.ordinal(at(9_000));
        assert_eq!(resume.names.counts.len(), 1, "what is past is forgotten");
    }

    proptest! {
        /// However often and wherever a stream breaks, whatever its clock does: each line comes once.
        #[test]
        fn each_line_comes_once(
            steps in prop::collection::vec((-5_000_i64..1_500, 1_usize..4), 0..80),
            breaks in prop::collection::vec((1_usize..240, 0_usize..200), 0..8),
        ) {
            let mut time = 100_000;
            let mut file = Vec::new();
            for (step, same) in steps {
                time += step;
                for _ in 0..same {
                    file.push((time, file.len() as u64));
                }
            }
            let mut resume = Resume::default();
            let mut got = Vec::new();
            let mut written = 0;
            for (more, stop) in breaks {
                written = (written + more).min(file.len());
                let (new, gap) = read(&mut resume, &file[..written], true, stop);
                prop_assert!(!gap, "a gap where there is none");
                got.extend(new);
            }
            let (new, gap) = read_on(&mut resume, &file);
            prop_assert!(!gap, "a gap where there is none");
            got.extend(new);
            prop_assert_eq!(got, hashes(&file));
        }
    }
}
