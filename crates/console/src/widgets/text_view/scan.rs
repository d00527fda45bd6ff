//! Looking through very many lines a slice at a time: what was found so far is usable at every moment.
//!
//! A scan starts at the line the person looks at, goes on to the end, then does what lies before. New lines at the end
//! belong to it like all others. A part of it can be done on another thread ([`Scan::part`], [`Scan::join`]).

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use super::{
    lens::Lens,
    store::{Line, LineId, Store},
};

/// Largest compiled pattern, in bytes: a pattern is typed by a person and must not eat the memory.
const PATTERN_LIMIT: usize = 1 << 20;

/// A typed pattern: a regular expression that ignores case unless it has a capital. One that is only half typed, or
/// wrong, means the characters themselves.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// For many lines at once: what is in one of them is found by it, and perhaps more. `None` if there is no such.
    wide: Option<Regex>,
    literal: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// `None` for an empty text.
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
        // Beginnings and ends are those of lines; flags in the pattern could make them others.
        let wide = builder(regex.as_str()).multi_line(true).build().ok();
        let plain = literal || !["(?", "\\A", "\\z"].iter().any(|sign| text.contains(sign));
        Some(Self {
            text: text.to_owned(),
            regex,
            wide: wide.filter(|_| plain),
            literal,
        })
    }

    /// As it was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is no expression (yet), and means its characters.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether it is in `text`.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Where it is in `text`, in bytes; empty finds are left out.
    pub fn places<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.regex
            .find_iter(text)
            .map(|found| found.range())
            .filter(|range| !range.is_empty())
    }
}

/// What makes a line one to be found.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// It holds the pattern.
    Pattern(Pattern),
    /// It is an error, as the lens sees it.
    Error,
    /// It passes every term, `true` for those that must not be in it, and its tag is not among the hidden ones.
    Filter {
        terms: Vec<(bool, Pattern)>,
        hidden: u64,
    },
}

impl Wanted {
    /// Whether no line of a text of many lines is it, as far as one look can tell.
    fn is_nowhere_in(&self, lines: &str, lens: &dyn Lens) -> bool {
        let Self::Pattern(Pattern {
            wide: Some(wide), ..
        }) = self
        else {
            return false;
        };
        lens.is_verbatim(lines) && !wide.is_match(lines)
    }

    fn is(&self, line: &Line<'_>, lens: &dyn Lens) -> bool {
        match self {
            Self::Pattern(pattern) => lens.plain(line).is_some_and(|text| pattern.is_in(&text)),
            Self::Error => lens.is_error(line),
            Self::Filter { terms, hidden } => {
                if line.tag < 64 && hidden & (1 << line.tag) != 0 {
                    return false;
                }
                if terms.is_empty() {
                    return true;
                }
                lens.plain(line).is_some_and(|text| {
                    let passes = |(not, pattern): &(bool, Pattern)| pattern.is_in(&text) != *not;
                    terms.iter().all(passes)
                })
            }
        }
    }
}

/// The terms of a filter as typed: joined by ` & `, each perhaps with a `!` before it.
#[must_use]
pub fn terms(text: &str) -> Vec<(bool, Pattern)> {
    let term = |part: &str| {
        let part = part.trim();
        let (not, pattern) = part
            .strip_prefix('!')
            .map_or((false, part), |rest| (true, rest));
        Some((not, Pattern::new(pattern)?))
    };
    text.split(" & ").filter_map(term).collect()
}

/// Where a jump leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    At(LineId),
    Nowhere,
    /// Lines that have not been looked at lie in between.
    NotYet,
}

/// A scan under way, and what it found.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    wanted: Wanted,
    /// Where it began, and what `ahead` and `behind` were when this part of it did.
    origin: LineId,
    begun: (LineId, LineId),
    /// The origin, or the oldest line if that one has fallen out.
    anchor: LineId,
    /// The next line to look at, from the anchor on.
    ahead: LineId,
    /// The next line to look at before the anchor.
    behind: LineId,
    found_ahead: VecDeque<LineId>,
    found_behind: VecDeque<LineId>,
}

impl Scan {
    /// A scan that begins at `anchor`.
    #[must_use]
    pub fn new(wanted: Wanted, anchor: LineId) -> Self {
        Self {
            wanted,
            origin: anchor,
            begun: (anchor, 0),
            anchor,
            ahead: anchor,
            behind: 0,
            found_ahead: VecDeque::new(),
            found_behind: VecDeque::new(),
        }
    }

    /// What it looks for.
    #[must_use]
    pub const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Looks at about `budget` bytes of lines. True when it is through. With `reads` also at lines that must be read from
    /// the disk, which blocks.
    pub fn step(&mut self, store: &Store, lens: &dyn Lens, budget: usize, reads: bool) -> bool {
        self.forget_before(store.first());
        let mut left = budget;
        let weight = lens.weight();
        for (next, end, found) in [
            (&mut self.ahead, store.next(), &mut self.found_ahead),
            (&mut self.behind, self.anchor, &mut self.found_behind),
        ] {
            store.walk_segments(*next, reads, |segment| {
                let begun = next.saturating_sub(segment.first()) as usize;
                if *next >= end || left == 0 {
                    return false;
                }
                if begun == 0 && self.wanted.is_nowhere_in(segment.text(), lens) {
                    left = left.saturating_sub(segment.bytes() / 2);
                    *next = end.min(segment.first() + segment.lines() as u64);
                    return true;
                }
                let lines = (begun..segment.lines()).filter_map(|index| segment.line(index));
                for line in lines {
                    if line.id >= end || left == 0 {
                        return false;
                    }
                    left = left.saturating_sub((line.text.len() + 16) * weight);
                    if self.wanted.is(&line, lens) {
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

    /// The same scan from where it is, with nothing found yet: to be taken on elsewhere.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            wanted: self.wanted.clone(),
            origin: self.origin,
            begun: (self.ahead, self.behind),
            anchor: self.anchor,
            ahead: self.ahead,
            behind: self.behind,
            found_ahead: VecDeque::new(),
            found_behind: VecDeque::new(),
        }
    }

    /// Takes in what a part of this scan found; what belongs to another scan is left.
    pub fn join(&mut self, part: Self) {
        if part.wanted != self.wanted || part.origin != self.origin {
            return;
        }
        for (own, begun, theirs, found, more) in [
            (
                &mut self.ahead,
                part.begun.0,
                part.ahead,
                &mut self.found_ahead,
                part.found_ahead,
            ),
            (
                &mut self.behind,
                part.begun.1,
                part.behind,
                &mut self.found_behind,
                part.found_behind,
            ),
        ] {
            // This one may have gone on by itself since.
            let from = *own;
            if (begun..theirs).contains(&from) {
                found.extend(more.into_iter().filter(|id| *id >= from));
                *own = theirs;
            }
        }
    }

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

    /// Whether every line of `store` has been looked at.
    #[must_use]
    pub fn done(&self, store: &Store) -> bool {
        self.ahead >= store.next() && self.behind >= self.anchor.min(store.next())
    }

    /// How many were found so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found_ahead.len() + self.found_behind.len()
    }

    /// How many of those found lie before `id`.
    #[must_use]
    pub fn rank(&self, id: LineId) -> usize {
        let before = |found: &VecDeque<LineId>| found.partition_point(|at| *at < id);
        before(&self.found_behind) + before(&self.found_ahead)
    }

    /// Whether `id` was found.
    #[must_use]
    pub fn has(&self, id: LineId) -> bool {
        self.at_or_after(id) == Some(id)
    }

    /// The first one found at or after `id`.
    #[must_use]
    pub fn at_or_after(&self, id: LineId) -> Option<LineId> {
        let in_found =
            |found: &VecDeque<LineId>| found.get(found.partition_point(|at| *at < id)).copied();
        in_found(&self.found_behind).or_else(|| in_found(&self.found_ahead))
    }

    /// The last one found before `id`.
    #[must_use]
    pub fn before(&self, id: LineId) -> Option<LineId> {
        let in_found = |found: &VecDeque<LineId>| {
            found
                .partition_point(|at| *at < id)
                .checked_sub(1)
                .map(|index| found[index])
        };
        in_found(&self.found_ahead).or_else(|| in_found(&self.found_behind))
    }

    /// Where `n` goes from `id`: the next one, around the end if need be.
    #[must_use]
    pub fn following(&self, id: LineId, store: &Store) -> Answer {
        let near = self
            .at_or_after(id)
            .filter(|found| id >= self.anchor && *found >= self.anchor);
        let around = || self.at_or_after(id).or_else(|| self.at_or_after(0));
        self.answer(near, around, store)
    }

    /// Where `N` goes from `id`: the one before, around the start if need be.
    #[must_use]
    pub fn preceding(&self, id: LineId, store: &Store) -> Answer {
        let near = self
            .before(id)
            .filter(|found| *found >= self.anchor && self.ahead >= id);
        let around = || self.before(id).or_else(|| self.before(LineId::MAX));
        self.answer(near, around, store)
    }

    fn answer(
        &self,
        near: Option<LineId>,
        around: impl Fn() -> Option<LineId>,
        store: &Store,
    ) -> Answer {
        match near {
            Some(line) => Answer::At(line),
            None if !self.done(store) => Answer::NotYet,
            None => around().map_or(Answer::Nowhere, Answer::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::widgets::text_view::lens::Plain;

    fn store(lines: &[&str]) -> Store {
        let mut store = Store::new(usize::MAX);
        for line in lines {
            store.push(line, None, 0);
        }
        store
    }

    fn scan(pattern: &str, anchor: LineId) -> Scan {
        Scan::new(Wanted::Pattern(Pattern::new(pattern).unwrap()), anchor)
    }

    #[test]
    fn case_matters_only_when_a_capital_is_typed() {
        for (pattern, text, found) in [
            ("error", "an ERROR", true),
            ("Error", "an error", false),
            ("Error", "an Error", true),
            ("e.r", "eXr", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().is_in(text),
                found,
                "{pattern} in {text}"
            );
        }
    }

    #[test]
    fn a_half_typed_expression_means_its_characters() {
        for pattern in ["(", "[a", "a{2", "*", "\\", "(?P<"] {
            assert!(
                Pattern::new(pattern)
                    .unwrap()
                    .is_in(&format!("x{pattern}y")),
                "{pattern}"
            );
        }
        assert_eq!(Pattern::new(""), None);
    }

    #[test]
    fn looking_at_many_lines_at_once_finds_what_looking_at_each_does() {
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
            let each = (0_u64..).zip(lines).filter(|(_, line)| pattern.is_in(line));
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
    fn a_part_done_elsewhere_finds_the_same_whatever_was_done_here_meanwhile() {
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
                let wanted: Vec<_> = (0..store.next())
                    .filter(|id| ![1, 3].contains(id))
                    .collect();
                assert_eq!(found, wanted, "anchor {anchor}, {elsewhere} and {here}");
                assert_eq!(scan.count(), wanted.len(), "each once");
            }
        }
    }

    #[test]
    fn what_was_found_elsewhere_for_another_pattern_is_left() {
        let store = store(&["a", "b"]);
        let mut part = scan("b", 0);
        part.step(&store, &Plain, 1_000, false);
        let mut own = scan("a", 0);
        own.join(part);
        assert_eq!(own.count(), 0);
    }

    #[test]
    fn next_and_previous_go_around_the_ends() {
        let store = store(&["a", "b", "a", "b"]);
        let mut scan = scan("a", 1);
        assert_eq!(
            scan.following(3, &store),
            Answer::NotYet,
            "not known before anything was looked at"
        );
        while !scan.step(&store, &Plain, 1, false) {}
        assert_eq!(scan.following(1, &store), Answer::At(2));
        assert_eq!(scan.following(3, &store), Answer::At(0));
        assert_eq!(scan.preceding(2, &store), Answer::At(0));
        assert_eq!(scan.preceding(0, &store), Answer::At(2));
        let mut nothing = Scan::new(Wanted::Pattern(Pattern::new("zzz").unwrap()), 0);
        while !nothing.step(&store, &Plain, 1, false) {}
        assert_eq!(nothing.following(0, &store), Answer::Nowhere);
    }

    #[test]
    fn a_filter_has_several_terms_and_some_that_must_not_be_there() {
        let store = store(&["get /a ok", "get /b error", "post /a ok"]);
        for (typed, kept) in [
            ("get", vec![0, 1]),
            ("get & !error", vec![0]),
            ("!get", vec![2]),
            ("/a & ok", vec![0, 2]),
            ("", vec![0, 1, 2]),
        ] {
            let mut scan = Scan::new(
                Wanted::Filter {
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
