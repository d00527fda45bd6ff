//! Status of a text view, as numbers and as words for the title of its panel.

use super::{Pattern, TextView};
use flightdeck_core::text;

/// Status of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewStatus {
    pub following: bool,
    /// Lines that pass the filter, and all lines.
    pub filtered: Option<(usize, usize)>,
    /// The current match (from 1; 0 for none), the number of matches, and whether all lines have been scanned.
    pub matched: Option<(usize, usize, bool)>,
    /// Dropped lines.
    pub dropped: u64,
    pub marks: usize,
}

impl TextView {
    #[must_use]
    pub fn status(&self) -> ViewStatus {
        let all = (self.store.next() - self.store.first()) as usize;
        let matched = self.search.as_ref().map(|scan| {
            let at = self
                .current
                .filter(|line| scan.has(*line))
                .map_or(0, |line| scan.rank(line) + 1);
            (at, scan.count(), scan.done(&self.store))
        });
        ViewStatus {
            following: self.follow,
            filtered: self.filter.as_ref().map(|scan| (scan.count(), all)),
            matched,
            dropped: self.store.first(),
            marks: self.marks.len(),
        }
    }

    /// Whether the filter rejects all lines.
    #[must_use]
    pub fn filters_out_all(&self) -> bool {
        let none = |scan: &super::Scan| scan.count() == 0 && scan.done(&self.store);
        !self.is_empty() && self.filter.as_ref().is_some_and(none)
    }

    /// Returns the status in words: `following`, `3/12`, `match 2/7`, `1 mark`. May be empty.
    #[must_use]
    pub fn status_text(&self) -> String {
        let status = self.status();
        let mut words = Vec::new();
        // An unclosed bracket while typing is not an error.
        if self.pattern().is_some_and(Pattern::is_literal) {
            words.push("matching literally".to_owned());
        }
        if let Some((at, count, done)) = status.matched {
            let more = if done { "" } else { "+" };
            words.push(match (at, count) {
                (0, 0) if done => "no match".to_owned(),
                (0, count) => format!(
                    "{}{more}",
                    text::count(count, "match").replace("matchs", "matches")
                ),
                (at, count) => format!("match {at}/{count}{more}"),
            });
        }
        if let Some((shown, all)) = status.filtered {
            words.push(format!("{shown}/{all}"));
        }
        if let Some(since) = self.since {
            words.push(format!("last {}", text::age(since)));
        }
        // The marks may be off screen.
        if status.marks > 0 {
            words.push(text::count(status.marks, "mark"));
        }
        if status.following {
            words.push("following".into());
        } else if self.live {
            words.push("paused".into());
        }
        words.join(" · ")
    }
}
