//! The only writer of the model: takes a message, returns effects. Pure, synchronous and total.

mod actions;
mod input;
mod notifications;
mod outcomes;
mod run_actions;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    effect::{
        Effect, Effects, FollowedRun, LedgerEffect, LogEffect, PreflightEffect, TerminalEffect,
    },
    ids::PanelId,
    model::{Model, spend},
    msg::Msg,
    overlays,
    panels::{self, detail},
    world::{Delta, RunEntry, RunId},
};

/// Handles a message. Returns the effects to perform.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Effects {
    let mut effects = Effects {
        list: Vec::new(),
        redraw: true,
    };
    // Deltas come in bursts. The lists are refreshed once, before the next message that reads them.
    if !matches!(msg, Msg::World(_)) {
        refresh_stale(model, &mut effects);
    }
    match msg {
        Msg::Tick(now) => {
            effects.redraw = tick(model, now);
            if model.health.due().is_some_and(|due| now >= due) {
                let changed = notifications::check_health(model, &mut effects);
                effects.redraw |= changed;
            }
        }
        Msg::Key(key) => input::key(model, key, &mut effects),
        Msg::Mouse(mouse) => effects.redraw = input::mouse(model, mouse, &mut effects),
        Msg::Paste(text) => input::paste(model, &text, &mut effects),
        Msg::Resize(width, height) => {
            model.size = ratatui::layout::Size::new(width, height);
            model.fit();
        }
        Msg::Focus(focused) => {
            if focused && !model.terminal_focused {
                effects.push(TerminalEffect::ClearNotice);
            }
            model.terminal_focused = focused;
            effects.redraw = false;
        }
        Msg::World(delta) => world(model, delta, &mut effects),
        Msg::Detail(response) => detail::handle_response(model, response, &mut effects),
        Msg::Done(outcome) => outcomes::done(model, outcome, &mut effects),
    }
    panels::show_selection(model, &mut effects);
    model.fit_lists();
    effects
}

/// The effects at startup.
#[must_use]
pub(crate) fn initial_effects(model: &Model) -> Vec<Effect> {
    vec![
        PreflightEffect::Run(model.preflight_request(false)).into(),
        LedgerEffect::LoadFinishedRuns.into(),
    ]
}

/// Advances the clock. Returns `true` if something visible changed.
fn tick(model: &mut Model, now: Timestamp) -> bool {
    let due = model.next_wake();
    model.now = now;
    let before = model.toasts.len();
    model.toasts.retain(|toast| toast.until > now);
    before != model.toasts.len() || due.is_some_and(|due| now >= due)
}

fn world(model: &mut Model, delta: Delta, effects: &mut Effects) {
    match &delta {
        Delta::Plan(_) => model.stale.tasks = true,
        Delta::CommandRan(_) => model.stale.commands = true,
        Delta::Checks(_) | Delta::PlanComparison(_) => model.stale.checks = true,
        Delta::Watch(_) | Delta::ArchivedRun(_) | Delta::Repository(_) | Delta::FinishedRuns(_) => {
            model.stale.runs = true;
        }
        // The check at startup contacted neither the cluster nor the remote.
        Delta::Cluster(_) => effects.push(PreflightEffect::Run(model.preflight_request(true))),
        Delta::Unreachable(..)
        | Delta::Connecting
        | Delta::Checking
        | Delta::Settings(_)
        | Delta::Progress(..) => {}
    }
    model.stale.detail = true;
    model.stale.health |= matches!(delta, Delta::Watch(_) | Delta::Progress(..));
    model.world.apply(delta);
}

/// Refreshes what is derived from the parts of the world that changed.
fn refresh_stale(model: &mut Model, effects: &mut Effects) {
    let stale = std::mem::take(&mut model.stale);
    if stale.tasks {
        model.tasks.refresh(&model.world.plan);
    }
    if stale.runs {
        model.runs.refresh(&model.world);
        model.tasks.refresh_runs(&model.world.runs);
        outcomes::focus_launched_run(model, effects);
        follow_active(model, effects);
        model.finished_runs = spend::finished_runs(&model.world);
    }
    if stale.health {
        notifications::check_health(model, effects);
    }
    if stale.runs || stale.health {
        model.spent_today = spend::today(model);
    }
    if stale.checks {
        let here = model.list == PanelId::Preflight;
        model.preflight.refresh(&model.world.checks, here);
    }
    if stale.tasks || stale.commands || stale.health || stale.checks {
        overlays::refresh(model);
    }
    if stale.detail {
        detail::refresh(model, effects);
    }
}

/// Active runs whose logs are followed at the same time; each has an open connection.
const FOLLOWED: usize = 32;

/// Starts to follow the log of each active run in the list, once.
fn follow_active(model: &mut Model, effects: &mut Effects) {
    let rows = model.runs.list.rows().iter();
    let active: Vec<RunId> = rows
        .filter(|id| model.world.runs.get(id).is_some_and(RunEntry::active))
        .take(FOLLOWED)
        .cloned()
        .collect();
    for id in &active {
        if !model.followed.contains(id)
            && let Some(entry) = model.world.runs.get(id)
        {
            effects.push(LogEffect::Follow(FollowedRun {
                id: id.clone(),
                name: entry.run.name().to_owned(),
                kind: entry.run.kind,
            }));
        }
    }
    let active: BTreeSet<RunId> = active.into_iter().collect();
    notifications::runs_finished(model, &active, effects);
    model.followed = active;
}
