//! Laying one line out: its pieces made harmless, matches marked, wrapped or cut to the columns there are.

use std::{borrow::Cow, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use super::{lens::Row, scan::Pattern};
use crate::theme::Scope;
use flightdeck_core::text;

/// Bytes of a line that are shown; the rest is there for a search and for saving.
const SHOWN: usize = 16 * 1024;

/// A row as it is drawn: stretches of harmless text, each of one scope.
pub type Spans = Vec<(String, Scope)>;

/// What laying out needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub width: usize,
    pub wrap: bool,
    /// Columns scrolled to the right; only without wrapping.
    pub left: usize,
    /// What to mark, and in which scope.
    pub mark: Option<(&'a Pattern, Scope)>,
}

/// The rows of the screen that one row of a line takes: at least one.
#[must_use]
pub fn lay(row: &Row<'_>, frame: Frame<'_>) -> Vec<Spans> {
    let mut flat = Flat::new(row);
    if let Some((pattern, scope)) = frame.mark {
        flat.mark(pattern, scope);
    }
    if frame.wrap {
        let hang = if row.hang + 8 < frame.width {
            row.hang
        } else {
            0
        };
        let breaks = wrapped(&flat.text, frame.width, hang);
        let rows = breaks.into_iter().enumerate().map(|(index, range)| {
            let mut spans = flat.cut(range);
            if index > 0 && hang > 0 {
                spans.insert(0, (" ".repeat(hang), Scope::Text));
            }
            spans
        });
        rows.collect()
    } else {
        let (range, more) = window(&flat.text, frame.left, frame.width);
        let mut spans = flat.cut(range);
        if more {
            spans.push(("…".into(), Scope::Faint));
        }
        vec![spans]
    }
}

/// Sanitised text with the ends of its stretches.
struct Flat {
    text: String,
    runs: Vec<(usize, Scope)>,
}

impl Flat {
    fn new(row: &Row<'_>) -> Self {
        let mut flat = Self {
            text: String::new(),
            runs: Vec::with_capacity(row.pieces.len()),
        };
        let mut all: usize = row.pieces.iter().map(|(text, _)| text.len()).sum();
        for (piece, scope) in &row.pieces {
            let room = SHOWN.saturating_sub(flat.text.len());
            let kept = head(piece, room);
            all -= kept.len();
            flat.push(&text::sanitize(kept), *scope);
        }
        if all > 0 {
            flat.push(
                &format!(" … and {} KiB more in this line", all.div_ceil(1024)),
                Scope::Muted,
            );
        }
        flat
    }

    fn push(&mut self, text: &str, scope: Scope) {
        self.text.push_str(text);
        self.runs.push((self.text.len(), scope));
    }

    fn mark(&mut self, pattern: &Pattern, scope: Scope) {
        let places: Vec<Range<usize>> = pattern.places(&self.text).collect();
        let mut places = places.into_iter().peekable();
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut at = 0;
        for (end, own) in std::mem::take(&mut self.runs) {
            while at < end {
                match places.peek() {
                    Some(place) if place.start <= at => {
                        let to = place.end.min(end);
                        runs.push((to, scope));
                        at = to;
                        if place.end <= at {
                            places.next();
                        }
                    }
                    Some(place) if place.start < end => {
                        runs.push((place.start, own));
                        at = place.start;
                    }
                    _ => {
                        runs.push((end, own));
                        at = end;
                    }
                }
            }
        }
        self.runs = runs;
    }

    fn cut(&self, range: Range<usize>) -> Spans {
        let mut spans = Spans::new();
        let mut start = 0;
        for (end, scope) in &self.runs {
            let (from, to) = (start.max(range.start), (*end).min(range.end));
            if from < to {
                spans.push((self.text[from..to].to_owned(), *scope));
            }
            start = *end;
        }
        spans
    }
}

/// The first `bytes` of `text`, less what would cut a character.
fn head(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// What each cell or pair of cells holds: where it begins, and how wide it is.
fn cells(text: &str) -> Box<dyn Iterator<Item = (usize, &str, usize)> + '_> {
    // Nearly every line of a log, and far quicker to tell apart.
    if text.is_ascii() {
        return Box::new((0..text.len()).map(|at| (at, &text[at..=at], 1)));
    }
    let graphemes = text.grapheme_indices(true);
    Box::new(graphemes.map(|(at, grapheme)| (at, grapheme, text::width(grapheme))))
}

/// Where to break `text`: after words where that is possible, anywhere in a word that is too long.
fn wrapped(text: &str, width: usize, hang: usize) -> Vec<Range<usize>> {
    let width = width.max(1);
    let mut rows = Vec::new();
    let (mut start, mut column) = (0, 0);
    // Where the row could end instead (after a blank), and the column there.
    let mut blank: Option<(usize, usize)> = None;
    for (at, grapheme, w) in cells(text) {
        let room = if rows.is_empty() { width } else { width - hang };
        if column + w > room && column > 0 {
            if grapheme == " " {
                // The blank that does not fit hangs over the edge, unseen.
                rows.push(start..at);
                (start, column, blank) = (at + 1, 0, None);
                continue;
            }
            match blank.take() {
                // The word moves down, if it fits there: the rows below are shorter.
                Some((after, used)) if after > start && column - used + w <= width - hang => {
                    rows.push(start..after);
                    column -= used;
                    start = after;
                }
                _ => {
                    rows.push(start..at);
                    (start, column) = (at, 0);
                }
            }
        }
        column += w;
        if grapheme == " " {
            blank = Some((at + 1, column));
        }
    }
    if start < text.len() || rows.is_empty() {
        rows.push(start..text.len());
    }
    rows
}

/// The part of `text` between the columns `left` and `left + width`, and whether there is more to the right.
fn window(text: &str, left: usize, width: usize) -> (Range<usize>, bool) {
    let mut column = 0;
    let mut start = None;
    let mut fits = text.len();
    let mut before_last = 0;
    for (at, grapheme, w) in cells(text) {
        if column >= left && start.is_none() {
            start = Some(at);
        }
        if column + w <= left + width.saturating_sub(1) {
            before_last = at + grapheme.len();
        }
        if column + w > left + width {
            fits = at;
            break;
        }
        column += w;
    }
    let start = start.unwrap_or(text.len());
    if fits < text.len() {
        (start..before_last.max(start), true)
    } else {
        (start..text.len(), false)
    }
}

/// The text of a row, without its scopes.
#[must_use]
pub fn text_of(spans: &Spans) -> Cow<'_, str> {
    match spans.as_slice() {
        [(text, _)] => Cow::Borrowed(text),
        many => Cow::Owned(many.iter().map(|(text, _)| text.as_str()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, frame: Frame<'_>) -> Vec<String> {
        let row = Row::new(text, Scope::Text).hanging(2);
        lay(&row, frame)
            .iter()
            .map(|spans| text_of(spans).into_owned())
            .collect()
    }

    const fn frame(width: usize, wrap: bool, left: usize) -> Frame<'static> {
        Frame {
            width,
            wrap,
            left,
            mark: None,
        }
    }

    #[test]
    fn words_stay_whole_while_they_fit() {
        assert_eq!(
            rows("one two three four", frame(14, true, 0)),
            ["one two three ", "  four"]
        );
        assert_eq!(
            rows("abcdefghijklmnop qr", frame(11, true, 0)),
            ["abcdefghijk", "  lmnop qr"]
        );
        // Moved down, the word would not fit below the indentation: it is cut where it is.
        assert_eq!(
            rows("a bcdefghijk", frame(11, true, 0)),
            ["a bcdefghij", "  k"]
        );
        assert_eq!(rows("", frame(9, true, 0)), [""]);
        assert_eq!(
            rows("日本語日本語", frame(5, true, 0)),
            ["日本", "語日", "本語"]
        );
    }

    #[test]
    fn a_cut_row_says_that_there_is_more() {
        assert_eq!(rows("abcdefgh", frame(5, false, 0)), ["abcd…"]);
        assert_eq!(rows("abcdefgh", frame(5, false, 3)), ["defgh"]);
        assert_eq!(rows("abc", frame(5, false, 9)), [""]);
        assert_eq!(rows("abcde", frame(5, false, 0)), ["abcde"]);
    }

    #[test]
    fn matches_are_marked_across_pieces() {
        let row = Row::of(vec![
            ("foo".into(), Scope::Text),
            ("bar baz".into(), Scope::Muted),
        ]);
        let pattern = Pattern::new("ob|az").unwrap();
        let marked = Frame {
            mark: Some((&pattern, Scope::Match)),
            ..frame(80, false, 0)
        };
        let spans = lay(&row, marked).remove(0);
        let read: Vec<_> = spans
            .iter()
            .map(|(text, scope)| (text.as_str(), *scope))
            .collect();
        assert_eq!(
            read,
            [
                ("fo", Scope::Text),
                ("o", Scope::Match),
                ("b", Scope::Match),
                ("ar b", Scope::Muted),
                ("az", Scope::Match),
            ]
        );
    }

    #[test]
    fn a_monstrous_line_is_shown_in_part_and_says_so() {
        let shown = rows(&"x".repeat(1_000_000), frame(100, true, 0));
        assert!(shown.len() < 200);
        assert!(shown.last().unwrap().contains("more in this line"));
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_screen(text in any::<String>(), width in text::MAX_GRAPHEME_WIDTH..40, wrap in any::<bool>(), left in 0usize..20) {
            for row in rows(&text, frame(width, wrap, left)) {
                // Cell by cell, as a terminal shows it: some letters join into one where they are measured as a word.
                let cells: usize = row.graphemes(true).map(text::width).sum();
                prop_assert!(cells <= width, "{:?} in {}", row, width);
            }
        }

        #[test]
        fn wrapping_loses_nothing_but_blanks(text in "[a-z ]{0,80}", width in 1usize..20) {
            let kept: String = wrapped(&text, width, 0).into_iter().map(|range| text[range].replace(' ', "")).collect();
            prop_assert_eq!(kept, text.replace(' ', ""));
        }
    }
}
