//! Patterns typed in a search or a filter.

use regex::{Regex, RegexBuilder};

/// Size limit of a compiled pattern in bytes.
const PATTERN_LIMIT: usize = 1 << 20;

/// A typed pattern: a regular expression that ignores case unless it has an upper-case letter. An invalid expression
/// matches literally.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// Matches a text of many lines if a line of it matches; may match otherwise. `None` if there is no such expression.
    multi_line: Option<Regex>,
    literal: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Returns `None` for an empty text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let builder = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            builder
                .case_insensitive(!text.chars().any(char::is_uppercase))
                .size_limit(PATTERN_LIMIT);
            builder
        };
        let build = |pattern: &str| builder(pattern).build();
        if text.is_empty() {
            return None;
        }
        let (regex, literal) = match build(text) {
            Ok(regex) => (regex, false),
            Err(_) => (build(&regex::escape(text)).ok()?, true),
        };
        // These can change what anchors match, so that lines cannot be searched together.
        let multi_line = builder(regex.as_str()).multi_line(true).build().ok();
        let plain = literal || !["(?", "\\A", "\\z"].iter().any(|sign| text.contains(sign));
        Some(Self {
            text: text.to_owned(),
            regex,
            multi_line: multi_line.filter(|_| plain),
            literal,
        })
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the text is not a valid expression and matches literally.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether `text` contains a match.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Whether no line of a multi-line text matches. `false` if unknown.
    pub(super) fn matches_nothing_in(&self, lines: &str) -> bool {
        let multi_line = self.multi_line.as_ref();
        multi_line.is_some_and(|regex| !regex.is_match(lines))
    }

    /// Returns the byte ranges of the non-empty matches in `text`.
    pub fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        self.regex
            .find_iter(text)
            .map(|found| found.range())
            .filter(|range| !range.is_empty())
    }
}

/// Parses a filter: terms joined by ` & `, negated by a leading `!`.
#[must_use]
pub(super) fn terms(text: &str) -> Vec<(bool, Pattern)> {
    let term = |part: &str| {
        let part = part.trim();
        let (not, pattern) = part
            .strip_prefix('!')
            .map_or((false, part), |rest| (true, rest));
        Some((not, Pattern::new(pattern)?))
    };
    text.split(" & ").filter_map(term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_case_makes_a_pattern_case_sensitive() {
        for (pattern, text, found) in [
            ("error", "an ERROR", true),
            ("Error", "an error", false),
            ("Error", "an Error", true),
            ("e.r", "eXr", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(text),
                found,
                "{pattern} in {text}"
            );
        }
    }

    #[test]
    fn invalid_expressions_match_literally() {
        for pattern in ["(", "[a", "a{2", "*", "\\", "(?P<"] {
            assert!(
                Pattern::new(pattern)
                    .unwrap()
                    .matches(&format!("x{pattern}y")),
                "{pattern}"
            );
        }
        assert_eq!(Pattern::new(""), None);
    }
}
