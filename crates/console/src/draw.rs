//! Drawing primitives: rows written from both sides, panel frames, hints, fields, paragraphs.
//!
//! All text is drawn through this module or the text view, which sanitise it. Callers sanitise text only to measure it.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Modifier, Style},
};

use super::{
    field::Field,
    layout::PanelArea,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Writes `text` into at most `columns` cells starting at (`x`, `y`), clipped to the buffer. Returns the column after it.
///
/// Use this instead of the methods of [`Buffer`], which panic outside of the buffer.
pub(crate) fn put_text(
    buffer: &mut Buffer,
    x: u16,
    y: u16,
    text: &str,
    columns: usize,
    style: Style,
) -> u16 {
    if !buffer.area.contains(Position::new(x, y)) {
        return x;
    }
    #[expect(clippy::disallowed_methods, reason = "the start is inside the buffer")]
    let (end, _) = buffer.set_stringn(x, y, text, columns, style);
    end
}

/// Writes a row from both ends inwards. Text that does not fit is cut.
pub(crate) struct RowPen<'b> {
    buffer: &'b mut Buffer,
    y: u16,
    left: u16,
    right: u16,
}

impl<'b> RowPen<'b> {
    /// Returns a pen for the first row of `area`.
    pub(crate) fn new(buffer: &'b mut Buffer, area: Rect) -> Self {
        Self {
            buffer,
            y: area.y,
            left: area.x,
            right: area.right(),
        }
    }

    /// Returns the free columns between the two ends.
    pub(crate) const fn room(&self) -> usize {
        self.right.saturating_sub(self.left) as usize
    }

    /// Writes at the left end.
    pub(crate) fn left(&mut self, text: &str, style: Style) -> &mut Self {
        let text = text::sanitize(text);
        let cut = text::cut_end(&text, self.room());
        put_text(self.buffer, self.left, self.y, &cut, self.room(), style);
        self.left += text::width(&cut) as u16;
        self
    }

    /// Writes at the left end into a column of a fixed width.
    pub(crate) fn column(&mut self, text: &str, columns: usize, style: Style) -> &mut Self {
        let columns = columns.min(self.room());
        let text = text::sanitize(text);
        let cut = text::cut_middle(&text, columns);
        put_text(self.buffer, self.left, self.y, &cut, columns, style);
        self.left += columns as u16;
        self
    }

    /// Skips columns at the left end.
    pub(crate) fn space(&mut self, columns: usize) -> &mut Self {
        self.left += columns.min(self.room()) as u16;
        self
    }

    /// Writes at the right end, unless the text does not fit.
    pub(crate) fn right(&mut self, text: &str, style: Style) -> &mut Self {
        let text = text::sanitize(text);
        let width = text::width(&text);
        if width <= self.room() {
            self.right -= width as u16;
            put_text(self.buffer, self.right, self.y, &text, width, style);
        }
        self
    }

    /// Skips columns at the right end.
    pub(crate) fn right_space(&mut self, columns: usize) -> &mut Self {
        self.right -= columns.min(self.room()) as u16;
        self
    }
}

/// Clears a row, to draw over it.
pub(crate) fn blank(buffer: &mut Buffer, area: Rect, style: Style) {
    let columns = usize::from(area.width);
    put_text(buffer, area.x, area.y, &" ".repeat(columns), columns, style);
}

/// Draws a vertical line in the first column of `area`.
pub(crate) fn rule(buffer: &mut Buffer, area: Rect, style: Style) {
    for y in area.top()..area.bottom() {
        put_text(buffer, area.x, y, "│", 1, style);
    }
}

/// The title line of a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Title {
    /// `1 Tasks`.
    pub name: String,
    /// The subject, after the name.
    pub about: String,
    /// State and counts at the right, in pieces.
    pub state: Vec<(String, Scope)>,
}

/// Draws the border and the title of a panel.
pub(crate) fn frame(
    buffer: &mut Buffer,
    theme: &Theme,
    area: PanelArea,
    title: &Title,
    focused: bool,
) {
    let Rect { x, y, width, .. } = area.outer;
    let style = theme.style(if focused {
        Scope::BorderFocused
    } else {
        Scope::Border
    });
    let corners = match (area.joined, area.last) {
        (_, true) if area.inner.is_empty() => ("╰", "╯"),
        (true, _) => ("├", "┤"),
        (false, _) => ("╭", "╮"),
    };
    border(buffer, area, style, corners);
    let border = style;
    let inside = Rect::new(x + 1, y, width.saturating_sub(2), 1);
    let mut pen = RowPen::new(buffer, inside);
    let name = theme.style(if focused {
        Scope::TitleFocused
    } else {
        Scope::Title
    });
    pen.left(" ", border)
        .left(&title.name, name)
        .left(" ", border);
    let state: String = title
        .state
        .iter()
        .map(|(piece, _)| piece.as_str())
        .collect();
    let about_room = pen.room().saturating_sub(text::width(&state) + 6);
    if !title.about.is_empty() && about_room > 6 {
        let about = text::cut_middle(&title.about, about_room).into_owned();
        pen.left(" ", border)
            .left(&about, theme.style(Scope::Text))
            .left(" ", border);
    }
    if !state.is_empty() && text::width(&state) + 3 <= pen.room() {
        pen.right("─", border).right(" ", border);
        for (piece, scope) in title.state.iter().rev() {
            pen.right(piece, theme.style(*scope));
        }
        pen.right(" ", border);
    }
}

/// Draws the border of a box with the given top corners.
pub(crate) fn border(buffer: &mut Buffer, area: PanelArea, style: Style, corners: (&str, &str)) {
    let outer = area.outer;
    if outer.width < 2 || outer.height == 0 {
        return;
    }
    let last = outer.right() - 1;
    let inside = usize::from(outer.width) - 2;
    let across = "─".repeat(inside);
    let mut line = |y, left: &str, middle: &str, right: &str| {
        put_text(buffer, outer.x, y, left, 1, style);
        put_text(buffer, outer.x + 1, y, middle, inside, style);
        put_text(buffer, last, y, right, 1, style);
    };
    line(outer.y, corners.0, &across, corners.1);
    let sides = outer.bottom() - u16::from(area.closed);
    for y in outer.y + 1..sides {
        line(y, "│", "", "│");
    }
    if area.closed && outer.height > 1 {
        line(outer.bottom() - 1, "╰", &across, "╯");
    }
}

/// Draws `key label` pairs, as many as fit.
pub(crate) fn hints<'h>(
    pen: &mut RowPen<'_>,
    theme: &Theme,
    hints: impl IntoIterator<Item = (&'h str, &'h str)>,
) {
    for (key, label) in hints {
        if text::width(key) + text::width(label) + 3 > pen.room() {
            break;
        }
        pen.left(key, theme.style(Scope::Key))
            .space(1)
            .left(label, theme.style(Scope::KeyLabel))
            .space(2);
    }
}

/// Draws a text field. A long text is scrolled to the cursor, which is a reversed cell.
pub(crate) fn field(
    pen: &mut RowPen<'_>,
    theme: &Theme,
    field: &Field,
    placeholder: &str,
    active: bool,
) {
    let style = theme.style(Scope::Input);
    if !active {
        let (text, scope) = if field.text().is_empty() {
            (placeholder, Scope::InputPlaceholder)
        } else {
            (field.text(), Scope::Input)
        };
        pen.left(&text::sanitize(text), theme.style(scope));
        return;
    }
    let (before, after) = field.split();
    let room = pen.room().saturating_sub(1);
    let mut start = 0;
    for (at, _) in before.char_indices() {
        start = at;
        if text::width(&before[at..]) <= room {
            break;
        }
    }
    let shown = if text::width(before) <= room {
        before
    } else {
        &before[start..]
    };
    pen.left(&text::sanitize(shown), style);
    let mut rest = after.chars();
    let under = rest.next().map_or_else(|| " ".to_owned(), String::from);
    pen.left(
        &text::sanitize(&under),
        style.add_modifier(Modifier::REVERSED),
    );
    if field.text().is_empty() {
        pen.left(placeholder, theme.style(Scope::InputPlaceholder));
    } else {
        pen.left(&text::sanitize(rest.as_str()), style);
    }
}

/// Writes a sentence into `area`, broken between words. Returns the number of rows.
pub(crate) fn paragraph(buffer: &mut Buffer, area: Rect, sentence: &str, style: Style) -> u16 {
    let columns = usize::from(area.width);
    let lines = wrap(sentence, columns);
    let mut rows = 0;
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        put_text(buffer, area.x, y, line, columns, style);
        rows += 1;
    }
    rows
}

/// Breaks a sentence between words into lines of at most `columns`. Longer words are cut.
pub(crate) fn wrap(sentence: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in sentence.split('\n') {
        let mut line = String::new();
        for word in part.split_whitespace() {
            let mut word = text::sanitize(word).into_owned();
            while text::width(&word) > columns && columns > 0 {
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                let mut head = String::new();
                for c in word.chars() {
                    head.push(c);
                    if text::width(&head) > columns {
                        head.pop();
                        break;
                    }
                }
                if head.is_empty() {
                    break;
                }
                word = word[head.len()..].to_owned();
                lines.push(head);
            }
            let gap = usize::from(!line.is_empty());
            if text::width(&line) + gap + text::width(&word) > columns {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_between_words_and_cuts_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert!(wrap("日本語", 1).len() <= 2);
    }

    #[test]
    fn clips_to_the_buffer() {
        let mut buffer = Buffer::empty(Rect::new(2, 1, 4, 2));
        let style = Style::new();
        for (x, y) in [(0, 1), (2, 0), (2, 3), (6, 1), (u16::MAX, u16::MAX)] {
            assert_eq!(put_text(&mut buffer, x, y, "text", 4, style), x);
        }
        assert_eq!(put_text(&mut buffer, 4, 2, "日本", 4, style), 6);
        let larger = Rect::new(0, 0, 9, 9);
        border(&mut buffer, PanelArea::closed(larger), style, ("╭", "╮"));
        blank(&mut buffer, Rect::new(0, 8, 9, 1), style);
        rule(&mut buffer, Rect::new(8, 0, 1, 9), style);
        paragraph(&mut buffer, larger, "one two three four", style);
        assert_eq!(buffer[(4, 2)].symbol(), "日");
    }

    #[test]
    fn cuts_the_left_text_at_the_right_one() {
        let area = Rect::new(0, 0, 12, 1);
        let mut buffer = Buffer::empty(area);
        let mut pen = RowPen::new(&mut buffer, area);
        pen.right("4/4", Style::new())
            .right_space(1)
            .left("A long title", Style::new());
        let line: String = buffer
            .content()
            .iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        assert_eq!(line, "A long … 4/4");
    }

    #[test]
    fn sanitises_and_counts_wide_characters() {
        let area = Rect::new(0, 0, 20, 1);
        let mut buffer = Buffer::empty(area);
        let mut pen = RowPen::new(&mut buffer, area);
        pen.right("ok", Style::new()).left("日本", Style::new());
        assert_eq!(pen.room(), 14, "wide characters take two columns");
        pen.left("a\u{202e}b", Style::new());
        let room = pen.room();
        pen.left(&"z".repeat(room + 1), Style::new());
        assert_eq!(pen.room(), 0);
        pen.left("more", Style::new()).right("more", Style::new());
        let cell = |x: u16| buffer[(x, 0)].symbol();
        assert_eq!(
            (cell(4), cell(17), cell(18), cell(19)),
            ("a", "…", "o", "k")
        );
        // A bidirectional override must not take effect.
        let sanitised = text::sanitize("a\u{202e}b");
        assert_ne!(sanitised, "ab");
        let shown: String = (4..4 + text::width(&sanitised) as u16).map(cell).collect();
        assert_eq!(shown, sanitised);
    }
}
