//! How a text view stands, in numbers and in the few words of its panel's border.

use super::{Pattern, TextView};

/// How the view stands, for the border of its panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub following: bool,
    /// Lines that pass the filter, of all.
    pub filtered: Option<(usize, usize)>,
    /// Which match the view stands on (from 1), of how many, and whether all lines have been looked at.
    pub matched: Option<(usize, usize, bool)>,
    /// Lines that fell out of memory.
    pub fallen: u64,
    pub marks: usize,
}

impl TextView {
    /// How the view stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let all = (self.store.next() - self.store.first()) as usize;
        let matched = self.search.as_ref().map(|scan| {
            let at = self
                .current
                .filter(|line| scan.has(*line))
                .map_or(0, |line| scan.rank(line) + 1);
            (at, scan.count(), scan.done(&self.store))
        });
        Standing {
            following: self.follow,
            filtered: self.filter.as_ref().map(|scan| (scan.count(), all)),
            matched,
            fallen: self.store.first(),
            marks: self.marks.len(),
        }
    }

    /// Whether there are lines, and the filter leaves out every one of them.
    #[must_use]
    pub fn passes_nothing(&self) -> bool {
        let nothing = |scan: &super::Scan| scan.count() == 0 && scan.done(&self.store);
        !self.is_empty() && self.filter.as_ref().is_some_and(nothing)
    }

    /// The standing in a few words: `following`, `filtered 3/12`, `match 2/7`, `1 mark`. Empty when there is nothing to say.
    #[must_use]
    pub fn state(&self) -> String {
        let standing = self.standing();
        let mut words = Vec::new();
        // Half typed, a bracket is not wrong: it is said, quietly, that it is taken as it stands.
        if self.pattern().is_some_and(Pattern::is_literal) {
            words.push("as typed".to_owned());
        }
        if let Some((at, count, done)) = standing.matched {
            let more = if done { "" } else { "+" };
            words.push(match (at, count) {
                (0, 0) if done => "no match".to_owned(),
                (0, count) => format!(
                    "{}{more}",
                    flightdeck_core::text::count(count, "match").replace("matchs", "matches")
                ),
                (at, count) => format!("match {at}/{count}{more}"),
            });
        }
        if let Some((shown, all)) = standing.filtered {
            words.push(format!("filtered {shown}/{all}"));
        }
        if let Some(since) = self.since {
            words.push(format!("last {}", flightdeck_core::text::age(since)));
        }
        // A rule may be below what is on the screen.
        if standing.marks > 0 {
            words.push(flightdeck_core::text::count(standing.marks, "mark"));
        }
        if standing.following {
            words.push("following".into());
        } else if self.live {
            words.push("paused".into());
        }
        words.join(" · ")
    }
}
