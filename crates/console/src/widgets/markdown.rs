//! Markdown documents as lines.
//!
//! [`lines`] splits a document into lines with the tag of their block; the formatter [`Markdown`] formats one line at a
//! time. Paragraphs are joined into one line, so that they wrap at any width. Tables are aligned.

mod blocks;
mod inline;

use super::{
    syntax::Syntax,
    text_view::{Line, LineFormatter, Piece, Row},
};
use crate::theme::Scope;
use flightdeck_core::text;

pub(crate) use blocks::lines;
use inline::inline;

/// Tags of the lines of a document.
pub(crate) mod tag {
    pub(crate) const PARAGRAPH: u16 = 0;
    pub(crate) const CODE: u16 = 1;
    pub(crate) const QUOTE: u16 = 2;
    pub(crate) const TABLE_HEAD: u16 = 3;
    pub(crate) const TABLE: u16 = 4;
    pub(crate) const RULE: u16 = 5;
    pub(crate) const LIST: u16 = 6;
    /// Plus the level, 1 to 6.
    pub(crate) const HEADING: u16 = 10;
    /// Code of a fence with a known language.
    pub(crate) const CODE_YAML: u16 = 30;
    pub(crate) const CODE_JSON: u16 = 31;
    pub(crate) const CODE_SHELL: u16 = 32;

    // The tags below are never part of a parsed document.

    /// Secondary text.
    pub(crate) const MUTED: u16 = 7;
    /// A label and a value, separated by a tab.
    pub(crate) const FIELD: u16 = 8;
    /// The name of a document that follows.
    pub(crate) const DOCUMENT: u16 = 9;
    /// Aligned columns and a text, separated by a tab. Only the text wraps.
    pub(crate) const ROW: u16 = 20;
    /// A [`ROW`] that needs attention.
    pub(crate) const ROW_BAD: u16 = 21;
}

/// Columns of the label of a [`tag::FIELD`].
const LABEL: usize = 14;

/// Returns lines with aligned columns below a head. The last column is a text that wraps.
#[must_use]
pub(crate) fn rows<const N: usize>(
    head: [&str; N],
    rows: &[([String; N], bool)],
) -> Vec<(String, u16)> {
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

/// Formats the lines of [`lines`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Markdown;

impl LineFormatter for Markdown {
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>> {
        let text = line.text;
        let row = match line.tag {
            tag::CODE => code(vec![(text.into(), Scope::MarkdownCode)]),
            tag::CODE_YAML => code(Syntax::Yaml.pieces(text)),
            tag::CODE_JSON => code(Syntax::Json.pieces(text)),
            tag::CODE_SHELL => code(Syntax::Shell.pieces(text)),
            tag::QUOTE => Row::of(vec![
                ("▎ ".into(), Scope::Faint),
                (text.into(), Scope::MarkdownQuote),
            ])
            .hanging(2),
            tag::RULE => Row::new("─".repeat(width), Scope::Faint),
            tag::TABLE_HEAD => {
                let rule = "─".repeat(inline::width(text).min(width));
                return vec![
                    Row::of(with_base(inline(text), Scope::MarkdownStrong)),
                    Row::new(rule, Scope::Faint),
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
                Row::of(with_base(inline(text), scope))
            }
            _ => Row::of(inline(text)),
        };
        vec![row]
    }

    fn is_error(&self, _line: &Line<'_>) -> bool {
        false
    }
}

fn code(mut pieces: Vec<Piece<'_>>) -> Row<'_> {
    pieces.insert(0, ("  ".into(), Scope::Markdown));
    Row::of(pieces).hanging(2)
}

/// Replaces the scope of plain text.
fn with_base(pieces: Vec<Piece<'_>>, scope: Scope) -> Vec<Piece<'_>> {
    let changed = |(text, own)| (text, if own == Scope::Markdown { scope } else { own });
    pieces.into_iter().map(changed).collect()
}

/// Formats an item; its first word is the bullet.
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

    fn tagged<const N: usize>(expected: [(&str, u16); N]) -> Vec<(String, u16)> {
        expected.map(|(text, tag)| (text.to_owned(), tag)).into()
    }

    #[test]
    fn splits_a_document_into_blocks() {
        let source = "# Title\ntext that\ngoes on\n\n\n- one\n  more\n  - [x] two\n1. three\n> said\n```rust\nlet x = \"# no heading\";\n```\n---\nend\n";
        assert_eq!(
            lines(source),
            tagged([
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
            ])
        );
    }

    #[test]
    fn keeps_blank_lines_and_hard_breaks() {
        assert_eq!(
            lines("a  \nb\n\n- c\n\n  d\n\n<!-- e -->\n"),
            tagged([
                ("a", tag::PARAGRAPH),
                ("b", tag::PARAGRAPH),
                ("", tag::PARAGRAPH),
                ("• c", tag::LIST),
                ("", tag::PARAGRAPH),
                ("  d", tag::PARAGRAPH),
                ("", tag::PARAGRAPH),
                ("<!-- e -->", tag::PARAGRAPH),
            ])
        );
    }

    #[test]
    fn aligns_tables_by_displayed_width() {
        assert_eq!(
            lines("| Name | State |\n|---|:--|\n| `a` | ok |\n| longer | **no** |\n"),
            tagged([
                ("Name     State", tag::TABLE_HEAD),
                ("`a`        ok", tag::TABLE),
                ("longer   **no**", tag::TABLE),
            ])
        );
    }

    #[test]
    fn highlights_fenced_code_of_known_languages() {
        let read = lines("```yaml\na: 1\n```\n~~~sh\nls\n~~~\n    indented\n");
        let tags: Vec<u16> = read.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(tags, [tag::CODE_YAML, tag::CODE_SHELL, tag::CODE]);
        let line = Line {
            id: 0,
            text: "a: 1",
            at: None,
            tag: tag::CODE_YAML,
        };
        let row = Markdown.rows(&line, 20).remove(0);
        assert!(row.pieces.contains(&("a".into(), Scope::SyntaxKey)));
    }

    proptest! {
        #[test]
        fn parses_any_text(source in "([#*`|>~\\[\\]()_&;! a-zä\\\\\n-]|1\\. |\r\n){0,200}") {
            for (index, (text, tag)) in lines(&source).iter().enumerate() {
                prop_assert!(!text.contains(['\n', '\r']));
                let line = Line { id: index as u64, text, at: None, tag: *tag };
                let _ = Markdown.rows(&line, 20);
            }
        }
    }
}
