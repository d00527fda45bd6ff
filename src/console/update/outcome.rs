//! What follows when an effect has ended.

use crate::console::{
    effect::{Effects, Outcome},
    model::{Model, PanelId},
    panels::detail::{self, Tab},
    world::Level,
};

pub(super) fn done(model: &mut Model, outcome: Outcome, effects: &mut Effects) {
    match outcome {
        Outcome::Launched(name) => {
            model.toast(Level::Pass, format!("{name} is launched"));
            model.awaited = Some(name);
            welcome(model, effects);
        }
        Outcome::Stopped(name) => model.toast(
            Level::Pass,
            format!("{name} is being stopped; its log stays"),
        ),
        Outcome::Retried(name) => model.toast(Level::Pass, format!("{name} tries again")),
        Outcome::Deleted(name) => model.toast(
            Level::Pass,
            format!("{name} is deleted; its log is in the ledger"),
        ),
        Outcome::Copied(what) => model.toast(Level::Pass, format!("copied {what}")),
        Outcome::Failed(sentence) => model.toast(Level::Fail, sentence),
    }
}

/// Goes to the run that was launched as soon as it is there, and opens its log.
pub(super) fn welcome(model: &mut Model, effects: &mut Effects) {
    let Some(name) = &model.awaited else {
        return;
    };
    let Some(id) = model.world.runs.named(name).map(|(id, _)| id.clone()) else {
        return;
    };
    model.awaited = None;
    model.focus_on(PanelId::Runs);
    model.runs.list.select(&id);
    detail::show(model, Some(detail::Subject::Run(id)), effects);
    detail::go(model, Tab::Logs, effects);
}
