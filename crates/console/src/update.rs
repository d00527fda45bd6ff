//! The only writer of the model: a message in, effects out. Pure, synchronous and total.

mod act;
mod attention;
mod keys;
mod outcome;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use keys::command;

use super::{
    effect::{Effect, Effects, Followed},
    model::{Model, PanelId, spend},
    msg::Msg,
    overlays,
    panels::detail::{self, Subject},
    world::{Delta, Entry, RunId},
};
/// Takes a message in and says what is to be done about it.
pub fn update(model: &mut Model, msg: Msg) -> Effects {
    let mut effects = Effects {
        list: Vec::new(),
        redraw: true,
    };
    // What came from outside is taken in as it comes; the lists follow before anybody looks at them.
    if !matches!(msg, Msg::World(_)) {
        settle(model, &mut effects);
    }
    match msg {
        Msg::Tick(now) => {
            effects.redraw = tick(model, now);
            if model.health.due().is_some_and(|due| now >= due) {
                let differs = attention::look(model, &mut effects);
                effects.redraw |= differs;
            }
        }
        Msg::Key(key) => keys::key(model, key, &mut effects),
        Msg::Mouse(mouse) => effects.redraw = keys::mouse(model, mouse, &mut effects),
        Msg::Paste(text) => keys::paste(model, &text, &mut effects),
        Msg::Resize(width, height) => {
            model.size = ratatui::layout::Size::new(width, height);
            model.fit();
        }
        Msg::Focus(watched) => {
            if watched && !model.watched {
                effects.push(Effect::Seen);
            }
            model.watched = watched;
            effects.redraw = false;
        }
        Msg::World(delta) => world(model, delta, &mut effects),
        Msg::Detail(news) => detail::news(model, news, &mut effects),
        Msg::Done(outcome) => outcome::done(model, outcome, &mut effects),
    }
    follow_selection(model, &mut effects);
    model.fit_lists();
    effects
}

/// What is wanted before anything is known.
pub fn begin(model: &Model) -> Vec<Effect> {
    vec![Effect::Inspect(model.inquiry(false)), Effect::Tally]
}

/// Moves the clock; `true` when something visible moved with it.
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
        Delta::Ran(_) => model.stale.commands = true,
        Delta::Checks(_) | Delta::Compared(_) => model.stale.checks = true,
        Delta::Watch(_) | Delta::Remembered(_) | Delta::Repository(_) | Delta::Earlier(_) => {
            model.stale.runs = true;
        }
        // The first look was without the cluster, and without the remote.
        Delta::Cluster(_) => effects.push(Effect::Inspect(model.inquiry(true))),
        _ => {}
    }
    model.stale.detail = true;
    model.stale.health |= matches!(delta, Delta::Watch(_) | Delta::Progress(..));
    model.world.apply(delta);
}

/// Derives the lists anew that the world has outrun.
fn settle(model: &mut Model, effects: &mut Effects) {
    let stale = std::mem::take(&mut model.stale);
    if stale.tasks {
        model.tasks.refresh(&model.world.plan);
    }
    if stale.tasks || stale.commands {
        overlays::listed_changed(model);
    }
    if stale.runs {
        model.runs.refresh(&model.world);
        model.tasks.refresh_runs(&model.world.runs);
        outcome::welcome(model, effects);
        follow_active(model, effects);
    }
    if stale.health {
        attention::look(model, effects);
        overlays::listed_changed(model);
    }
    if stale.runs {
        model.ended = spend::ended(&model.world);
    }
    if stale.runs || stale.health {
        model.spent_today = spend::today(model);
    }
    if stale.checks {
        let here = model.list == PanelId::Preflight;
        model.preflight.refresh(&model.world.checks, here);
        overlays::checks_changed(model);
    }
    if stale.detail {
        detail::refresh(model, effects);
    }
}

/// Most runs under way whose logs are followed and kept at the same time: each is an open connection.
const FOLLOWED: usize = 32;

/// Has the log of every run of this repository read that is under way, each once.
fn follow_active(model: &mut Model, effects: &mut Effects) {
    let rows = model.runs.list.rows().iter();
    let active: Vec<RunId> = rows
        .filter(|id| model.world.runs.get(id).is_some_and(Entry::active))
        .take(FOLLOWED)
        .cloned()
        .collect();
    for id in &active {
        if !model.followed.contains(id)
            && let Some(entry) = model.world.runs.get(id)
        {
            effects.push(Effect::Follow(Followed {
                run: id.clone(),
                name: entry.run.name().to_owned(),
                kind: entry.run.kind,
            }));
        }
    }
    let active: BTreeSet<RunId> = active.into_iter().collect();
    attention::ended(model, &active, effects);
    model.followed = active;
}

/// Lets the details follow what is selected in the list that has, or last had, the focus.
fn follow_selection(model: &mut Model, effects: &mut Effects) {
    let subject = match model.list {
        PanelId::Runs => model.runs.list.selected().cloned().map(Subject::Run),
        PanelId::Preflight => model.preflight.list.selected().cloned().map(Subject::Check),
        _ => model.tasks.list.selected().cloned().map(Subject::Task),
    };
    if subject != model.detail.subject {
        detail::show(model, subject, effects);
        effects.redraw = true;
    }
}
