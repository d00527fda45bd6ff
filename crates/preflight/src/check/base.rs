//! `base`: the branch that is cloned and is the base of the pull request.

use super::{Check, Facts, Verdict};
use crate::Fix;

pub(super) struct Base;

impl Check for Base {
    fn id(&self) -> &'static str {
        "base"
    }

    fn title(&self) -> &'static str {
        "PR base"
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
            Verdict::warn(format!("{branch} is the default branch of {}", remote.name)).because(
                "The run's pull request would target it. The fix creates a branch for the plan and switches to it.",
            )
            .fixed_by(facts.repository()?.commit().map(|_| Fix::Switch))
        } else {
            Verdict::pass(branch)
        })
    }
}
