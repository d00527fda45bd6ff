//! `sync`: commits the branch and its remote branch do not share.

use super::{Check, Facts, Verdict};
use crate::{Fix, RemoteBranch};
use flightdeck_core::text::count;

pub(super) struct Sync;

impl Check for Sync {
    fn id(&self) -> &'static str {
        "sync"
    }

    fn title(&self) -> &'static str {
        "Branch in sync"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let place = facts.repository()?.remote.as_ref()?.place();
        let RemoteBranch::Known(known) = facts.remote_branch() else {
            return None;
        };
        let as_of = facts.as_of_words();
        Some(match (known.ahead, known.behind) {
            (0, 0) => Verdict::pass(format!("up to date with {place}{as_of}")),
            (ahead, 0) => Verdict::warn(format!(
                "{} ahead of {place}{as_of}",
                count(ahead, "commit")
            ))
            .because("Runs clone from the remote and won't include them.")
            .fixed_by(Fix::Push),
            (0, behind) => {
                Verdict::warn(format!("{} behind {place}{as_of}", count(behind, "commit")))
                    .because("Runs clone from the remote and will include them.")
                    .fixed_by(Fix::Pull)
            }
            (ahead, behind) => Verdict::warn(format!(
                "diverged from {place}: {} ahead, {} behind{as_of}",
                count(ahead, "commit"),
                count(behind, "commit")
            ))
            .because("Runs clone from the remote. Merge or rebase (git pull), then push."),
        })
    }
}
