//! Where a text view stands: a line and a part of it, not a row of the screen; and moving from there.

use std::collections::VecDeque;

use super::{
    Line, LineId, Stamps, TextView, away,
    lay::{Frame, Spans, lay},
    scan::Scan,
};
use crate::theme::Scope;

/// The top of what is shown: a line by its number, and which of its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: LineId,
    pub part: usize,
}

/// One row of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub place: Place,
    pub spans: Spans,
}

/// Columns of a time and the blank after it.
const STAMP: usize = 9;

impl TextView {
    /// The oldest line that may be shown.
    fn floor(&self) -> LineId {
        let newest = || {
            let last = self.store.next().checked_sub(1)?;
            self.store.with(last, |line| line.at)?
        };
        match self.since.zip(newest()) {
            Some((seconds, newest)) => self.store.since(newest - seconds * 1_000_000),
            None => self.store.first(),
        }
    }

    /// The first line at or after `id` that the filter lets through.
    fn at_or_after(&self, id: LineId) -> Option<LineId> {
        let id = id.max(self.floor());
        match &self.filter {
            Some(scan) => scan.at_or_after(id),
            None => (id < self.store.next()).then_some(id),
        }
    }

    /// The last line before `id` that the filter lets through.
    fn before(&self, id: LineId) -> Option<LineId> {
        match &self.filter {
            Some(scan) => scan.before(id).filter(|line| *line >= self.floor()),
            None => id
                .min(self.store.next())
                .checked_sub(1)
                .filter(|line| *line >= self.floor()),
        }
    }

    /// Rows of the screen that one line takes.
    pub(super) fn rows_of(&self, id: LineId) -> Vec<Spans> {
        let rows = self.store.with(id, |line| self.rows_of_line(line));
        rows.unwrap_or_else(|| {
            // It is on its way: a row keeps its place.
            let waiting = || vec![("…".to_owned(), Scope::Faint)];
            Vec::from_iter(self.store.is_away(id).then(waiting))
        })
    }

    fn rows_of_line(&self, line: &Line<'_>) -> Vec<Spans> {
        let id = line.id;
        let stamp = self.stamp(line);
        let gutter = self.lens.gutter(line);
        let edge = if stamp.is_some() { STAMP } else { 0 }
            + gutter
                .as_ref()
                .map_or(0, |(text, _)| flightdeck_core::text::width(text));
        let width = self.size.0.saturating_sub(edge).max(4);
        let scope = if self.current == Some(id) {
            Scope::MatchCurrent
        } else {
            Scope::Match
        };
        let frame = Frame {
            width,
            wrap: self.wrap,
            left: self.left,
            mark: self.pattern().map(|pattern| (pattern, scope)),
        };
        let mut out = Vec::new();
        for row in self.lens.rows(line, width) {
            for mut spans in lay(&row, frame) {
                if edge > 0 {
                    let mut whole = Spans::with_capacity(spans.len() + 2);
                    if out.is_empty() {
                        whole.extend(stamp.clone());
                        whole.extend(
                            gutter
                                .as_ref()
                                .map(|(text, scope)| (text.clone().into_owned(), *scope)),
                        );
                    } else {
                        whole.push((" ".repeat(edge), Scope::Text));
                    }
                    whole.append(&mut spans);
                    spans = whole;
                }
                out.push(spans);
            }
        }
        if self.marks.contains(&id) {
            out.push(vec![("─".repeat(self.size.0), Scope::LogMark)]);
        }
        out
    }

    fn stamp(&self, line: &Line<'_>) -> Option<(String, Scope)> {
        let words = match (self.stamps, line.at) {
            (Stamps::None, _) => return None,
            (_, None) => String::new(),
            (Stamps::Clock, Some(at)) => {
                let seconds = (at.div_euclid(1_000_000) + self.utc_offset).rem_euclid(86_400);
                format!(
                    "{:02}:{:02}:{:02}",
                    seconds / 3_600,
                    seconds / 60 % 60,
                    seconds % 60
                )
            }
            (Stamps::Elapsed, Some(at)) => {
                let start = self.store.start().unwrap_or(at);
                format!(
                    "+{}",
                    flightdeck_core::text::duration((at - start).div_euclid(1_000_000))
                )
            }
        };
        Some((
            format!("{words:<width$} ", width = STAMP - 1),
            Scope::LogTimestamp,
        ))
    }

    /// Rows there are for text: the prompt takes one.
    pub(super) const fn height(&self) -> usize {
        self.size
            .1
            .saturating_sub(if self.prompt.is_some() { 1 } else { 0 })
    }

    /// The rows on the screen when the end is in view.
    fn end_rows(&self) -> VecDeque<Shown> {
        let height = self.height();
        let mut shown = VecDeque::with_capacity(height);
        let mut at = self.store.next();
        while shown.len() < height {
            let Some(line) = self.before(at) else { break };
            let rows = self.rows_of(line).into_iter().enumerate();
            for (part, spans) in rows.rev().take(height - shown.len()) {
                let place = Place { line, part };
                shown.push_front(Shown { place, spans });
            }
            at = line;
        }
        shown
    }

    /// The place whose row is the first one shown when the end is in view.
    fn end_top(&self) -> Place {
        let first = self.end_rows().pop_front().map(|row| row.place);
        // A panel that is folded away has no row: the last line is what it would show.
        let last = || {
            let line = self.before(LineId::MAX)?;
            Some(Place { line, part: 0 })
        };
        first.or_else(last).unwrap_or_else(|| self.start())
    }

    /// The place of the first row of all.
    fn start(&self) -> Place {
        Place {
            line: self.at_or_after(0).unwrap_or_default(),
            part: 0,
        }
    }

    /// The first place on the screen.
    #[must_use]
    pub fn top(&self) -> Place {
        if self.follow {
            self.end_top()
        } else {
            self.place
        }
    }

    /// The rows on the screen.
    #[must_use]
    pub fn visible(&self) -> Vec<Shown> {
        let mut shown = if self.follow {
            self.end_rows()
        } else {
            self.rows_from(self.place)
        };
        if let Some(first) = shown.front()
            && self.store.first() > 0
            && first.place.part == 0
            && self.before(first.place.line).is_none()
        {
            let words = format!("{} earlier lines were let go", self.store.first());
            let spans = vec![(
                flightdeck_core::text::cut_end(&words, self.size.0).into_owned(),
                Scope::LogNotice,
            )];
            let place = first.place;
            shown.push_front(Shown { place, spans });
        }
        shown.truncate(self.height());
        let mut shown = Vec::from(shown);
        self.quieten(&mut shown);
        shown
    }

    /// The rows that a screen has room for, from a place on.
    fn rows_from(&self, top: Place) -> VecDeque<Shown> {
        let height = self.height();
        let mut shown = VecDeque::with_capacity(height);
        let mut next = self.at_or_after(top.line);
        while let Some(line) = next.filter(|_| shown.len() < height) {
            let rows = self.rows_of(line);
            let skip = if line == top.line {
                top.part.min(rows.len().saturating_sub(1))
            } else {
                0
            };
            let rows = rows.into_iter().enumerate().skip(skip);
            shown.extend(rows.map(|(part, spans)| Shown {
                place: Place { line, part },
                spans,
            }));
            next = self.at_or_after(line + 1);
        }
        shown
    }

    /// Leaves out what a line has in its gutter when the line above has the same there.
    fn quieten(&self, shown: &mut [Shown]) {
        let at = usize::from(self.stamps != Stamps::None);
        let mut above: Option<(String, Scope)> = None;
        for row in shown.iter_mut().filter(|row| row.place.part == 0) {
            let gutter = self
                .store
                .with(row.place.line, |line| self.lens.gutter(line));
            if gutter.flatten().is_none() {
                continue;
            }
            let Some(span) = row.spans.get_mut(at) else {
                continue;
            };
            if above.as_ref() == Some(&*span) {
                span.0 = " ".repeat(flightdeck_core::text::width(&span.0));
            } else {
                above = Some(span.clone());
            }
        }
    }

    /// The lines on the screen or beside it that are to be read back.
    pub(super) fn missing(&self) -> Vec<away::Place> {
        if !self.store.has_away() {
            return Vec::new();
        }
        let lines = self.visible().into_iter().map(|row| row.place.line);
        self.store.missing(lines)
    }

    /// Whether any row of a line is on the screen.
    pub(super) fn shows(&self, line: LineId) -> bool {
        self.visible().iter().any(|row| row.place.line == line)
    }

    pub(super) fn last_shown(&self) -> Option<LineId> {
        self.visible().last().map(|row| row.place.line)
    }

    /// Stops following without moving.
    pub(super) fn leave_end(&mut self) {
        if self.follow {
            self.place = self.end_top();
            self.follow = false;
        }
    }

    /// Scrolls until a line is on the screen, a third from the top; not at all when it is there already.
    pub(super) fn reveal(&mut self, line: LineId) {
        self.leave_end();
        if self.shows(line) {
            return;
        }
        self.place = Place { line, part: 0 };
        self.up(self.height() / 3);
        self.settle();
    }

    /// Moves by rows: down, or up when negative. Reaching the end of a text that still grows is following it.
    pub fn scroll(&mut self, rows: isize) {
        if rows < 0 {
            self.leave_end();
            self.up(rows.unsigned_abs());
        } else if !self.follow {
            self.down(rows.unsigned_abs());
            let end = self.end_top();
            if self.place >= end {
                self.place = end;
                self.follow = self.live;
            }
        }
    }

    /// Moves by a part of the screen: `(1, 2)` is half of it down, `(-1, 1)` all of it up.
    pub fn page(&mut self, (numerator, denominator): (isize, isize)) {
        let rows = (self.height() as isize * numerator / denominator.max(1))
            .abs()
            .max(1);
        self.scroll(rows * numerator.signum());
    }

    /// Goes to the first line.
    pub fn to_start(&mut self) {
        self.follow = false;
        self.place = self.start();
    }

    /// Goes to the last line, and stays there while more comes.
    pub fn to_end(&mut self) {
        self.place = self.end_top();
        self.follow = self.live;
    }

    fn down(&mut self, mut rows: usize) {
        while rows > 0 {
            let here = self.rows_of(self.place.line).len();
            let left = here.saturating_sub(self.place.part + 1);
            if rows <= left {
                self.place.part += rows;
                return;
            }
            let Some(next) = self.at_or_after(self.place.line + 1) else {
                self.place.part = here.saturating_sub(1);
                return;
            };
            // A line of no rows costs no step.
            rows -= (left + 1).min(rows) * usize::from(here > 0);
            self.place = Place {
                line: next,
                part: 0,
            };
        }
    }

    fn up(&mut self, mut rows: usize) {
        while rows > 0 {
            if rows <= self.place.part {
                self.place.part -= rows;
                return;
            }
            let Some(line) = self.before(self.place.line) else {
                self.place.part = 0;
                return;
            };
            rows -= self.place.part;
            let there = self.rows_of(line).len();
            self.place = Place { line, part: there };
        }
    }

    /// Brings the place back to one that exists and fills the screen, after the text, the filter or the size changed.
    pub(super) fn settle(&mut self) {
        // What a filter lets through is not known before it has looked at all lines.
        let filtering = |scan: &Scan| !scan.done(&self.store);
        if self.follow || self.filter.as_ref().is_some_and(filtering) {
            return;
        }
        let line = self
            .at_or_after(self.place.line)
            .or_else(|| self.before(self.place.line));
        match line {
            Some(line) if line == self.place.line => {
                self.place.part = self
                    .place
                    .part
                    .min(self.rows_of(line).len().saturating_sub(1));
            }
            Some(line) => self.place = Place { line, part: 0 },
            None => {
                self.place = Place {
                    line: self.store.first(),
                    part: 0,
                }
            }
        }
        self.place = self.place.min(self.end_top());
    }
}
