//! `tasks-pushed`: the plan at the head of the remote's branch is the plan on disk, by object id. The check that matters most.

use super::{Check, Facts, Verdict};
use crate::{Fix, There};
use flightdeck_core::tasks;

pub(super) struct TasksPushed;

const WHY: &str =
    "A run clones the remote's branch: its agent would work on that plan, not on the one you see.";

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
        let known = match facts.there() {
            There::Unknown => return None,
            There::Absent => {
                let fix = if committed {
                    Fix::Push
                } else {
                    Fix::CommitAndPush
                };
                return Some(
                    Verdict::fail(format!(
                        "{place} does not exist yet, so a run would find no {path}"
                    ))
                    .because(WHY)
                    .fixed_by(fix),
                );
            }
            // Asking the remote brings here what is missing.
            There::Known(known) if known.unread => return None,
            There::Known(known) => known,
        };
        if known.plan_blob.as_ref() == Some(disk) {
            return Some(Verdict::pass(format!(
                "{path} on {place} is your file{}",
                facts.as_of_words()
            )));
        }

        let message = format!(
            "{}{}",
            difference(facts, &place, path, known.plan_blob.is_some()),
            facts.as_of_words()
        );
        let (fix, advice) = match (committed, known.ahead > 0, known.behind > 0) {
            (false, _, false) => (Some(Fix::CommitAndPush), "Commit your plan and push it."),
            // The branch is behind, but its plan is the one your edit started from: bringing it up leaves the edit alone.
            (false, false, true) if known.plan_blob == plan.head_blob => (
                Some(Fix::Pull),
                "The branch there has commits you lack: bring them here, then commit your plan and push it.",
            ),
            (true, true, false) => (
                Some(Fix::Push),
                "Your commits are not there yet: push them.",
            ),
            (true, false, true) => (
                Some(Fix::Pull),
                "The branch there is ahead: bring its commits here.",
            ),
            (true, false, false) => (
                None,
                "The branch there has the same commits, so what was learnt of it is being updated: check again.",
            ),
            _ => (
                None,
                "Both sides have changes the other lacks. Compare them, merge or rebase by hand (git pull), and push.",
            ),
        };
        Some(
            Verdict::fail(message)
                .because(format!("{WHY} {advice}"))
                .fixed_by(fix),
        )
    }
}

/// How the two plans differ, in one sentence.
fn difference(facts: &Facts, place: &str, path: &str, there: bool) -> String {
    if !there {
        return format!("{place} has no {path}");
    }
    let theirs = match &facts.their_plan {
        Some(Ok(file)) => file.tag(&facts.tag),
        Some(Err(error)) => return format!("{path} on {place} cannot be read: {error}"),
        None => return format!("{path} on {place} is not your file"),
    };
    match facts.plan_tag() {
        Some(yours) => tasks::describe(place, theirs, yours),
        None => format!("{path} on {place} is not your file"),
    }
}
