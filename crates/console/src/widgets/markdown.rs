//! Documents: the Markdown that tasks, prompts and agents are written in, as calm text.
//!
//! A document is taken apart once into lines that each know what they are ([`lines`]); the formatter [`Markdown`] draws one
//! of them at a time. Paragraphs are joined, so that they wrap at whatever width there is; tables are aligned.

use super::text_view::{Line, LineFormatter, Piece, Row};
use crate::theme::Scope;
use flightdeck_core::text;

/// What a line of a document is.
pub mod tag {
    pub const PARAGRAPH: u16 = 0;
    /// Plus the level, 1 to 6.
    pub const HEADING: u16 = 10;
    pub const CODE: u16 = 1;
    pub const QUOTE: u16 = 2;
    pub const TABLE_HEAD: u16 = 3;
    pub const TABLE: u16 = 4;
    pub const RULE: u16 = 5;
    pub const LIST: u16 = 6;
    /// Text that is only secondary; never made from a document.
    pub const MUTED: u16 = 7;
    /// A label and a value, parted by a tab; never made from a document.
    pub const FIELD: u16 = 8;
    /// Aligned columns and a sentence, parted by a tab: only the sentence wraps; never made from a document.
    pub const ROW: u16 = 20;
    /// The same, of something that should be looked at.
    pub const ROW_BAD: u16 = 21;
    /// Where another document begins, by its name; never made from a document.
    pub const DOCUMENT: u16 = 9;
}

/// Columns that the label of a [`tag::FIELD`] takes.
const LABEL: usize = 14;

/// The lines of a document with what each is.
#[must_use]
pub fn lines(source: &str) -> Vec<(String, u16)> {
    let mut out: Vec<(String, u16)> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut table: Vec<Vec<String>> = Vec::new();
    // Whether the line before can be gone on with.
    let mut open = false;
    for line in source.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let row = (fence.is_none() && trimmed.starts_with('|')).then(|| cells(trimmed));
        if row.is_none() {
            flush(&mut table, &mut out);
        }
        if let Some(mark) = fence {
            if trimmed.starts_with(mark) {
                fence = None;
            } else {
                out.push((line.to_owned(), tag::CODE));
            }
            continue;
        }
        let was_open = std::mem::take(&mut open);
        if let Some(row) = row {
            table.push(row);
        } else if let Some(mark) = ["```", "~~~"]
            .into_iter()
            .find(|mark| trimmed.starts_with(mark))
        {
            fence = Some(mark);
        } else if trimmed.is_empty() {
            if out.last().is_some_and(|(text, _)| !text.is_empty()) {
                out.push((String::new(), tag::PARAGRAPH));
            }
        } else if let Some((level, title)) = heading(trimmed) {
            if out.last().is_some_and(|(text, _)| !text.is_empty()) {
                out.push((String::new(), tag::PARAGRAPH));
            }
            out.push((title.to_owned(), tag::HEADING + level));
        } else if is_rule(trimmed) {
            out.push((trimmed.to_owned(), tag::RULE));
        } else if let Some(quoted) = trimmed.strip_prefix('>') {
            out.push((quoted.trim_start().to_owned(), tag::QUOTE));
        } else if let Some(item) = item(trimmed) {
            out.push((format!("{}{item}", " ".repeat(indent.min(12))), tag::LIST));
            open = true;
        } else if was_open && let Some((text, _)) = out.last_mut() {
            text.push(' ');
            text.push_str(trimmed);
            open = true;
        } else if indent >= 4 {
            out.push((line[4..].to_owned(), tag::CODE));
        } else {
            out.push((trimmed.to_owned(), tag::PARAGRAPH));
            open = true;
        }
        // Two blanks or a backslash at the end break the line.
        open &= !line.ends_with("  ") && !line.ends_with('\\');
    }
    flush(&mut table, &mut out);
    while out.last().is_some_and(|(text, _)| text.is_empty()) {
        out.pop();
    }
    out
}

fn heading(line: &str) -> Option<(u16, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let title = line.get(level..)?;
    ((1..=6).contains(&level) && title.starts_with(' '))
        .then(|| (level as u16, title.trim().trim_end_matches('#').trim_end()))
}

fn is_rule(line: &str) -> bool {
    ['-', '*', '_'].into_iter().any(|mark| {
        line.chars().all(|c| c == mark || c == ' ')
            && line.chars().filter(|c| *c == mark).count() >= 3
    })
}

/// The item of a list with its sign: a bullet, a box, a number.
fn item(line: &str) -> Option<String> {
    if let Some(rest) = ["- ", "* ", "+ "]
        .iter()
        .find_map(|mark| line.strip_prefix(mark))
    {
        let boxes = [("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ ")];
        let ticked = boxes
            .iter()
            .find_map(|(typed, sign)| Some(format!("{sign}{}", rest.strip_prefix(typed)?)));
        return Some(ticked.unwrap_or_else(|| format!("• {rest}")));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?;
    ((1..=9).contains(&digits) && (rest.starts_with(". ") || rest.starts_with(") ")))
        .then(|| line.to_owned())
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

/// Rows of columns, aligned, the last of each a sentence that wraps by itself; the first row is their head.
#[must_use]
pub fn rows<const N: usize>(head: [&str; N], rows: &[([String; N], bool)]) -> Vec<(String, u16)> {
    let mut widths = head.map(text::width);
    for (cells, _) in rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(text::width(cell));
        }
    }
    let line = |cells: [&str; N]| {
        let mut out = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if index + 1 == N {
                out.push('\t');
                out.push_str(cell);
            } else {
                let blanks = width - text::width(cell) + 2;
                out.push_str(cell);
                out.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        out
    };
    let mut out = vec![(line(head).replace('\t', ""), tag::MUTED)];
    out.extend(rows.iter().map(|(cells, bad)| {
        let tag = if *bad { tag::ROW_BAD } else { tag::ROW };
        (line(cells.each_ref().map(String::as_str)), tag)
    }));
    out
}

/// Puts a table down with its columns aligned.
fn flush(table: &mut Vec<Vec<String>>, out: &mut Vec<(String, u16)>) {
    let rows = std::mem::take(table);
    let separates = |row: &Vec<String>| {
        row.iter()
            .all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':' | ' ')))
    };
    let headed = rows.get(1).is_some_and(separates);
    let shown = |cell: &str| {
        inline(cell)
            .iter()
            .map(|(text, _)| text::width(text))
            .sum::<usize>()
    };
    let mut widths: Vec<usize> = Vec::new();
    for row in rows.iter().filter(|row| !separates(row)) {
        for (column, cell) in row.iter().enumerate() {
            if widths.len() == column {
                widths.push(0);
            }
            widths[column] = widths[column].max(shown(cell));
        }
    }
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !separates(row)) {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            let blanks = " ".repeat(width.saturating_sub(shown(cell)));
            format!("{cell}{blanks}")
        });
        let line = padded.collect::<Vec<_>>().join("   ").trim_end().to_owned();
        let tag = if headed && index == 0 {
            tag::TABLE_HEAD
        } else {
            tag::TABLE
        };
        out.push((line, tag));
    }
}

/// The pieces of a line of text: strong, emphasised, code and links, without their signs.
#[must_use]
pub fn inline(text: &str) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let before = text[..at].chars().next_back();
        let Some((piece, length)) = marked(rest, before) else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if plain < at {
            pieces.push((text[plain..at].into(), Scope::Markdown));
        }
        pieces.push(piece);
        at += length;
        plain = at;
    }
    if plain < text.len() || pieces.is_empty() {
        pieces.push((text[plain..].into(), Scope::Markdown));
    }
    pieces
}

/// The marked stretch that `rest` begins with, and how many bytes it takes with its signs.
fn marked(rest: &str, before: Option<char>) -> Option<(Piece<'_>, usize)> {
    for (sign, scope) in [
        ("`", Scope::MarkdownCode),
        ("**", Scope::MarkdownStrong),
        ("__", Scope::MarkdownStrong),
        ("*", Scope::MarkdownEmphasis),
        ("_", Scope::MarkdownEmphasis),
    ] {
        let Some(body) = rest.strip_prefix(sign) else {
            continue;
        };
        // `snake_case_names` and `2 * 3 * 4` are no emphasis.
        let inside_word = sign.starts_with('_') && before.is_some_and(char::is_alphanumeric);
        if inside_word || (sign != "`" && body.starts_with([' ', '*', '_'])) {
            continue;
        }
        let end = body.find(sign)?;
        let closes = sign == "`" || !body[..end].ends_with(' ');
        if end > 0 && closes {
            return Some(((body[..end].into(), scope), end + 2 * sign.len()));
        }
        return None;
    }
    let body = rest.strip_prefix('[')?;
    let (label, target) = body.split_once("](")?;
    let end = target.find(')')?;
    let plain = !label.contains(['[', ']']) && !label.is_empty();
    plain.then(|| ((label.into(), Scope::MarkdownLink), label.len() + end + 4))
}

/// Draws the lines of [`lines`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

impl LineFormatter for Markdown {
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>> {
        let text = line.text;
        let row = match line.tag {
            tag::CODE => Row::of(vec![
                ("  ".into(), Scope::Markdown),
                (text.into(), Scope::MarkdownCode),
            ])
            .hanging(2),
            tag::QUOTE => Row::of(vec![
                ("▎ ".into(), Scope::Faint),
                (text.into(), Scope::MarkdownQuote),
            ])
            .hanging(2),
            tag::RULE => Row::new("─".repeat(width), Scope::Faint),
            tag::TABLE_HEAD => {
                let widest = inline(text)
                    .iter()
                    .map(|(text, _)| text::width(text))
                    .sum::<usize>();
                return vec![
                    Row::of(with(inline(text), Scope::MarkdownStrong)),
                    Row::new("─".repeat(widest.min(width)), Scope::Faint),
                ];
            }
            tag::MUTED => Row::new(text, Scope::Muted),
            tag::DOCUMENT => {
                let name = text::cut_middle(text, width.saturating_sub(4)).into_owned();
                let rule = "─".repeat(width.saturating_sub(text::width(&name) + 4));
                Row::of(vec![
                    ("── ".into(), Scope::Faint),
                    (name.into(), Scope::DiffFile),
                    (format!(" {rule}").into(), Scope::Faint),
                ])
            }
            tag::FIELD => {
                let (label, value) = text.split_once('\t').unwrap_or(("", text));
                let label = format!("{:<LABEL$}", text::sanitize(label));
                let mut pieces = vec![(label.into(), Scope::Muted)];
                pieces.extend(inline(value));
                Row::of(pieces).hanging(LABEL)
            }
            tag::ROW | tag::ROW_BAD => {
                let (columns, sentence) = text.split_once('\t').unwrap_or((text, ""));
                let scope = if line.tag == tag::ROW {
                    Scope::Muted
                } else {
                    Scope::Warn
                };
                let hang = text::width(columns);
                Row::of(vec![
                    (columns.into(), scope),
                    (sentence.into(), Scope::Markdown),
                ])
                .hanging(hang)
            }
            tag::LIST => list_row(text),
            level if level > tag::HEADING && level <= tag::HEADING + 6 => {
                let scope = if level <= tag::HEADING + 2 {
                    Scope::MarkdownHeading
                } else {
                    Scope::MarkdownStrong
                };
                Row::of(with(inline(text), scope))
            }
            _ => Row::of(inline(text)),
        };
        vec![row]
    }

    fn is_error(&self, _line: &Line<'_>) -> bool {
        false
    }
}

/// The same pieces, plain text in another scope.
fn with(pieces: Vec<Piece<'_>>, scope: Scope) -> Vec<Piece<'_>> {
    let changed = |(text, own)| (text, if own == Scope::Markdown { scope } else { own });
    pieces.into_iter().map(changed).collect()
}

fn list_row(text: &str) -> Row<'_> {
    let body = text.trim_start();
    let indent = text.len() - body.len();
    let sign = body.find(' ').map_or(body.len(), |at| at + 1);
    let mut pieces: Vec<Piece<'_>> = vec![(text[..indent + sign].into(), Scope::MarkdownBullet)];
    pieces.extend(inline(&body[sign..]));
    Row::of(pieces).hanging(indent + text::width(&body[..sign]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_told_apart() {
        let source = "# Title\ntext that\ngoes on\n\n\n- one\n  more\n  - [x] two\n1. three\n> said\n```rust\nlet x = \"# no heading\";\n```\n---\nend\n";
        let read = lines(source);
        let expected = [
            ("Title", tag::HEADING + 1),
            ("text that goes on", tag::PARAGRAPH),
            ("", tag::PARAGRAPH),
            ("• one more", tag::LIST),
            ("  ☑ two", tag::LIST),
            ("1. three", tag::LIST),
            ("said", tag::QUOTE),
            ("let x = \"# no heading\";", tag::CODE),
            ("---", tag::RULE),
            ("end", tag::PARAGRAPH),
        ];
        assert_eq!(read, expected.map(|(text, tag)| (text.to_owned(), tag)));
    }

    #[test]
    fn tables_are_aligned_by_what_is_seen() {
        let read = lines("| Name | State |\n|---|:--|\n| `a` | ok |\n| longer | **no** |\n");
        let expected = [
            ("Name     State", tag::TABLE_HEAD),
            ("`a`        ok", tag::TABLE),
            ("longer   **no**", tag::TABLE),
        ];
        assert_eq!(read, expected.map(|(text, tag)| (text.to_owned(), tag)));
    }

    #[test]
    fn signs_within_a_line_become_scopes() {
        let read = |text| {
            inline(text)
                .into_iter()
                .map(|(text, scope)| (text.into_owned(), scope))
                .collect::<Vec<_>>()
        };
        let word = |text: &str, scope| (text.to_owned(), scope);
        assert_eq!(
            read("a **b** `c*d*` [e](http://f) g"),
            [
                word("a ", Scope::Markdown),
                word("b", Scope::MarkdownStrong),
                word(" ", Scope::Markdown),
                word("c*d*", Scope::MarkdownCode),
                word(" ", Scope::Markdown),
                word("e", Scope::MarkdownLink),
                word(" g", Scope::Markdown),
            ]
        );
        for plain in [
            "snake_case_name",
            "2 * 3 * 4",
            "**",
            "[x",
            "a*",
            "`",
            "[](x)",
        ] {
            assert_eq!(read(plain), [word(plain, Scope::Markdown)], "{plain}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_document(source in "([#*`|>\\[\\]()_ a-zä\n-]|1\\. ){0,200}") {
            for (index, (text, tag)) in lines(&source).iter().enumerate() {
                prop_assert!(!text.contains('\n'));
                let line = Line { id: index as u64, text, at: None, tag: *tag };
                let _ = Markdown.rows(&line, 20);
            }
        }
    }
}
