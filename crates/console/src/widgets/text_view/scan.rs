//! Scans many lines for matches, a slice at a time. Matches found so far are usable at any time.
//!
//! A scan starts near the visible lines, continues to the end, then covers the lines before. New lines at the end are
//! included. A part can run on another thread ([`Scan::part`], [`Scan::join`]).

use std::collections::VecDeque;

use super::{
    formatter::LineFormatter,
    line::{Line, LineId},
    pattern::Pattern,
    store::Store,
};

/// Decides which lines a scan finds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Matcher {
    /// Lines that contain the pattern.
    Pattern(Pattern),
    /// Lines that the formatter considers errors.
    Error,
    /// Lines that pass every term and whose tag is not hidden.
    Filter {
        /// `true` for a term that must not match.
        terms: Vec<(bool, Pattern)>,
        hidden: u64,
    },
}

impl Matcher {
    /// Whether no line of a multi-line text matches. `false` if unknown.
    fn matches_nothing_in(&self, lines: &str, formatter: &dyn LineFormatter) -> bool {
        let Self::Pattern(pattern) = self else {
            return false;
        };
        formatter.is_verbatim(lines) && pattern.matches_nothing_in(lines)
    }

    fn matches(&self, line: &Line<'_>, formatter: &dyn LineFormatter) -> bool {
        match self {
            Self::Pattern(pattern) => formatter
                .search_text(line)
                .is_some_and(|text| pattern.matches(&text)),
            Self::Error => formatter.is_error(line),
            Self::Filter { terms, hidden } => {
                if line.tag < 64 && hidden & (1 << line.tag) != 0 {
                    return false;
                }
                if terms.is_empty() {
                    return true;
                }
                formatter.search_text(line).is_some_and(|text| {
                    let passes = |(not, pattern): &(bool, Pattern)| pattern.matches(&text) != *not;
                    terms.iter().all(passes)
                })
            }
        }
    }
}

/// Target of a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JumpTarget {
    Line(LineId),
    None,
    /// Unknown: there are lines in between that have not been scanned.
    Pending,
}

/// A scan and its matches so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scan {
    matcher: Matcher,
    /// The first line, and the values of `ahead` and `behind` when this part was created.
    origin: LineId,
    started: (LineId, LineId),
    /// The origin, or the oldest line if the origin was dropped.
    anchor: LineId,
    /// Next line to scan from the anchor to the end.
    ahead: LineId,
    /// Next line to scan before the anchor.
    behind: LineId,
    found_ahead: VecDeque<LineId>,
    found_behind: VecDeque<LineId>,
}

impl Scan {
    /// Returns a scan that starts at `anchor`.
    #[must_use]
    pub(super) fn new(matcher: Matcher, anchor: LineId) -> Self {
        Self {
            matcher,
            origin: anchor,
            started: (anchor, 0),
            anchor,
            ahead: anchor,
            behind: 0,
            found_ahead: VecDeque::new(),
            found_behind: VecDeque::new(),
        }
    }

    #[must_use]
    pub(super) const fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// Scans about `budget` bytes. Returns `true` when done. With `reads`, spilled lines are read, which blocks.
    pub(super) fn step(
        &mut self,
        store: &Store,
        formatter: &dyn LineFormatter,
        budget: usize,
        reads: bool,
    ) -> bool {
        self.forget_before(store.first());
        let mut left = budget;
        let cost = formatter.search_cost();
        for (next, end, found) in [
            (&mut self.ahead, store.next(), &mut self.found_ahead),
            (&mut self.behind, self.anchor, &mut self.found_behind),
        ] {
            store.walk_segments(*next, reads, |segment| {
                let begun = next.saturating_sub(segment.first()) as usize;
                if *next >= end || left == 0 {
                    return false;
                }
                if begun == 0 && self.matcher.matches_nothing_in(segment.text(), formatter) {
                    left = left.saturating_sub(segment.bytes() / 2);
                    *next = end.min(segment.first() + segment.lines() as u64);
                    return true;
                }
                let lines = (begun..segment.lines()).filter_map(|index| segment.line(index));
                for line in lines {
                    if line.id >= end || left == 0 {
                        return false;
                    }
                    left = left.saturating_sub((line.text.len() + 16) * cost);
                    if self.matcher.matches(&line, formatter) {
                        found.push_back(line.id);
                    }
                    *next = line.id + 1;
                }
                true
            });
            if *next < end {
                return false;
            }
        }
        true
    }

    /// Returns a scan that continues this one, to run elsewhere.
    #[must_use]
    pub(super) fn part(&self) -> Self {
        Self {
            matcher: self.matcher.clone(),
            origin: self.origin,
            started: (self.ahead, self.behind),
            anchor: self.anchor,
            ahead: self.ahead,
            behind: self.behind,
            found_ahead: VecDeque::new(),
            found_behind: VecDeque::new(),
        }
    }

    /// Merges the matches of a part. A part of another scan is ignored.
    pub(super) fn join(&mut self, part: Self) {
        if part.matcher != self.matcher || part.origin != self.origin {
            return;
        }
        for (own, started, theirs, found, more) in [
            (
                &mut self.ahead,
                part.started.0,
                part.ahead,
                &mut self.found_ahead,
                part.found_ahead,
            ),
            (
                &mut self.behind,
                part.started.1,
                part.behind,
                &mut self.found_behind,
                part.found_behind,
            ),
        ] {
            // This scan may have continued in the meantime.
            let from = *own;
            if (started..theirs).contains(&from) {
                found.extend(more.into_iter().filter(|id| *id >= from));
                *own = theirs;
            }
        }
    }

    /// Removes the matches in dropped lines.
    fn forget_before(&mut self, first: LineId) {
        for found in [&mut self.found_ahead, &mut self.found_behind] {
            while found.front().is_some_and(|id| *id < first) {
                found.pop_front();
            }
        }
        self.behind = self.behind.max(first);
        self.ahead = self.ahead.max(first);
        self.anchor = self.anchor.max(first);
    }

    /// Whether every line of `store` has been scanned.
    #[must_use]
    pub(super) fn done(&self, store: &Store) -> bool {
        self.ahead >= store.next() && self.behind >= self.anchor.min(store.next())
    }

    /// Returns the number of matches so far.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.found_ahead.len() + self.found_behind.len()
    }

    /// Returns the number of matches before `id`.
    #[must_use]
    pub(super) fn rank(&self, id: LineId) -> usize {
        let before = |found: &VecDeque<LineId>| found.partition_point(|at| *at < id);
        before(&self.found_behind) + before(&self.found_ahead)
    }

    /// Whether `id` is a match.
    #[must_use]
    pub(super) fn has(&self, id: LineId) -> bool {
        self.at_or_after(id) == Some(id)
    }

    /// Returns the first match at or after `id`.
    #[must_use]
    pub(super) fn at_or_after(&self, id: LineId) -> Option<LineId> {
        let in_found =
            |found: &VecDeque<LineId>| found.get(found.partition_point(|at| *at < id)).copied();
        in_found(&self.found_behind).or_else(|| in_found(&self.found_ahead))
    }

    /// Returns the last match before `id`.
    #[must_use]
    pub(super) fn before(&self, id: LineId) -> Option<LineId> {
        let in_found = |found: &VecDeque<LineId>| {
            found
                .partition_point(|at| *at < id)
                .checked_sub(1)
                .map(|index| found[index])
        };
        in_found(&self.found_ahead).or_else(|| in_found(&self.found_behind))
    }

    /// Returns the next match from `id`, wrapping at the end.
    #[must_use]
    pub(super) fn following(&self, id: LineId, store: &Store) -> JumpTarget {
        let near = self
            .at_or_after(id)
            .filter(|found| id >= self.anchor && *found >= self.anchor);
        let around = || self.at_or_after(id).or_else(|| self.at_or_after(0));
        self.target(near, around, store)
    }

    /// Returns the previous match from `id`, wrapping at the start.
    #[must_use]
    pub(super) fn preceding(&self, id: LineId, store: &Store) -> JumpTarget {
        let near = self
            .before(id)
            .filter(|found| *found >= self.anchor && self.ahead >= id);
        let around = || self.before(id).or_else(|| self.before(LineId::MAX));
        self.target(near, around, store)
    }

    fn target(
        &self,
        near: Option<LineId>,
        around: impl Fn() -> Option<LineId>,
        store: &Store,
    ) -> JumpTarget {
        match near {
            Some(line) => JumpTarget::Line(line),
            None if !self.done(store) => JumpTarget::Pending,
            None => around().map_or(JumpTarget::None, JumpTarget::Line),
        }
    }
}

#[cfg(test)]
mod tests;
