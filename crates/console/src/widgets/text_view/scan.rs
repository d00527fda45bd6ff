//! Scans many lines for matches, a slice at a time. Matches found so far are usable at any time.
//!
//! A scan starts near the visible lines, continues to the end, then covers the lines before. New lines at the end are
//! included. A part can run on another thread ([`Scan::part`], [`Scan::join`]).

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use super::{
    formatter::LineFormatter,
    store::{Line, LineId, Store},
};

/// Size limit of a compiled pattern in bytes.
const PATTERN_LIMIT: usize = 1 << 20;

/// A typed pattern: a regular expression that ignores case unless it has an upper-case letter. An invalid expression
/// matches literally.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// Matches a text of many lines if a line of it matches; may match otherwise. `None` if there is no such expression.
    multi_line: Option<Regex>,
    literal: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Returns `None` for an empty text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let builder = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            builder
                .case_insensitive(!text.chars().any(char::is_uppercase))
                .size_limit(PATTERN_LIMIT);
            builder
        };
        let build = |pattern: &str| builder(pattern).build();
        if text.is_empty() {
            return None;
        }
        let (regex, literal) = match build(text) {
            Ok(regex) => (regex, false),
            Err(_) => (build(&regex::escape(text)).ok()?, true),
        };
        // With these, anchors can mean something else than starts and ends of lines.
        let multi_line = builder(regex.as_str()).multi_line(true).build().ok();
        let plain = literal || !["(?", "\\A", "\\z"].iter().any(|sign| text.contains(sign));
        Some(Self {
            text: text.to_owned(),
            regex,
            multi_line: multi_line.filter(|_| plain),
            literal,
        })
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text is not a valid expression and matches literally.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether `text` contains a match.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the byte ranges of the non-empty matches in `text`.
    pub fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.regex
            .find_iter(text)
            .map(|found| found.range())
            .filter(|range| !range.is_empty())
    }
}

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
        let Self::Pattern(Pattern {
            multi_line: Some(multi_line),
            ..
        }) = self
        else {
            return false;
        };
        formatter.is_verbatim(lines) && !multi_line.is_match(lines)
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

/// Parses a filter: terms joined by ` & `, negated by a leading `!`.
#[must_use]
pub(super) fn terms(text: &str) -> Vec<(bool, Pattern)> {
    let term = |part: &str| {
        let part = part.trim();
        let (not, pattern) = part
            .strip_prefix('!')
            .map_or((false, part), |rest| (true, rest));
        Some((not, Pattern::new(pattern)?))
    };
    text.split(" & ").filter_map(term).collect()
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
mod tests {
    use super::*;
    use crate::widgets::text_view::formatter::Plain;

    fn store(lines: &[&str]) -> Store {
        let mut store = Store::new(usize::MAX);
        for line in lines {
            store.push(line, None, 0);
        }
        store
    }

    fn scan(pattern: &str, anchor: LineId) -> Scan {
        Scan::new(Matcher::Pattern(Pattern::new(pattern).unwrap()), anchor)
    }

    #[test]
    fn upper_case_makes_a_pattern_case_sensitive() {
        for (pattern, text, found) in [
            ("error", "an ERROR", true),
            ("Error", "an error", false),
            ("Error", "an Error", true),
            ("e.r", "eXr", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(text),
                found,
                "{pattern} in {text}"
            );
        }
    }

    #[test]
    fn invalid_expressions_match_literally() {
        for pattern in ["(", "[a", "a{2", "*", "\\", "(?P<"] {
            assert!(
                Pattern::new(pattern)
                    .unwrap()
                    .matches(&format!("x{pattern}y")),
                "{pattern}"
            );
        }
        assert_eq!(Pattern::new(""), None);
    }

    #[test]
    fn multi_line_check_finds_the_same_lines() {
        let lines = [
            "", "foo", "foobar", "bar foo", "oo", "FOO", "a\tb", "é", "f", "(", "o(?", "end.",
        ];
        let all = store(&lines);
        for typed in [
            "foo",
            "^foo$",
            "^$",
            "\\bfoo\\b",
            "o+$",
            "Foo",
            "FOO",
            "[^a]",
            "\\s",
            "(?i)FOO",
            "\\Afoo\\z",
            "f$|^b",
            "(",
            "o(?",
            "x*",
            ".",
            "é",
            "nowhere",
            "o\\n",
            "\\Df",
            "end\\.$",
            "(?m)^oo",
        ] {
            let pattern = Pattern::new(typed).unwrap();
            let mut scan = scan(typed, 0);
            while !scan.step(&all, &Plain, 10_000, false) {}
            let found: Vec<_> = (0..lines.len() as u64).filter(|id| scan.has(*id)).collect();
            let each = (0_u64..)
                .zip(lines)
                .filter(|(_, line)| pattern.matches(line));
            assert_eq!(found, each.map(|(id, _)| id).collect::<Vec<_>>(), "{typed}");
        }
    }

    #[test]
    fn slices_of_any_size_find_the_same() {
        let store = store(&["a1", "b", "a2", "c", "a3", "a4"]);
        for anchor in 0..7 {
            for budget in [1, 17, 40, 10_000] {
                let mut scan = scan("a", anchor);
                let mut steps = 0;
                while !scan.step(&store, &Plain, budget, false) {
                    steps += 1;
                    assert!(steps < 100, "a scan ends");
                }
                let found: Vec<_> = (0..6).filter(|id| scan.has(*id)).collect();
                assert_eq!(found, [0, 2, 4, 5], "anchor {anchor}, budget {budget}");
                assert_eq!((scan.count(), scan.rank(4)), (4, 2));
            }
        }
    }

    #[test]
    fn joined_parts_find_the_same() {
        for anchor in 0..7 {
            for (elsewhere, here) in [(1, 1), (40, 17), (17, 40), (10_000, 1), (1, 10_000)] {
                let mut store = store(&["a1", "b", "a2", "c", "a3", "a4"]);
                let mut scan = scan("a", anchor);
                loop {
                    let mut part = scan.part();
                    part.step(&store, &Plain, elsewhere, false);
                    if store.next() < 9 {
                        store.push("a", None, 0);
                    }
                    let through = scan.step(&store, &Plain, here, false);
                    scan.join(part);
                    if through {
                        break;
                    }
                }
                let found: Vec<_> = (0..9).filter(|id| scan.has(*id)).collect();
                let matcher: Vec<_> = (0..store.next())
                    .filter(|id| ![1, 3].contains(id))
                    .collect();
                assert_eq!(found, matcher, "anchor {anchor}, {elsewhere} and {here}");
                assert_eq!(scan.count(), matcher.len(), "each once");
            }
        }
    }

    #[test]
    fn ignores_parts_of_another_scan() {
        let store = store(&["a", "b"]);
        let mut part = scan("b", 0);
        part.step(&store, &Plain, 1_000, false);
        let mut own = scan("a", 0);
        own.join(part);
        assert_eq!(own.count(), 0);
    }

    #[test]
    fn next_and_previous_wrap() {
        let store = store(&["a", "b", "a", "b"]);
        let mut scan = scan("a", 1);
        assert_eq!(
            scan.following(3, &store),
            JumpTarget::Pending,
            "nothing was scanned yet"
        );
        while !scan.step(&store, &Plain, 1, false) {}
        assert_eq!(scan.following(1, &store), JumpTarget::Line(2));
        assert_eq!(scan.following(3, &store), JumpTarget::Line(0));
        assert_eq!(scan.preceding(2, &store), JumpTarget::Line(0));
        assert_eq!(scan.preceding(0, &store), JumpTarget::Line(2));
        let mut none = Scan::new(Matcher::Pattern(Pattern::new("zzz").unwrap()), 0);
        while !none.step(&store, &Plain, 1, false) {}
        assert_eq!(none.following(0, &store), JumpTarget::None);
    }

    #[test]
    fn filters_by_several_and_negated_terms() {
        let store = store(&["get /a ok", "get /b error", "post /a ok"]);
        for (typed, kept) in [
            ("get", vec![0, 1]),
            ("get & !error", vec![0]),
            ("!get", vec![2]),
            ("/a & ok", vec![0, 2]),
            ("", vec![0, 1, 2]),
        ] {
            let mut scan = Scan::new(
                Matcher::Filter {
                    terms: terms(typed),
                    hidden: 0,
                },
                0,
            );
            while !scan.step(&store, &Plain, 5, false) {}
            let found: Vec<_> = (0..3).filter(|id| scan.has(*id)).collect();
            assert_eq!(found, kept, "{typed}");
        }
    }
}
