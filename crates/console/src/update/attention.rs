//! What calls for the person: runs that turn out unwell, runs that have ended. Told outside only while nobody looks.

use std::collections::BTreeSet;

use crate::{
    effect::{Effect, Effects, Notice},
    model::Model,
    world::{Entry, RunId},
};
use flightdeck_core::runs::Phase;

/// Looks for what is wrong with the runs under way; `true` when something else is wrong than before.
pub(super) fn look(model: &mut Model, effects: &mut Effects) -> bool {
    let before = model.health.clone();
    let news = model
        .health
        .look(&model.world, &model.settings.health, model.now);
    for (id, finding) in news {
        let entry = model.world.runs.get(&id).filter(|_| finding.needs_action);
        if let Some(entry) = entry.filter(|entry| own(model, entry)) {
            tell(model, entry, "needs you", &finding.message, effects);
        }
    }
    before != model.health
}

/// Tells of runs that were under way and are no longer.
pub(super) fn ended(model: &Model, active: &BTreeSet<RunId>, effects: &mut Effects) {
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
                    (None, None) => "its work is pushed".to_owned(),
                };
                ("has finished", body)
            }
            Phase::Cancelled => ("was stopped", "its log stays".to_owned()),
            _ => {
                let why = status.message.as_deref().or(status.reason.as_deref());
                ("has failed", why.unwrap_or("its log says why").to_owned())
            }
        };
        tell(model, entry, what, &body, effects);
    }
    if any {
        effects.push(Effect::Tally);
    }
}

/// Whether a run is this repository's.
fn own(model: &Model, entry: &Entry) -> bool {
    let repository = model.world.repository.get();
    let label = repository.and_then(|repository| repository.label.as_deref());
    label.is_none_or(|label| entry.of_repository(label))
}

fn tell(model: &Model, entry: &Entry, what: &str, body: &str, effects: &mut Effects) {
    if !model.watched {
        effects.push(Effect::Notify(Notice {
            title: format!("{} {what}", entry.run.name()),
            body: body.to_owned(),
        }));
    }
}

#[cfg(test)]
mod tests;
