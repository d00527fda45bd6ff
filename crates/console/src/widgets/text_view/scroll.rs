//! Scrolling: the position is a line and a row within it, not a row of the screen.

use std::collections::VecDeque;

use super::{
    Line, LineId, Stamps, TextView,
    line_layout::{LayoutOptions, Spans, layout_row},
    scan::Scan,
    spill,
};
use crate::theme::Scope;
use flightdeck_core::text;

/// The first visible row: a line, and a row within the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrollAnchor {
    pub line: LineId,
    pub row: usize,
}

/// A row on screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleRow {
    pub anchor: ScrollAnchor,
    pub spans: Spans,
}

/// Columns of a time with the space after it.
const TIME_COLUMNS: usize = 9;

impl TextView {
    /// Returns the oldest line to show.
    fn oldest(&self) -> LineId {
        let newest = || {
            let last = self.store.next().checked_sub(1)?;
            self.store.with(last, |line| line.at)?
        };
        match self.since.zip(newest()) {
            Some((seconds, newest)) => self.store.since(newest - seconds * 1_000_000),
            None => self.store.first(),
        }
    }

    /// Returns the first line at or after `id` that passes the filter.
    fn next_from(&self, id: LineId) -> Option<LineId> {
        let id = id.max(self.oldest());
        match &self.filter {
            Some(scan) => scan.at_or_after(id),
            None => (id < self.store.next()).then_some(id),
        }
    }

    /// Returns the last line before `id` that passes the filter.
    fn previous(&self, id: LineId) -> Option<LineId> {
        match &self.filter {
            Some(scan) => scan.before(id).filter(|line| *line >= self.oldest()),
            None => id
                .min(self.store.next())
                .checked_sub(1)
                .filter(|line| *line >= self.oldest()),
        }
    }

    /// Returns the screen rows of a line.
    pub(super) fn rows_of(&self, id: LineId) -> Vec<Spans> {
        let rows = self.store.with(id, |line| self.rows_of_line(line));
        rows.unwrap_or_else(|| {
            // A placeholder until the line is read back from the file.
            let waiting = || vec![("…".to_owned(), Scope::Faint)];
            Vec::from_iter(self.store.is_spilled(id).then(waiting))
        })
    }

    fn rows_of_line(&self, line: &Line<'_>) -> Vec<Spans> {
        let id = line.id;
        let stamp = self.stamp(line);
        let gutter = self.formatter.gutter(line);
        let edge = if stamp.is_some() { TIME_COLUMNS } else { 0 }
            + gutter.as_ref().map_or(0, |(text, _)| text::width(text));
        let width = self.size.0.saturating_sub(edge).max(4);
        let scope = if self.current == Some(id) {
            Scope::MatchCurrent
        } else {
            Scope::Match
        };
        let options = LayoutOptions {
            width,
            wrap: self.wrap,
            left: self.left,
            mark: self.pattern().map(|pattern| (pattern, scope)),
        };
        let mut out = Vec::new();
        for row in self.formatter.rows(line, width) {
            for mut spans in layout_row(&row, options) {
                if edge > 0 {
                    let mut padded = Spans::with_capacity(spans.len() + 2);
                    if out.is_empty() {
                        padded.extend(stamp.clone());
                        padded.extend(
                            gutter
                                .as_ref()
                                .map(|(text, scope)| (text.clone().into_owned(), *scope)),
                        );
                    } else {
                        padded.push((" ".repeat(edge), Scope::Text));
                    }
                    padded.append(&mut spans);
                    spans = padded;
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
                format!("+{}", text::duration((at - start).div_euclid(1_000_000)))
            }
        };
        Some((
            format!("{words:<width$} ", width = TIME_COLUMNS - 1),
            Scope::LogTimestamp,
        ))
    }

    /// Returns the rows for text, without the prompt.
    pub(super) const fn height(&self) -> usize {
        self.size
            .1
            .saturating_sub(if self.prompt.is_some() { 1 } else { 0 })
    }

    /// Returns the visible rows at the end of the text.
    fn end_rows(&self) -> VecDeque<VisibleRow> {
        let height = self.height();
        let mut shown = VecDeque::with_capacity(height);
        let mut at = self.store.next();
        while shown.len() < height {
            let Some(line) = self.previous(at) else { break };
            let rows = self.rows_of(line).into_iter().enumerate();
            for (row, spans) in rows.rev().take(height - shown.len()) {
                let anchor = ScrollAnchor { line, row };
                shown.push_front(VisibleRow { anchor, spans });
            }
            at = line;
        }
        shown
    }

    /// Returns the position at the end of the text.
    fn end_anchor(&self) -> ScrollAnchor {
        let first = self.end_rows().pop_front().map(|row| row.anchor);
        // A collapsed panel has no rows; use the last line.
        let last = || {
            let line = self.previous(LineId::MAX)?;
            Some(ScrollAnchor { line, row: 0 })
        };
        first.or_else(last).unwrap_or_else(|| self.start_anchor())
    }

    /// Returns the position at the start of the text.
    fn start_anchor(&self) -> ScrollAnchor {
        ScrollAnchor {
            line: self.next_from(0).unwrap_or_default(),
            row: 0,
        }
    }

    /// Returns the position of the first visible row.
    #[must_use]
    pub fn top(&self) -> ScrollAnchor {
        if self.follow {
            self.end_anchor()
        } else {
            self.anchor
        }
    }

    /// Returns the visible rows.
    #[must_use]
    pub fn visible(&self) -> Vec<VisibleRow> {
        let mut shown = if self.follow {
            self.end_rows()
        } else {
            self.rows_from(self.anchor)
        };
        if let Some(first) = shown.front()
            && self.store.first() > 0
            && first.anchor.row == 0
            && self.previous(first.anchor.line).is_none()
        {
            let words = format!("{} older lines dropped", self.store.first());
            let spans = vec![(
                text::cut_end(&words, self.size.0).into_owned(),
                Scope::LogNotice,
            )];
            let anchor = first.anchor;
            shown.push_front(VisibleRow { anchor, spans });
        }
        shown.truncate(self.height());
        let mut shown = Vec::from(shown);
        self.blank_repeated_gutters(&mut shown);
        shown
    }

    /// Returns the visible rows from a position on.
    fn rows_from(&self, top: ScrollAnchor) -> VecDeque<VisibleRow> {
        let height = self.height();
        let mut shown = VecDeque::with_capacity(height);
        let mut next = self.next_from(top.line);
        while let Some(line) = next.filter(|_| shown.len() < height) {
            let rows = self.rows_of(line);
            let skip = if line == top.line {
                top.row.min(rows.len().saturating_sub(1))
            } else {
                0
            };
            let rows = rows.into_iter().enumerate().skip(skip);
            shown.extend(rows.map(|(row, spans)| VisibleRow {
                anchor: ScrollAnchor { line, row },
                spans,
            }));
            next = self.next_from(line + 1);
        }
        shown
    }

    /// Blanks gutters equal to the one above.
    fn blank_repeated_gutters(&self, shown: &mut [VisibleRow]) {
        let at = usize::from(self.stamps != Stamps::None);
        let mut above: Option<(String, Scope)> = None;
        for row in shown.iter_mut().filter(|row| row.anchor.row == 0) {
            let gutter = self
                .store
                .with(row.anchor.line, |line| self.formatter.gutter(line));
            if gutter.flatten().is_none() {
                continue;
            }
            let Some(span) = row.spans.get_mut(at) else {
                continue;
            };
            if above.as_ref() == Some(&*span) {
                span.0 = " ".repeat(text::width(&span.0));
            } else {
                above = Some(span.clone());
            }
        }
    }

    /// Returns the segments to read back for the visible lines and their neighbours.
    pub(super) fn missing(&self) -> Vec<spill::SpilledSegment> {
        if !self.store.has_spilled() {
            return Vec::new();
        }
        let lines = self.visible().into_iter().map(|row| row.anchor.line);
        self.store.missing(lines)
    }

    /// Whether a row of a line is visible.
    pub(super) fn shows(&self, line: LineId) -> bool {
        self.visible().iter().any(|row| row.anchor.line == line)
    }

    pub(super) fn last_shown(&self) -> Option<LineId> {
        self.visible().last().map(|row| row.anchor.line)
    }

    /// Stops following at the current position.
    pub(super) fn stop_following(&mut self) {
        if self.follow {
            self.anchor = self.end_anchor();
            self.follow = false;
        }
    }

    /// Scrolls a line into view, to a third from the top. Does nothing if it is visible.
    pub(super) fn reveal(&mut self, line: LineId) {
        self.stop_following();
        if self.shows(line) {
            return;
        }
        self.anchor = ScrollAnchor { line, row: 0 };
        self.move_up(self.height() / 3);
        self.clamp_scroll();
    }

    /// Scrolls down by rows, or up if negative. Reaching the end of a growing text resumes following.
    pub fn scroll(&mut self, rows: isize) {
        if rows < 0 {
            self.stop_following();
            self.move_up(rows.unsigned_abs());
        } else if !self.follow {
            self.move_down(rows.unsigned_abs());
            let end = self.end_anchor();
            if self.anchor >= end {
                self.anchor = end;
                self.follow = self.live;
            }
        }
    }

    /// Scrolls by a fraction of the screen: `(1, 2)` half a screen down, `(-1, 1)` a screen up.
    pub fn page(&mut self, (numerator, denominator): (isize, isize)) {
        let rows = (self.height() as isize * numerator / denominator.max(1))
            .abs()
            .max(1);
        self.scroll(rows * numerator.signum());
    }

    /// Scrolls to the first line.
    pub fn to_start(&mut self) {
        self.follow = false;
        self.anchor = self.start_anchor();
    }

    /// Scrolls to the last line, and follows a growing text.
    pub fn to_end(&mut self) {
        self.anchor = self.end_anchor();
        self.follow = self.live;
    }

    fn move_down(&mut self, mut rows: usize) {
        while rows > 0 {
            let here = self.rows_of(self.anchor.line).len();
            let left = here.saturating_sub(self.anchor.row + 1);
            if rows <= left {
                self.anchor.row += rows;
                return;
            }
            let Some(next) = self.next_from(self.anchor.line + 1) else {
                self.anchor.row = here.saturating_sub(1);
                return;
            };
            // Skip lines that the formatter omits.
            rows -= (left + 1).min(rows) * usize::from(here > 0);
            self.anchor = ScrollAnchor { line: next, row: 0 };
        }
    }

    fn move_up(&mut self, mut rows: usize) {
        while rows > 0 {
            if rows <= self.anchor.row {
                self.anchor.row -= rows;
                return;
            }
            let Some(line) = self.previous(self.anchor.line) else {
                self.anchor.row = 0;
                return;
            };
            rows -= self.anchor.row;
            let there = self.rows_of(line).len();
            self.anchor = ScrollAnchor { line, row: there };
        }
    }

    /// Moves the position to an existing line from which the text fills the screen.
    pub(super) fn clamp_scroll(&mut self) {
        // An incomplete filter does not know all its lines yet.
        let filtering = |scan: &Scan| !scan.done(&self.store);
        if self.follow || self.filter.as_ref().is_some_and(filtering) {
            return;
        }
        let line = self
            .next_from(self.anchor.line)
            .or_else(|| self.previous(self.anchor.line));
        match line {
            Some(line) if line == self.anchor.line => {
                self.anchor.row = self
                    .anchor
                    .row
                    .min(self.rows_of(line).len().saturating_sub(1));
            }
            Some(line) => self.anchor = ScrollAnchor { line, row: 0 },
            None => {
                self.anchor = ScrollAnchor {
                    line: self.store.first(),
                    row: 0,
                }
            }
        }
        self.anchor = self.anchor.min(self.end_anchor());
    }
}
