//! `branch`: HEAD is on a branch with a commit, and no merge or rebase is in progress.

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
            return Some(
                Verdict::fail(format!("{operation} is in progress"))
                    .because("Finish or abort it first."),
            );
        }
        Some(match &repository.head {
            Head::Branch { name, .. } => Verdict::pass(name.as_str()),
            Head::Unborn { name } => Verdict::fail(format!("{name} has no commit yet"))
                .because("Runs clone a commit. Commit and push the plan.")
                .fixed_by(repository.plan.path.as_ref().map(|_| Fix::CommitAndPush)),
            Head::Detached { commit } => {
                let short: String = commit.chars().take(8).collect();
                Verdict::fail(format!("HEAD is detached at {short}")).because(
                    "Runs clone a branch, which is also the base of the pull request. Switch to one (git switch BRANCH), or let the fix create one.",
                )
                .fixed_by(Fix::Switch)
            }
        })
    }
}
