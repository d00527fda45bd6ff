//! `tasks-committed`: the files a run reads are committed.

use super::{Check, Facts, Verdict};
use crate::{Fix, fix};
use flightdeck_host::repository::Difference;

/// Paths listed in the message; the rest are counted.
const NAMED: usize = 3;

pub(super) struct TasksCommitted;

impl Check for TasksCommitted {
    fn id(&self) -> &'static str {
        "tasks-committed"
    }

    fn title(&self) -> &'static str {
        "Plan committed"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let repository = facts.repository()?;
        repository.plan.path.as_ref()?;
        if repository.plan.ignored {
            return None;
        }
        let differing = fix::run_files(facts);
        let Some(first) = differing.first() else {
            return Some(Verdict::pass("the files a run reads are committed"));
        };
        if let Some(file) = differing
            .iter()
            .find(|file| file.how == Difference::Conflicted)
        {
            return Some(Verdict::fail(format!("{} has a merge conflict", file.path)));
        }
        let what = |how| match how {
            Difference::Changed => "is changed",
            Difference::Staged => "is staged",
            Difference::Untracked => "is new",
            Difference::Deleted => "is deleted",
            Difference::Conflicted => "has a merge conflict",
        };
        let message = if differing.len() == 1 {
            format!("{} {} and not committed", first.path, what(first.how))
        } else {
            let names: Vec<&str> = differing
                .iter()
                .take(NAMED)
                .map(|file| file.path.as_str())
                .collect();
            let more = match differing.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("not committed: {}{more}", names.join(", "))
        };
        Some(
            Verdict::fail(message)
                .because("Runs clone commits. The fix commits only these files; other changes stay as they are.")
                .fixed_by(Fix::Commit),
        )
    }
}
