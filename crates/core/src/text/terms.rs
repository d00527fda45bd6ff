//! What is typed to narrow a list down: words that all must match, `!word` that must not, `column:word` for one column, `a,b` for either.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};

/// A column that a term can name before a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub matching: Matching,
}

/// How a term of a column is held against its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Some part of the text is the word.
    Part,
    /// The text is the word, or the word followed by a dot: `3` matches `3` and `3.1`, not `13`.
    Whole,
    /// As a part, but words without a column do not look at it.
    Apart,
}

/// One word that was typed.
struct Term {
    column: Option<Column>,
    inverted: bool,
    /// One of them must match; one where there is no column.
    words: Vec<Word>,
}

enum Word {
    Pattern(Pattern),
    Whole(String),
}

/// What was typed, ready to be asked about many lines.
pub struct Terms {
    all: Vec<Term>,
    /// Columns that words without a column do not look at.
    apart: Vec<&'static str>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl Terms {
    /// Understands what was typed; a word before a colon that is no column is part of the word.
    #[must_use]
    pub fn parse(typed: &str, columns: &[Column]) -> Self {
        let terms = typed
            .split_whitespace()
            .filter_map(|word| Term::parse(word, columns));
        Self {
            all: terms.collect(),
            apart: columns
                .iter()
                .filter(|column| column.matching == Matching::Apart)
                .map(|column| column.name)
                .collect(),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    /// Whether everything is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a line stays, given its columns by name. A word without a column looks at all of them together, but for those apart.
    pub fn keeps(&mut self, columns: &[(&str, &str)]) -> bool {
        if self.all.is_empty() {
            return true;
        }
        let joined = columns
            .iter()
            .filter(|(name, _)| !self.apart.contains(name))
            .map(|(_, text)| *text)
            .collect::<Vec<_>>()
            .join(" ");
        let (matcher, buffer) = (&mut self.matcher, &mut self.buffer);
        self.all.iter().all(|term| {
            let text = match term.column {
                Some(Column { name, .. }) => columns
                    .iter()
                    .find(|(column, _)| *column == name)
                    .map_or("", |(_, text)| *text),
                None => &joined,
            };
            let fits = |word: &Word| match word {
                Word::Pattern(pattern) => {
                    let text = Utf32Str::new(text, buffer);
                    pattern.score(text, matcher).is_some()
                }
                Word::Whole(word) => text
                    .strip_prefix(word.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            };
            term.words.iter().any(fits) != term.inverted
        })
    }
}

impl Term {
    /// `None` for what is half typed: it says nothing yet.
    fn parse(typed: &str, columns: &[Column]) -> Option<Self> {
        let (inverted, typed) = match typed.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, typed),
        };
        let named = typed.split_once(':').and_then(|(name, rest)| {
            let column = columns.iter().find(|column| column.name == name)?;
            Some((*column, rest))
        });
        let (column, typed) = named.map_or((None, typed), |(column, rest)| (Some(column), rest));
        let pattern = |word: &str, kind| {
            Word::Pattern(Pattern::new(
                word,
                CaseMatching::Smart,
                Normalization::Smart,
                kind,
            ))
        };
        let words: Vec<Word> = match column {
            Some(column) => {
                let words = typed.split(',').filter(|word| !word.is_empty());
                let word = |word: &str| match column.matching {
                    Matching::Part | Matching::Apart => pattern(word, AtomKind::Substring),
                    Matching::Whole => Word::Whole(word.to_owned()),
                };
                words.map(word).collect()
            }
            None if typed.is_empty() => Vec::new(),
            None if inverted => vec![pattern(typed, AtomKind::Substring)],
            None => vec![pattern(typed, AtomKind::Fuzzy)],
        };
        (!words.is_empty()).then_some(Self {
            column,
            inverted,
            words,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_columns_and_their_opposites() {
        let known = [
            ("phase", Matching::Part),
            ("name", Matching::Part),
            ("id", Matching::Whole),
            ("ready", Matching::Apart),
        ]
        .map(|(name, matching)| Column { name, matching });
        let columns = [
            ("phase", "Failed"),
            ("name", "docs-checkout-7f3a"),
            ("id", "3.1"),
            ("ready", "yes"),
        ];
        for (typed, keeps) in [
            ("", true),
            ("chkout", true),
            ("chkout zzz", false),
            ("!checkout", false),
            ("!", true),
            ("phase:failed", true),
            ("phase:run", false),
            ("phase:run,fail", true),
            ("!phase:run,fail", false),
            ("!phase:run", true),
            ("phase:", true),
            ("phase:,", true),
            ("other:x", false),
            ("phase:failed !name:api", true),
            ("id:3", true),
            ("id:3.1", true),
            ("id:1", false),
            ("id:1,3", true),
            ("id:3.", false),
            ("ready:yes", true),
            ("ready:no", false),
            ("yes", false),
        ] {
            assert_eq!(
                Terms::parse(typed, &known).keeps(&columns),
                keeps,
                "{typed}"
            );
        }
    }
}
