//! Layout of one line: sanitises its pieces, marks matches, and wraps or cuts it to the width.

use std::{borrow::Cow, ops::Range};

use unicode_segmentation::UnicodeSegmentation;

use super::{formatter::Row, pattern::Pattern};
use crate::theme::Scope;
use flightdeck_core::text;

/// Displayed bytes of a line. Search and export use the whole line.
const MAX_BYTES: usize = 16 * 1024;

/// A laid-out row: sanitised texts, each of one scope.
pub(crate) type Spans = Vec<(String, Scope)>;

/// Options of [`layout_row`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayoutOptions<'a> {
    pub width: usize,
    pub wrap: bool,
    /// Columns scrolled to the right. Ignored with `wrap`.
    pub left: usize,
    /// Pattern to mark, and the scope of matches.
    pub mark: Option<(&'a Pattern, Scope)>,
}

/// Returns the screen rows of a row: at least one.
#[must_use]
pub(crate) fn layout_row(row: &Row<'_>, options: LayoutOptions<'_>) -> Vec<Spans> {
    let mut flat = Flat::new(row);
    if let Some((pattern, scope)) = options.mark {
        flat.mark(pattern, scope);
    }
    if options.wrap {
        let hang = if row.hang + 8 < options.width {
            row.hang
        } else {
            0
        };
        let breaks = wrapped(&flat.text, options.width, hang);
        let rows = breaks.into_iter().enumerate().map(|(index, range)| {
            let mut spans = flat.cut(range);
            if index > 0 && hang > 0 {
                spans.insert(0, (" ".repeat(hang), Scope::Text));
            }
            spans
        });
        rows.collect()
    } else {
        let (range, more) = window(&flat.text, options.left, options.width);
        let mut spans = flat.cut(range);
        if more {
            spans.push(("…".into(), Scope::Faint));
        }
        vec![spans]
    }
}

/// Sanitised text, with the end and the scope of each piece.
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
            let room = MAX_BYTES.saturating_sub(flat.text.len());
            let kept = head(piece, room);
            all -= kept.len();
            flat.push(&text::sanitize(kept), *scope);
        }
        if all > 0 {
            flat.push(
                &format!(" … {} KiB more in this line", all.div_ceil(1024)),
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
        let matches: Vec<Range<usize>> = pattern.find(&self.text).collect();
        let mut matches = matches.into_iter().peekable();
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut at = 0;
        for (end, own) in std::mem::take(&mut self.runs) {
            while at < end {
                match matches.peek() {
                    Some(found) if found.start <= at => {
                        let to = found.end.min(end);
                        runs.push((to, scope));
                        at = to;
                        if found.end <= at {
                            matches.next();
                        }
                    }
                    Some(found) if found.start < end => {
                        runs.push((found.start, own));
                        at = found.start;
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

/// Returns at most `bytes` of `text`, cut between characters.
fn head(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// Returns offset, grapheme and width of each cell.
fn cells(text: &str) -> Box<dyn Iterator<Item = (usize, &str, usize)> + '_> {
    // Fast path for nearly every line of a log.
    if text.is_ascii() {
        return Box::new((0..text.len()).map(|at| (at, &text[at..=at], 1)));
    }
    let graphemes = text.grapheme_indices(true);
    Box::new(graphemes.map(|(at, grapheme)| (at, grapheme, text::width(grapheme))))
}

/// Returns the ranges of the rows: broken after words, or within a word that is too long.
fn wrapped(text: &str, width: usize, hang: usize) -> Vec<Range<usize>> {
    let width = width.max(1);
    let mut rows = Vec::new();
    let (mut start, mut column) = (0, 0);
    // The last possible break: the offset after a space, and its column.
    let mut blank: Option<(usize, usize)> = None;
    for (at, grapheme, w) in cells(text) {
        let room = if rows.is_empty() { width } else { width - hang };
        if column + w > room && column > 0 {
            if grapheme == " " {
                // Drop a space that does not fit.
                rows.push(start..at);
                (start, column, blank) = (at + 1, 0, None);
                continue;
            }
            match blank.take() {
                // Move the word down if it fits; continuation rows are shorter.
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

/// Returns the range between the columns `left` and `left + width`, and whether there is more to the right.
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

/// Returns the text of a row.
#[must_use]
pub(crate) fn text_of(spans: &Spans) -> Cow<'_, str> {
    match spans.as_slice() {
        [(text, _)] => Cow::Borrowed(text),
        many => Cow::Owned(many.iter().map(|(text, _)| text.as_str()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, options: LayoutOptions<'_>) -> Vec<String> {
        let row = Row::new(text, Scope::Text).hanging(2);
        layout_row(&row, options)
            .iter()
            .map(|spans| text_of(spans).into_owned())
            .collect()
    }

    const fn options(width: usize, wrap: bool, left: usize) -> LayoutOptions<'static> {
        LayoutOptions {
            width,
            wrap,
            left,
            mark: None,
        }
    }

    #[test]
    fn breaks_between_words_that_fit() {
        assert_eq!(
            rows("one two three four", options(14, true, 0)),
            ["one two three ", "  four"]
        );
        assert_eq!(
            rows("abcdefghijklmnop qr", options(11, true, 0)),
            ["abcdefghijk", "  lmnop qr"]
        );
        // The word would not fit next to the indentation of the next row.
        assert_eq!(
            rows("a bcdefghijk", options(11, true, 0)),
            ["a bcdefghij", "  k"]
        );
        assert_eq!(rows("", options(9, true, 0)), [""]);
        assert_eq!(
            rows("日本語日本語", options(5, true, 0)),
            ["日本", "語日", "本語"]
        );
    }

    #[test]
    fn marks_a_cut_row() {
        assert_eq!(rows("abcdefgh", options(5, false, 0)), ["abcd…"]);
        assert_eq!(rows("abcdefgh", options(5, false, 3)), ["defgh"]);
        assert_eq!(rows("abc", options(5, false, 9)), [""]);
        assert_eq!(rows("abcde", options(5, false, 0)), ["abcde"]);
    }

    #[test]
    fn marks_matches_across_pieces() {
        let row = Row::of(vec![
            ("foo".into(), Scope::Text),
            ("bar baz".into(), Scope::Muted),
        ]);
        let pattern = Pattern::new("ob|az").unwrap();
        let marked = LayoutOptions {
            mark: Some((&pattern, Scope::Match)),
            ..options(80, false, 0)
        };
        let spans = layout_row(&row, marked).remove(0);
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
    fn shows_only_the_start_of_a_huge_line() {
        let shown = rows(&"x".repeat(1_000_000), options(100, true, 0));
        assert!(shown.len() < 200);
        assert!(shown.last().unwrap().contains("more in this line"));
    }

    proptest! {
        #[test]
        fn no_row_exceeds_the_width(text in any::<String>(), width in text::MAX_GRAPHEME_WIDTH..40, wrap in any::<bool>(), left in 0usize..20) {
            for row in rows(&text, options(width, wrap, left)) {
                // Per grapheme, as terminals do: some letters join when measured as a word.
                let cells: usize = row.graphemes(true).map(text::width).sum();
                prop_assert!(cells <= width, "{:?} in {}", row, width);
            }
        }

        #[test]
        fn wrapping_drops_only_blanks(text in "[a-z ]{0,80}", width in 1usize..20) {
            let kept: String = wrapped(&text, width, 0).into_iter().map(|range| text[range].replace(' ', "")).collect();
            prop_assert_eq!(kept, text.replace(' ', ""));
        }
    }
}
