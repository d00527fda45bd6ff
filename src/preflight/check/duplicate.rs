//! `duplicate`: no other run is at work on the same tasks.

use super::{Check, Facts, Verdict};

pub(super) struct Duplicate;

impl Check for Duplicate {
    fn id(&self) -> &'static str {
        "duplicate"
    }

    fn title(&self) -> &'static str {
        "Runs under way"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let runs = facts.active_runs.as_ref()?;
        let clash = runs
            .iter()
            .filter(|run| run.kind == facts.kind)
            .find_map(|run| {
                let task = facts.tasks.iter().find(|task| run.tasks.contains(task))?;
                Some((run, task))
            });
        Some(match clash {
            None => Verdict::pass("no other run is at work on this"),
            Some((run, task)) => Verdict::fail(format!("{} is at work on task {task}", run.name))
                .because("Open that run, or stop it first: two would overwrite each other's work."),
        })
    }
}
