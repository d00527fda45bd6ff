//! Filters of lists: words that all must match, `!word` that must not, `column:word` for one column.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};

use super::field::Field;

/// What is typed, and whether it is being typed now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub field: Field,
    pub open: bool,
}

/// One word of a filter.
struct Term {
    column: Option<String>,
    inverted: bool,
    pattern: Pattern,
}

/// A filter ready to be asked.
pub struct Test {
    terms: Vec<Term>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl Filter {
    /// Whether it keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.field.text().trim().is_empty()
    }

    /// Made ready; `columns` are the names before a colon that mean a column.
    #[must_use]
    pub fn test(&self, columns: &[&str]) -> Test {
        let terms = self.field.text().split_whitespace().filter_map(|word| {
            let (inverted, word) = match word.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, word),
            };
            let (column, word) = match word.split_once(':') {
                Some((column, rest)) if columns.contains(&column) => {
                    (Some(column.to_owned()), rest)
                }
                _ => (None, word),
            };
            // Half-typed terms say nothing yet.
            (!word.is_empty()).then(|| Term {
                inverted,
                pattern: Pattern::new(
                    word,
                    CaseMatching::Smart,
                    Normalization::Smart,
                    if column.is_some() || inverted {
                        AtomKind::Substring
                    } else {
                        AtomKind::Fuzzy
                    },
                ),
                column,
            })
        });
        Test {
            terms: terms.collect(),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }
}

impl Test {
    /// Whether a line stays, given its columns by name. A word without a column looks at all of them together.
    pub fn keeps(&mut self, columns: &[(&str, &str)]) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let all = columns
            .iter()
            .map(|(_, text)| *text)
            .collect::<Vec<_>>()
            .join(" ");
        self.terms.iter().all(|term| {
            let text = match &term.column {
                Some(name) => columns
                    .iter()
                    .find(|(column, _)| column == name)
                    .map_or("", |(_, text)| *text),
                None => &all,
            };
            let text = Utf32Str::new(text, &mut self.buffer);
            term.pattern.score(text, &mut self.matcher).is_some() != term.inverted
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_columns_and_their_opposites() {
        let columns = [("phase", "Failed"), ("name", "docs-checkout-7f3a")];
        for (filter, keeps) in [
            ("", true),
            ("chkout", true),
            ("chkout zzz", false),
            ("!checkout", false),
            ("phase:failed", true),
            ("phase:run", false),
            ("!phase:run", true),
            ("phase:", true),
            ("other:x", false),
            ("phase:failed !name:api", true),
        ] {
            let filter_line = Filter {
                field: Field::new(filter),
                open: false,
            };
            let mut test = filter_line.test(&["phase", "name"]);
            assert_eq!(test.keeps(&columns), keeps, "{filter}");
        }
    }
}
