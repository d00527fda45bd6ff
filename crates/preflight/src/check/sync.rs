//! `sync`: how far the branch and its remote branch are apart.

use super::{Check, Facts, Verdict};
use crate::{Fix, There};
use flightdeck_core::text::count;

pub(super) struct Sync;

impl Check for Sync {
    fn id(&self) -> &'static str {
        "sync"
    }

    fn title(&self) -> &'static str {
        "In step"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let place = facts.repository()?.remote.as_ref()?.place();
        let There::Known(known) = facts.there() else {
            return None;
        };
        let as_of = facts.as_of_words();
        Some(match (known.ahead, known.behind) {
            (0, 0) => Verdict::pass(format!("in step with {place}{as_of}")),
            (ahead, 0) => {
                Verdict::warn(format!("{} not on {place}{as_of}", count(ahead, "commit")))
                    .because("A run would not see them.")
                    .fixed_by(Fix::Push)
            }
            (0, behind) => Verdict::warn(format!(
                "{} of {place} not here{as_of}",
                count(behind, "commit")
            ))
            .because("A run sees them and you do not.")
            .fixed_by(Fix::Pull),
            (ahead, behind) => Verdict::warn(format!(
                "{place} and your branch have parted: {} here, {} there{as_of}",
                count(ahead, "commit"),
                count(behind, "commit")
            ))
            .because("A run sees what is there. Merge or rebase by hand (git pull), then push."),
        })
    }
}
