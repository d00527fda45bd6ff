//! `base`: which branch is cloned, and gets the pull request.

use super::{Check, Facts, Verdict};
use crate::Fix;

pub(super) struct Base;

impl Check for Base {
    fn id(&self) -> &'static str {
        "base"
    }

    fn title(&self) -> &'static str {
        "Pull request goes to"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let remote = facts.repository()?.remote.as_ref()?;
        let branch = remote.branch.as_deref()?;
        let asked = match &facts.remote {
            Some(Ok(answer)) => answer.default_branch.as_deref(),
            _ => None,
        };
        let default = asked.or(remote.default_branch.as_deref());
        Some(if default == Some(branch) {
            Verdict::warn(format!("{branch}, the default branch of {}", remote.name)).because(
                "The run's pull request would go straight to it. To keep it apart, the fix makes a branch for the plan and switches to it.",
            )
            .fixed_by(facts.repository()?.commit().map(|_| Fix::Switch))
        } else {
            Verdict::pass(branch)
        })
    }
}
