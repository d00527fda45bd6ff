//! What is done to tasks and runs from any panel: launch, stop, retry, delete, bring home, clean up.

use crate::{
    command::Command,
    effect::{Effect, Effects},
    model::{Model, PanelId},
    overlays::{self, Confirm, Of, Overlay},
    panels::detail::{self, Tab},
    world::{Entry, RunId},
};

/// Obeys; `false` when the command is none of these.
pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    match command {
        Command::New => overlays::form(model, effects),
        Command::Deleted => {
            model.runs.removed = !model.runs.removed;
            model.runs.refresh(&model.world);
            if model.runs.removed {
                effects.push(Effect::Remember);
            }
        }
        Command::Cleanup => overlays::cleanup(model),
        Command::Tag => overlays::tags(model),
        Command::SetStatus => overlays::statuses(model),
        Command::Findings if model.focus == PanelId::Runs => {
            overlays::listing(model, Of::Health);
        }
        Command::Findings => overlays::listing(model, Of::Findings),
        Command::CommandLog => overlays::listing(model, Of::Commands),
        Command::Dependencies => {
            if let Some(id) = model.tasks.list.selected().cloned() {
                overlays::listing(model, Of::Dependencies(id));
            }
        }
        Command::Edit => edit(model, effects),
        Command::Logs => show(model, Tab::Logs, effects),
        Command::Describe => show(model, Tab::Events, effects),
        Command::Yaml => show(model, Tab::Yaml, effects),
        Command::OpenPullRequest => {
            let run = model.current_run().map(|(_, entry)| &entry.run.status);
            let url = run.and_then(|status| status.pull_request_url.clone());
            effects.list.extend(url.map(Effect::Browse));
        }
        Command::Merge => overlays::home(model, effects),
        Command::Stop => ask(model, stop),
        Command::Retry => ask(model, retry),
        Command::AddContext => overlays::advice(model),
        Command::Delete => ask(model, delete),
        _ => return false,
    }
    true
}

fn show(model: &mut Model, tab: Tab, effects: &mut Effects) {
    if model.has_run() {
        super::follow_selection(model, effects);
        detail::go(model, tab, effects);
        model.focus_on(PanelId::Detail);
    }
}

/// The runs a command acts on: the marked ones in their list, else the current one.
fn chosen(model: &Model) -> Vec<(&RunId, &Entry)> {
    let marked = model.runs.list.marked();
    if model.focus == PanelId::Runs && !marked.is_empty() {
        let entries = marked.iter();
        return entries
            .filter_map(|id| Some((id, model.world.runs.get(id)?)))
            .collect();
    }
    model.current_run().into_iter().collect()
}

/// Asks before doing something to the chosen runs; what does not apply to any of them is not asked.
fn ask(model: &mut Model, question: impl Fn(&[&Entry]) -> Option<Confirm>) {
    let entries: Vec<&Entry> = chosen(model).into_iter().map(|(_, entry)| entry).collect();
    let Some(mut confirm) = question(&entries) else {
        return;
    };
    if let Some(target) = model.world.cluster.target() {
        let place = format!("{}, namespace {}", target.label, target.namespace);
        confirm.facts.push(("target".into(), place));
    }
    model.overlays.push(Overlay::Confirm(confirm));
}

fn names(entries: &[&Entry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.run.name()).collect();
    names.join(", ")
}

fn stop(entries: &[&Entry]) -> Option<Confirm> {
    let active: Vec<&Entry> = entries
        .iter()
        .copied()
        .filter(|entry| entry.active())
        .collect();
    let effects = active.iter().map(|entry| {
        Effect::Stop(flightdeck_verbs::Stop {
            name: entry.run.name().to_owned(),
        })
    });
    (!active.is_empty()).then(|| Confirm {
        title: "Stop".into(),
        facts: vec![("run".into(), names(&active))],
        sentence: "The agent is ended. Its log stays, and the run can be retried.".into(),
        yes: "Stop".into(),
        danger: true,
        effects: effects.collect(),
        chosen: false,
    })
}

fn retry(entries: &[&Entry]) -> Option<Confirm> {
    let ended = entries
        .iter()
        .copied()
        .filter(|entry| !entry.active() && !entry.removed);
    let ended: Vec<&Entry> = ended.collect();
    let effects = ended.iter().map(|entry| {
        Effect::Retry(flightdeck_verbs::Retry {
            name: entry.run.name().to_owned(),
        })
    });
    (!ended.is_empty()).then(|| Confirm {
        title: "Retry".into(),
        facts: vec![("run".into(), names(&ended))],
        sentence: "A new attempt begins, with the plan as the remote has it now where that is the one you see.".into(),
        yes: "Retry".into(),
        danger: false,
        effects: effects.collect(),
        chosen: true,
    })
}

fn delete(entries: &[&Entry]) -> Option<Confirm> {
    // One that runs is stopped first: deleting it would take its pods away under the agent.
    if let [entry] = entries
        && entry.active()
    {
        return stop(entries).map(|confirm| Confirm {
            sentence: format!(
                "{} has not ended: stop it first, then delete it. Its log stays.",
                entry.run.name()
            ),
            ..confirm
        });
    }
    let ended = entries
        .iter()
        .copied()
        .filter(|entry| !entry.active() && !entry.removed);
    let ended: Vec<&Entry> = ended.collect();
    let effects = ended.iter().map(|entry| {
        Effect::Delete(flightdeck_verbs::Delete {
            name: entry.run.name().to_owned(),
            force: false,
        })
    });
    (!ended.is_empty()).then(|| Confirm {
        title: "Delete".into(),
        facts: vec![("run".into(), names(&ended))],
        sentence: "The run and all it owns are deleted; branches and pull requests are not. Its log stays in the ledger.".into(),
        yes: "Delete".into(),
        danger: true,
        effects: effects.collect(),
        chosen: false,
    })
}

/// Opens the plan at the selected task.
fn edit(model: &Model, effects: &mut Effects) {
    let Some(plan) = model.world.plan.get() else {
        return;
    };
    let task = model.tasks.list.selected();
    let line = task.map_or(1, |id| plan.line_of(id));
    effects.push(Effect::Edit(plan.path.clone(), line));
}
