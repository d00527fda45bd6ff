//! `duplicate`: no other run is at work on the same tasks, and the workspace of a code run is free.

use super::{Check, Facts, Verdict};
use flightdeck_core::{remote_url, runs::naming};

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
        let same_kind = || runs.iter().filter(|run| run.kind == facts.kind);
        let clash = same_kind()
            .filter(|run| run.tag == facts.tag)
            .find_map(|run| {
                let task = facts.tasks.iter().find(|task| run.tasks.contains(task))?;
                Some((run, task))
            });
        if let Some((run, task)) = clash {
            return Some(
                Verdict::fail(format!("{} is at work on task {task}", run.name)).because(
                    "Open that run, or stop it first: two would overwrite each other's work.",
                ),
            );
        }
        let service = service(facts);
        let holder = same_kind().find(|run| service.is_some() && run.service == service);
        Some(match holder {
            Some(run) => Verdict::warn(format!("{} has the workspace of this service", run.name))
                .because("Code runs of a service share one workspace: this one would wait until that one has ended."),
            None => Verdict::pass("no other run is at work on this"),
        })
    }
}

/// The service of a code run: the chosen one, else the repository's name.
fn service(facts: &Facts) -> Option<String> {
    if !facts.kind.shares_workspace() {
        return None;
    }
    let named = || {
        let url = &facts.repository()?.remote.as_ref()?.clone_url;
        Some(naming::slug(&remote_url::name(url), 63))
    };
    facts.service.clone().or_else(named)
}
