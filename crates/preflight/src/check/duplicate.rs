//! `duplicate`: no active run has the same tasks or the same workspace.

use super::{Check, Facts, Verdict};
use flightdeck_core::{remote_url, runs::naming};

pub(super) struct Duplicate;

impl Check for Duplicate {
    fn id(&self) -> &'static str {
        "duplicate"
    }

    fn title(&self) -> &'static str {
        "Active runs"
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
                Verdict::fail(format!("{} is already running on task {task}", run.name)).because(
                    "Open or stop that run first: two runs would overwrite each other's work.",
                ),
            );
        }
        let service = service(facts);
        let holder = same_kind().find(|run| service.is_some() && run.service == service);
        Some(match holder {
            Some(run) => Verdict::warn(format!("{} uses the workspace of this service", run.name))
                .because("Code runs of a service share one workspace, so this run would wait for that one."),
            None => Verdict::pass("no conflicting run"),
        })
    }
}

/// Returns the service of a code run. Default: the repository's name.
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
