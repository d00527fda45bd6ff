//! FilterExpression expressions for lists: all words must match, `!word` negates, `column:word` restricts to a column, `a,b`
//! are alternatives.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};

/// A column that a term can name before the colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterColumn {
    pub name: &'static str,
    pub matching: MatchMode,
}

/// How a term is compared with the text of its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchMode {
    /// The text contains the word.
    Substring,
    /// The text equals the word, or continues with a dot: `3` matches `3` and `3.1`, not `13`.
    Exact,
    /// Like `Substring`, but words without a column ignore this column.
    Explicit,
}

/// One word of the expression.
struct Term {
    column: Option<FilterColumn>,
    inverted: bool,
    /// Alternatives. Exactly one if there is no column.
    words: Vec<Word>,
}

enum Word {
    Pattern(Pattern),
    Exact(String),
}

/// A parsed filter expression, reused for many rows.
pub struct FilterExpression {
    all: Vec<Term>,
    /// Columns that words without a column ignore.
    explicit_only: Vec<&'static str>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl FilterExpression {
    /// Parses an expression. A prefix that is not a column name is part of the word.
    #[must_use]
    pub fn parse(typed: &str, columns: &[FilterColumn]) -> Self {
        let terms = typed
            .split_whitespace()
            .filter_map(|word| Term::parse(word, columns));
        Self {
            all: terms.collect(),
            explicit_only: columns
                .iter()
                .filter(|column| column.matching == MatchMode::Explicit)
                .map(|column| column.name)
                .collect(),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    /// Whether the filter matches every row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a row matches, given its columns by name. A word without a column is matched against all columns
    /// joined.
    pub fn matches(&mut self, columns: &[(&str, &str)]) -> bool {
        if self.all.is_empty() {
            return true;
        }
        let joined = columns
            .iter()
            .filter(|(name, _)| !self.explicit_only.contains(name))
            .map(|(_, text)| *text)
            .collect::<Vec<_>>()
            .join(" ");
        let (matcher, buffer) = (&mut self.matcher, &mut self.buffer);
        self.all.iter().all(|term| {
            let text = match term.column {
                Some(FilterColumn { name, .. }) => columns
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
                Word::Exact(word) => text
                    .strip_prefix(word.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
            };
            term.words.iter().any(fits) != term.inverted
        })
    }
}

impl Term {
    /// Returns `None` for an incomplete term, which has no effect yet.
    fn parse(typed: &str, columns: &[FilterColumn]) -> Option<Self> {
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
                    MatchMode::Substring | MatchMode::Explicit => {
                        pattern(word, AtomKind::Substring)
                    }
                    MatchMode::Exact => Word::Exact(word.to_owned()),
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
    fn matches_words_columns_and_negations() {
        let known = [
            ("phase", MatchMode::Substring),
            ("name", MatchMode::Substring),
            ("id", MatchMode::Exact),
            ("ready", MatchMode::Explicit),
        ]
        .map(|(name, matching)| FilterColumn { name, matching });
        let columns = [
            ("phase", "Failed"),
            ("name", "docs-checkout-7f3a"),
            ("id", "3.1"),
            ("ready", "yes"),
        ];
        for (typed, matches) in [
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
                FilterExpression::parse(typed, &known).matches(&columns),
                matches,
                "{typed}"
            );
        }
    }
}
