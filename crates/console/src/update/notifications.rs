//! Desktop notifications for unhealthy and finished runs, sent only while the terminal is unfocused.

use std::collections::BTreeSet;

use crate::{
    effect::{Effects, LedgerEffect, Notice, TerminalEffect},
    model::Model,
    world::{RunEntry, RunId},
};
use flightdeck_core::runs::Phase;

/// Checks the health of active runs and notifies of new findings. Returns `true` if the findings changed.
pub(super) fn check_health(model: &mut Model, effects: &mut Effects) -> bool {
    let before = model.health.clone();
    let new = model
        .health
        .refresh(&model.world, &model.settings.health, model.now);
    for (id, finding) in new {
        let entry = model.world.runs.get(&id).filter(|_| finding.needs_action);
        if let Some(entry) = entry.filter(|entry| is_ours(model, entry)) {
            notify(model, entry, "needs attention", &finding.message, effects);
        }
    }
    before != model.health
}

/// Notifies of runs that were active and have finished.
pub(super) fn runs_finished(model: &Model, active: &BTreeSet<RunId>, effects: &mut Effects) {
    let mut any = false;
    for id in model.followed.difference(active) {
        let Some(entry) = model.world.runs.get(id).filter(|entry| entry.run.ended()) else {
            continue;
        };
        any = true;
        let status = &entry.run.status;
        let (what, body) = match entry.run.phase() {
            Phase::Succeeded => {
                let documents = entry.documents();
                let body = match (status.pull_request_number, documents) {
                    (Some(number), _) => format!("pull request #{number}"),
                    (None, Some((written, all))) => format!("documents {written}/{all}"),
                    (None, None) => "branch pushed".to_owned(),
                };
                ("finished", body)
            }
            Phase::Cancelled => ("stopped", "log kept".to_owned()),
            _ => {
                let why = status.message.as_deref().or(status.reason.as_deref());
                ("failed", why.unwrap_or("see the log").to_owned())
            }
        };
        notify(model, entry, what, &body, effects);
    }
    if any {
        effects.push(LedgerEffect::LoadFinishedRuns);
    }
}

/// Whether a run belongs to this repository.
fn is_ours(model: &Model, entry: &RunEntry) -> bool {
    let repository = model.world.repository.get();
    let label = repository.and_then(|repository| repository.label.as_deref());
    label.is_none_or(|label| entry.of_repository(label))
}

fn notify(model: &Model, entry: &RunEntry, what: &str, body: &str, effects: &mut Effects) {
    if !model.terminal_focused {
        effects.push(TerminalEffect::Notify(Notice {
            title: format!("{} {what}", entry.run.name()),
            body: body.to_owned(),
        }));
    }
}

#[cfg(test)]
mod tests;
