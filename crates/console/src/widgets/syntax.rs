//! Syntax highlighting of YAML, JSON, shell and Markdown source, a line at a time. The text is not changed.

use super::text_view::{Line, LineFormatter, Piece, Row};
use crate::theme::Scope;

/// Language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Syntax {
    #[default]
    Plain,
    Yaml,
    Json,
    Shell,
    /// Markdown source.
    Markdown,
}

/// Tag of a line inside a block scalar or a code fence.
const INSIDE: u16 = 1;

impl Syntax {
    /// Returns the language of a file, by its name.
    #[must_use]
    pub(crate) fn of_file(name: &str) -> Self {
        Self::of_extension(
            name.rsplit_once('.')
                .map_or(name, |(_, extension)| extension),
        )
    }

    /// Returns the language of a file extension or a code fence.
    #[must_use]
    pub(crate) fn of_extension(extension: &str) -> Self {
        match extension {
            "yaml" | "yml" => Self::Yaml,
            "json" | "jsonl" => Self::Json,
            "sh" | "bash" | "shell" => Self::Shell,
            "md" => Self::Markdown,
            _ => Self::Plain,
        }
    }

    /// Returns the lines of a text, for a view with this formatter.
    #[must_use]
    pub(crate) fn lines(self, text: &str) -> Vec<(String, u16)> {
        // YAML: indentation of the key of a block scalar. Markdown: inside a fence.
        let mut block: Option<usize> = None;
        let mut out = Vec::new();
        for line in text.lines() {
            let trimmed = line.trim_start();
            let indent = line.len() - trimmed.len();
            let mut tag = 0;
            match (self, block) {
                (Self::Yaml, Some(own)) if trimmed.is_empty() || indent > own => tag = INSIDE,
                (Self::Yaml, _) => {
                    let opens = trimmed.rsplit(' ').next().is_some_and(|word| {
                        let rest = word.trim_start_matches(['|', '>']);
                        rest.len() < word.len()
                            && word.len() <= 3
                            && rest.chars().all(|c| matches!(c, '+' | '-' | '0'..='9'))
                    });
                    block = opens.then_some(indent);
                }
                (Self::Markdown, inside) => {
                    let fence = trimmed.starts_with("```");
                    tag = if fence || inside.is_some() { INSIDE } else { 0 };
                    if fence {
                        block = if inside.is_some() { None } else { Some(indent) };
                    }
                }
                _ => {}
            }
            out.push((line.to_owned(), tag));
        }
        out
    }
}

impl Syntax {
    /// Returns the highlighted pieces of a line.
    #[must_use]
    pub(crate) fn pieces(self, text: &str) -> Vec<Piece<'_>> {
        match self {
            Self::Plain => vec![(text.into(), Scope::Text)],
            Self::Yaml => yaml(text),
            Self::Json => json(text),
            Self::Shell => shell(text),
            Self::Markdown => markdown(text),
        }
    }
}

impl LineFormatter for Syntax {
    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        let text = line.text;
        let pieces = match self {
            Self::Markdown if line.tag == INSIDE => vec![(text.into(), Scope::MarkdownCode)],
            _ if line.tag == INSIDE => vec![(text.into(), Scope::SyntaxString)],
            _ => self.pieces(text),
        };
        let indent = text.len() - text.trim_start().len();
        vec![Row::of(pieces).hanging(indent)]
    }

    fn is_error(&self, _line: &Line<'_>) -> bool {
        false
    }
}

fn yaml(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let indent = rest.len() - trimmed.len();
        let dash = if trimmed.starts_with("- ") {
            2
        } else {
            usize::from(trimmed == "-")
        };
        if indent + dash == 0 {
            break;
        }
        pieces.push((rest[..indent + dash].into(), Scope::SyntaxPunctuation));
        rest = &rest[indent + dash..];
    }
    if rest.starts_with('#') {
        pieces.push((rest.into(), Scope::SyntaxComment));
        return pieces;
    }
    let quoted = rest.starts_with(['"', '\'']);
    let colon = rest
        .find(": ")
        .or_else(|| rest.ends_with(':').then(|| rest.len() - 1));
    if let Some(colon) = colon.filter(|_| !quoted) {
        pieces.push((rest[..colon].into(), Scope::SyntaxKey));
        let value = rest[colon + 1..].trim_start();
        let end = rest.len() - value.len();
        pieces.push((rest[colon..end].into(), Scope::SyntaxPunctuation));
        rest = value;
    }
    if !rest.is_empty() {
        pieces.push((rest.into(), value_scope(rest)));
    }
    pieces
}

fn value_scope(value: &str) -> Scope {
    match value {
        "true" | "false" | "null" | "~" => Scope::SyntaxConstant,
        "{}" | "[]" | "|" | ">" | "|-" | ">-" | "|+" => Scope::SyntaxPunctuation,
        _ if value.parse::<f64>().is_ok() => Scope::SyntaxNumber,
        _ => Scope::SyntaxString,
    }
}

fn json(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, scope) = match first {
            '"' => {
                let length = string_end(rest);
                let key = rest[length..].trim_start().starts_with(':');
                (
                    length,
                    if key {
                        Scope::SyntaxKey
                    } else {
                        Scope::SyntaxString
                    },
                )
            }
            '{' | '}' | '[' | ']' | ',' | ':' | ' ' | '\t' => {
                let other = rest
                    .find(|c: char| !matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | ' ' | '\t'));
                (other.unwrap_or(rest.len()), Scope::SyntaxPunctuation)
            }
            _ => {
                let end = rest.find(['{', '}', '[', ']', ',', ':', ' ', '"']);
                let length = end.unwrap_or(rest.len());
                (length, value_scope(&rest[..length]))
            }
        };
        pieces.push((rest[..length].into(), scope));
        rest = &rest[length..];
    }
    pieces
}

/// Returns the length of the string at the start of `text`, with its quotes.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn shell(text: &str) -> Vec<Piece<'_>> {
    if text.trim_start().starts_with('#') {
        return vec![(text.into(), Scope::SyntaxComment)];
    }
    // Only strings and variables are highlighted.
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let (length, scope) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let end = rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
                (end, Scope::SyntaxNumber)
            }
            Some('$') => {
                let end =
                    rest[1..].find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '{' | '}'));
                (end.map_or(rest.len(), |end| end + 1), Scope::SyntaxConstant)
            }
            other => {
                at += other.map_or(1, char::len_utf8);
                continue;
            }
        };
        if plain < at {
            pieces.push((text[plain..at].into(), Scope::Syntax));
        }
        pieces.push((rest[..length].into(), scope));
        at += length;
        plain = at;
    }
    if plain < text.len() {
        pieces.push((text[plain..].into(), Scope::Syntax));
    }
    pieces
}

fn markdown(text: &str) -> Vec<Piece<'_>> {
    let trimmed = text.trim_start();
    if trimmed.starts_with('#') {
        return vec![(text.into(), Scope::MarkdownHeading)];
    }
    if trimmed.starts_with('>') {
        return vec![(text.into(), Scope::MarkdownQuote)];
    }
    let sign = text.len() - trimmed.len() + 2;
    if ["- ", "* ", "+ "]
        .iter()
        .any(|mark| trimmed.starts_with(mark))
    {
        return vec![
            (text[..sign].into(), Scope::MarkdownBullet),
            (text[sign..].into(), Scope::Markdown),
        ];
    }
    vec![(text.into(), Scope::Markdown)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(syntax: Syntax, text: &str) -> Vec<(String, Scope)> {
        let lines = syntax.lines(text);
        let rows = lines.iter().enumerate().flat_map(|(index, (text, tag))| {
            syntax.rows(
                &Line {
                    id: index as u64,
                    text,
                    at: None,
                    tag: *tag,
                },
                80,
            )
        });
        rows.flat_map(|row| row.pieces)
            .map(|(text, scope)| (text.into_owned(), scope))
            .collect()
    }

    #[test]
    fn highlights_yaml() {
        let found = read(
            Syntax::Yaml,
            "metadata:\n  - name: a b\n    count: 3\n    on: true\n# why\ntext: |\n  key: not one\nnext: x",
        );
        for (text, scope) in [
            ("metadata", Scope::SyntaxKey),
            ("a b", Scope::SyntaxString),
            ("3", Scope::SyntaxNumber),
            ("true", Scope::SyntaxConstant),
            ("# why", Scope::SyntaxComment),
            ("  key: not one", Scope::SyntaxString),
            ("next", Scope::SyntaxKey),
        ] {
            assert!(
                found.contains(&(text.to_owned(), scope)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn highlights_json_keys_and_values() {
        let found = read(Syntax::Json, r#"  "a\"b": ["c", 1.5, null, true],"#);
        for (text, scope) in [
            (r#""a\"b""#, Scope::SyntaxKey),
            (r#""c""#, Scope::SyntaxString),
            ("1.5", Scope::SyntaxNumber),
            ("null", Scope::SyntaxConstant),
        ] {
            assert!(
                found.contains(&(text.to_owned(), scope)),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn detects_the_language_by_name() {
        for (name, syntax) in [
            ("prompt.md", Syntax::Markdown),
            ("mcp.json", Syntax::Json),
            ("agent.sh", Syntax::Shell),
            ("pr-title", Syntax::Plain),
        ] {
            assert_eq!(Syntax::of_file(name), syntax);
        }
    }

    proptest! {
        #[test]
        fn highlighting_keeps_the_text(text in "([-#:\"'$|>{}\\[\\], \\\\ a-zä0-9]|\n){0,120}") {
            for syntax in [Syntax::Plain, Syntax::Yaml, Syntax::Json, Syntax::Shell, Syntax::Markdown] {
                for (index, (line, tag)) in syntax.lines(&text).iter().enumerate() {
                    let line = Line { id: index as u64, text: line, at: None, tag: *tag };
                    let drawn: String = syntax.rows(&line, 80).into_iter().flat_map(|row| row.pieces).map(|(text, _)| text).collect();
                    prop_assert_eq!(&drawn, line.text);
                }
            }
        }
    }
}
