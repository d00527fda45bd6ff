//! Filters of lists as typed text, with completion. `text::FilterExpression` defines their meaning.

use std::collections::BTreeMap;

use super::field::Field;
use flightdeck_core::text::{self, FilterExpression, MatchMode};

/// A filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub field: Field,
    /// The field has the keys.
    pub open: bool,
}

/// A column that a filter can name, for completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterColumn {
    /// The word before the colon.
    pub name: &'static str,
    /// Known values; empty for free text.
    pub values: Vec<String>,
}

impl FilterColumn {
    /// Returns the distinct words by descending frequency.
    #[must_use]
    pub fn by_frequency(words: &[&str]) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
        let mut words: Vec<(&str, usize)> = counts.into_iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words.into_iter().map(|(word, _)| word.to_owned()).collect()
    }
}

impl Filter {
    /// Whether the filter keeps all rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.field.text().trim().is_empty()
    }

    /// Returns completions of the word before the cursor: column names with a colon, or values of the named column.
    #[must_use]
    pub fn completions(&self, columns: &[FilterColumn]) -> Vec<String> {
        let (_, word) = self.word();
        let starts = |whole: &str, typed: &str| {
            whole.len() > typed.len() && whole.starts_with(&typed.to_lowercase())
        };
        match word.split_once(':') {
            Some((name, typed)) => columns
                .iter()
                .filter(|column| column.name == name)
                .flat_map(|column| &column.values)
                .filter(|value| starts(value, typed))
                .cloned()
                .collect(),
            None => columns
                .iter()
                .filter(|column| starts(column.name, word))
                .map(|column| format!("{}:", column.name))
                .collect(),
        }
    }

    /// Inserts the first completion. Returns `false` if there is none.
    pub fn complete(&mut self, columns: &[FilterColumn]) -> bool {
        let Some(whole) = self.completions(columns).into_iter().next() else {
            return false;
        };
        let (before, word) = self.word();
        let stem = word.find(':').map_or("", |colon| &word[..=colon]);
        // A value ends the word; after a column name follows its value.
        let gap = if stem.is_empty() { "" } else { " " };
        let after = self.field.split().1;
        let head = format!("{before}{stem}{whole}{gap}");
        let text = format!("{head}{after}");
        self.field = Field::at(text, head.len());
        true
    }

    /// Returns the text before the word at the cursor, and the word up to the cursor without a leading `!`.
    fn word(&self) -> (&str, &str) {
        let before = self.field.split().0;
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
        let start = start + usize::from(before[start..].starts_with('!'));
        before.split_at(start)
    }

    /// Parses the filter. `columns` are the names that can precede a colon.
    #[must_use]
    pub fn terms(&self, columns: &[&'static str]) -> FilterExpression {
        let part = |name: &&'static str| text::FilterColumn {
            name,
            matching: MatchMode::Substring,
        };
        let columns: Vec<text::FilterColumn> = columns.iter().map(part).collect();
        FilterExpression::parse(self.field.text(), &columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_column_names_and_values() {
        let columns = [
            FilterColumn {
                name: "status",
                values: vec!["pending".into(), "done".into()],
            },
            FilterColumn {
                name: "title",
                values: Vec::new(),
            },
        ];
        for (typed, completions, completed) in [
            ("", &["status:", "title:"][..], "status:"),
            ("st", &["status:"], "status:"),
            ("x !st", &["status:"], "x !status:"),
            ("status:", &["pending", "done"], "status:pending "),
            ("status:D", &["done"], "status:done "),
            ("status:done", &[], "status:done"),
            ("title:", &[], "title:"),
            ("zzz", &[], "zzz"),
        ] {
            let mut filter = Filter {
                field: Field::new(typed),
                open: true,
            };
            assert_eq!(filter.completions(&columns), completions, "{typed}");
            filter.complete(&columns);
            assert_eq!(filter.field.text(), completed, "{typed}");
        }
    }
}
