//! How one stored line is read: in which pieces, of which scopes, on how many rows. A lens sees one line at a time, so
//! that only what is on the screen is ever taken apart.

use std::{borrow::Cow, fmt::Debug, sync::LazyLock};

use regex::Regex;

use super::store::Line;
use crate::theme::Scope;

/// A stretch of text of one scope. It need not be sanitised: the view does that.
pub type Piece<'a> = (Cow<'a, str>, Scope);

/// One row before wrapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    pub pieces: Vec<Piece<'a>>,
    /// Columns by which wrapped continuations are indented.
    pub hang: usize,
}

impl<'a> Row<'a> {
    /// A row of one piece.
    pub fn new(text: impl Into<Cow<'a, str>>, scope: Scope) -> Self {
        Self {
            pieces: vec![(text.into(), scope)],
            hang: 0,
        }
    }

    /// A row of several pieces.
    #[must_use]
    pub const fn of(pieces: Vec<Piece<'a>>) -> Self {
        Self { pieces, hang: 0 }
    }

    /// The same with its continuations indented.
    #[must_use]
    pub const fn hanging(mut self, columns: usize) -> Self {
        self.hang = columns;
        self
    }
}

/// How lines are read.
pub trait Lens: Debug + Send + Sync {
    /// The rows of a line; none for a line that this lens leaves out. `width` is what a row may take, for those that
    /// draw rules or columns.
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>>;

    /// What a search looks at: the text of the rows; `None` for a line that this lens leaves out.
    fn plain<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(line.text))
    }

    /// Whether a search looks at these lines as they came, each with a line break behind it: then it can look at all of them
    /// at once. `false` is always right.
    fn is_verbatim(&self, _lines: &str) -> bool {
        false
    }

    /// What stands before the first row of a line, outside horizontal scrolling; of the same width for every line.
    fn gutter(&self, _line: &Line<'_>) -> Option<Piece<'static>> {
        None
    }

    /// Whether "next error" stops here.
    fn is_error(&self, line: &Line<'_>) -> bool {
        looks_like_an_error(line.text)
    }

    /// How much dearer than its bytes a line is to look at; keeps the slices of a search short.
    fn weight(&self) -> usize {
        1
    }
}

/// Whether a line of free text speaks of an error.
#[must_use]
pub fn looks_like_an_error(text: &str) -> bool {
    static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\b(error|fatal|panic(ked)?|failed|failure|exception|traceback|denied|refused)\b",
        )
        .ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(text))
}

/// Text as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Lens for Plain {
    fn is_verbatim(&self, _lines: &str) -> bool {
        true
    }

    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        vec![Row::of(ansi(line.text, Scope::Text))]
    }
}

/// Takes the colour codes out of `text` and gives each stretch the scope that is nearest in meaning: red is bad news,
/// bold is strong. Every other control sequence stays in the text, to be shown and not obeyed.
#[must_use]
pub fn ansi(text: &str, base: Scope) -> Vec<Piece<'_>> {
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
        scope = selected(&body[..end], scope, base);
        rest = &body[end + 1..];
        from = 0;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push((Cow::Borrowed(rest), scope));
    }
    pieces
}

fn selected(codes: &str, before: Scope, base: Scope) -> Scope {
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
            // A colour out of 256, or any: it takes its numbers along.
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
    fn colour_codes_become_scopes_and_nothing_else_is_obeyed() {
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
    fn errors_are_recognised_by_whole_words() {
        for (text, error) in [
            ("error: no such file", true),
            ("thread panicked at src/main.rs", true),
            ("Permission denied (publickey)", true),
            ("0 errors", false),
            ("terrorise", false),
        ] {
            assert_eq!(looks_like_an_error(text), error, "{text}");
        }
    }
}
