//! Formats a stored line as rows of coloured pieces. A formatter sees one line at a time, so that only visible lines are
//! formatted.

use std::{borrow::Cow, fmt::Debug, sync::LazyLock};

use regex::Regex;

use super::line::Line;
use crate::theme::Scope;

/// Text of one scope. The view sanitises it.
pub(crate) type Piece<'a> = (Cow<'a, str>, Scope);

/// One row before wrapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    pub pieces: Vec<Piece<'a>>,
    /// Indentation of wrapped continuation rows.
    pub hang: usize,
}

impl<'a> Row<'a> {
    /// Returns a row of one piece.
    pub fn new(text: impl Into<Cow<'a, str>>, scope: Scope) -> Self {
        Self {
            pieces: vec![(text.into(), scope)],
            hang: 0,
        }
    }

    /// Returns a row of several pieces.
    #[must_use]
    pub const fn of(pieces: Vec<Piece<'a>>) -> Self {
        Self { pieces, hang: 0 }
    }

    /// Sets the indentation of continuation rows.
    #[must_use]
    pub const fn hanging(mut self, columns: usize) -> Self {
        self.hang = columns;
        self
    }
}

/// Formats lines.
pub trait LineFormatter: Debug + Send + Sync {
    /// Returns the rows of a line; none to omit the line. `width` is the width of a row, for rules and columns.
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>>;

    /// Returns the text that a search looks at; `None` for an omitted line.
    fn search_text<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(line.text))
    }

    /// Whether [`Self::search_text`] returns these newline-terminated lines unchanged, so that a search can look at all of
    /// them at once. `false` is always correct.
    fn is_verbatim(&self, _lines: &str) -> bool {
        false
    }

    /// Returns the text before the first row of a line. It does not scroll, and has the same width for every line.
    fn gutter(&self, _line: &Line<'_>) -> Option<Piece<'static>> {
        None
    }

    /// Whether "next error" stops at the line.
    fn is_error(&self, line: &Line<'_>) -> bool {
        looks_like_error(line.text)
    }

    /// Returns the cost of searching a byte, relative to plain text, to keep slices of a search short.
    fn search_cost(&self) -> usize {
        1
    }
}

/// Whether a line of free text reports an error.
#[must_use]
pub(crate) fn looks_like_error(text: &str) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\b(error|fatal|panic(ked)?|failed|failure|exception|traceback|denied|refused)\b",
        )
        .ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(text))
}

/// Formats lines as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl LineFormatter for Plain {
    fn is_verbatim(&self, _lines: &str) -> bool {
        true
    }

    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        vec![Row::of(ansi(line.text, Scope::Text))]
    }
}

/// Splits `text` at its colour codes and maps each colour to a scope: red to bad, bold to strong. Other control sequences
/// stay in the text, for the view to sanitise.
#[must_use]
pub(crate) fn ansi(text: &str, base: Scope) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut scope = base;
    let mut rest = text;
    let mut from = 0;
    while let Some(found) = rest[from..].find("\u{1b}[") {
        let start = from + found;
        let body = &rest[start + 2..];
        let end = body
            .find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')
            .unwrap_or(body.len());
        if !body[end..].starts_with('m') {
            from = start + 2;
            continue;
        }
        if start > 0 {
            pieces.push((Cow::Borrowed(&rest[..start]), scope));
        }
        scope = scope_after(&body[..end], scope, base);
        rest = &body[end + 1..];
        from = 0;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push((Cow::Borrowed(rest), scope));
    }
    pieces
}

/// Returns the scope after the codes of an SGR sequence.
fn scope_after(codes: &str, before: Scope, base: Scope) -> Scope {
    let mut scope = before;
    let mut codes = codes.split([';', ':']);
    while let Some(code) = codes.next() {
        scope = match code {
            "" | "0" | "39" | "22" => base,
            "1" => Scope::Strong,
            "2" | "90" | "30" => Scope::Muted,
            "31" | "91" => Scope::Bad,
            "32" | "92" => Scope::Good,
            "33" | "93" => Scope::Warn,
            "34" | "94" => Scope::RunRunning,
            "35" | "95" => Scope::LogSource4,
            "36" | "96" => Scope::LogSource1,
            // 256 or true colours: skip their parameters.
            "38" | "48" => {
                match codes.next() {
                    Some("5") => drop(codes.next()),
                    Some("2") => drop(codes.by_ref().nth(2)),
                    _ => {}
                }
                scope
            }
            _ => scope,
        };
    }
    scope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_colour_codes_and_keeps_other_sequences() {
        let read = |text| {
            ansi(text, Scope::Log)
                .into_iter()
                .map(|(text, scope)| (text.into_owned(), scope))
                .collect::<Vec<_>>()
        };
        assert_eq!(read("plain"), [("plain".into(), Scope::Log)]);
        assert_eq!(
            read("\u{1b}[1;31mred\u{1b}[0m and \u{1b}[38;5;208morange"),
            [
                ("red".into(), Scope::Bad),
                (" and ".into(), Scope::Log),
                ("orange".into(), Scope::Log)
            ]
        );
        assert_eq!(read("a\u{1b}[2Jb"), [("a\u{1b}[2Jb".into(), Scope::Log)]);
        assert_eq!(read("cut \u{1b}[3"), [("cut \u{1b}[3".into(), Scope::Log)]);
        assert_eq!(read(""), [(String::new(), Scope::Log)]);
    }

    #[test]
    fn recognises_errors_by_whole_words() {
        for (text, error) in [
            ("error: no such file", true),
            ("thread panicked at src/main.rs", true),
            ("Permission denied (publickey)", true),
            ("0 errors", false),
            ("terrorise", false),
        ] {
            assert_eq!(looks_like_error(text), error, "{text}");
        }
    }
}
