//! `tasks-pushed`: the plan at the head of the remote branch has the object ID of the plan on disk. The most important check.

use super::{Check, Facts, Verdict};
use crate::{Fix, RemoteBranch};
use flightdeck_core::tasks;

pub(super) struct TasksPushed;

const WHY: &str =
    "Runs clone the remote branch, so the agent would use that plan instead of yours.";

impl Check for TasksPushed {
    fn id(&self) -> &'static str {
        "tasks-pushed"
    }

    fn title(&self) -> &'static str {
        "Plan on the remote"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let repository = facts.repository()?;
        let plan = &repository.plan;
        let disk = plan.disk_blob.as_ref()?;
        let path = plan.relative.as_deref()?;
        if plan.ignored {
            return None;
        }
        let place = repository.remote.as_ref()?.place();
        let committed = plan.head_blob.as_ref() == Some(disk);
        let known = match facts.remote_branch() {
            RemoteBranch::Unknown => return None,
            RemoteBranch::Absent => {
                let fix = if committed {
                    Fix::Push
                } else {
                    Fix::CommitAndPush
                };
                return Some(
                    Verdict::fail(format!(
                        "{place} does not exist yet, so a run would not find {path}"
                    ))
                    .because(WHY)
                    .fixed_by(fix),
                );
            }
            // The next query of the remote fetches the missing objects.
            RemoteBranch::Known(known) if known.unread => return None,
            RemoteBranch::Known(known) => known,
        };
        if known.plan_blob.as_ref() == Some(disk) {
            return Some(Verdict::pass(format!(
                "the plan on {place} matches yours{}",
                facts.as_of_words()
            )));
        }

        let message = format!(
            "{}{}",
            difference(facts, &place, path, known.plan_blob.is_some()),
            facts.as_of_words()
        );
        let (fix, advice) = match (committed, known.ahead > 0, known.behind > 0) {
            (false, _, false) => (Some(Fix::CommitAndPush), "Commit and push your plan."),
            // The remote plan is the one the edit started from, so a fast-forward keeps the edit.
            (false, false, true) if known.plan_blob == plan.head_blob => (
                Some(Fix::Pull),
                "The remote branch is ahead. Pull, then commit and push your plan.",
            ),
            (true, true, false) => (Some(Fix::Push), "Push your commits."),
            (true, false, true) => (Some(Fix::Pull), "The remote branch is ahead. Pull."),
            (true, false, false) => (
                None,
                "The remote has changed since it was read. Check again.",
            ),
            _ => (
                None,
                "The branches have diverged. Merge or rebase (git pull), then push.",
            ),
        };
        Some(
            Verdict::fail(message)
                .because(format!("{WHY} {advice}"))
                .fixed_by(fix),
        )
    }
}

/// Describes how the two plans differ.
fn difference(facts: &Facts, place: &str, path: &str, there: bool) -> String {
    if !there {
        return format!("{place} has no {path}");
    }
    let theirs = match &facts.remote_plan {
        Some(Ok(file)) => file.tag(&facts.tag),
        Some(Err(error)) => return format!("{path} on {place} cannot be read: {error}"),
        None => return format!("{path} on {place} differs from yours"),
    };
    match facts.plan_tag() {
        Some(yours) => tasks::describe(place, theirs, yours),
        None => format!("{path} on {place} differs from yours"),
    }
}
