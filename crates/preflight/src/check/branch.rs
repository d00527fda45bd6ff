//! `branch`: on a branch with a commit, and git in the middle of nothing.

use super::{Check, Facts, Verdict};
use crate::Fix;
use flightdeck_host::repository::Head;

pub(super) struct Branch;

impl Check for Branch {
    fn id(&self) -> &'static str {
        "branch"
    }

    fn title(&self) -> &'static str {
        "Branch"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let repository = facts.repository()?;
        if let Some(operation) = repository.operation {
            let operation = operation.name();
            return Some(Verdict::fail(format!("{operation} is under way")).because(
                "End it or abort it first: a run clones a branch, not what is half done.",
            ));
        }
        Some(match &repository.head {
            Head::Branch { name, .. } => Verdict::pass(name.as_str()),
            Head::Unborn { name } => Verdict::fail(format!("{name} has no commit yet"))
                .because("A run clones a commit. Commit the plan and push it.")
                .fixed_by(repository.plan.path.as_ref().map(|_| Fix::CommitAndPush)),
            Head::Detached { commit } => {
                let short: String = commit.chars().take(8).collect();
                Verdict::fail(format!("HEAD is detached at {short}, on no branch")).because(
                    "A run clones a branch and its pull request goes back to it. Switch to one: git switch BRANCH, or let the fix make one here.",
                )
                .fixed_by(Fix::Switch)
            }
        })
    }
}
