//! Commands on tasks and runs that several panels share: launch, stop, retry, delete, merge, clean up.

use crate::{
    command::Command,
    effect::{DesktopEffect, Effects, LedgerEffect, RunEffect, TerminalEffect},
    ids::{PanelId, TabId},
    model::Model,
    overlays::{self, Confirm, ListingSource},
    panels::{self, detail},
    world::{RunEntry, RunId},
};
use flightdeck_verbs::{Delete, Retry, Stop};

/// Handles a command. Returns `false` if it is not one of these.
pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    match command {
        Command::New => overlays::open_launch_form(model, effects),
        Command::Deleted => {
            model.runs.removed = !model.runs.removed;
            model.runs.refresh(&model.world);
            if model.runs.removed {
                effects.push(LedgerEffect::LoadArchivedRuns);
            }
        }
        Command::Cleanup => overlays::open_cleanup(model),
        Command::Tag => overlays::open_tags(model),
        Command::SetStatus => overlays::open_statuses(model),
        Command::Findings if model.focus == PanelId::Runs => {
            overlays::open_listing(model, ListingSource::Health);
        }
        Command::Findings => overlays::open_listing(model, ListingSource::Findings),
        Command::CommandLog => overlays::open_listing(model, ListingSource::Commands),
        Command::Dependencies => {
            if let Some(id) = model.tasks.list.selected().cloned() {
                overlays::open_listing(model, ListingSource::Dependencies(id));
            }
        }
        Command::Edit => edit(model, effects),
        Command::Logs => show(model, TabId::Logs, effects),
        Command::Describe => show(model, TabId::Events, effects),
        Command::Yaml => show(model, TabId::Yaml, effects),
        Command::OpenPullRequest => {
            let run = model.current_run().map(|(_, entry)| &entry.run.status);
            let url = run.and_then(|status| status.pull_request_url.clone());
            if let Some(url) = url {
                effects.push(DesktopEffect::Browse(url));
            }
        }
        Command::Merge => overlays::open_merge(model, effects),
        Command::Stop => confirm(model, stop),
        Command::Retry => confirm(model, retry),
        Command::AddContext => overlays::open_add_context(model),
        Command::Delete => confirm(model, delete),
        _ => return false,
    }
    true
}

fn show(model: &mut Model, tab: TabId, effects: &mut Effects) {
    if model.has_run() {
        panels::show_selection(model, effects);
        detail::open_tab(model, tab, effects);
        model.focus_on(PanelId::Detail);
    }
}

/// The runs that a command acts on: the marked ones if the Runs panel is in focus, else the current one.
fn selected(model: &Model) -> Vec<(&RunId, &RunEntry)> {
    let marked = model.runs.list.marked();
    if model.focus == PanelId::Runs && !marked.is_empty() {
        let entries = marked.iter();
        return entries
            .filter_map(|id| Some((id, model.world.runs.get(id)?)))
            .collect();
    }
    model.current_run().into_iter().collect()
}

/// Asks for confirmation of an action on the selected runs, unless it applies to none of them.
fn confirm(model: &mut Model, question: impl Fn(&[&RunEntry]) -> Option<Confirm>) {
    let entries: Vec<&RunEntry> = selected(model)
        .into_iter()
        .map(|(_, entry)| entry)
        .collect();
    let Some(mut confirm) = question(&entries) else {
        return;
    };
    if let Some(target) = model.world.cluster.target() {
        let target = format!("{}, namespace {}", target.label, target.namespace);
        confirm.facts.push(("target".into(), target));
    }
    model.overlays.push(confirm);
}

fn names(entries: &[&RunEntry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.run.name()).collect();
    names.join(", ")
}

fn stop(entries: &[&RunEntry]) -> Option<Confirm> {
    let active: Vec<&RunEntry> = entries
        .iter()
        .copied()
        .filter(|entry| entry.active())
        .collect();
    let effects = active.iter().map(|entry| {
        RunEffect::Stop(Stop {
            name: entry.run.name().to_owned(),
        })
        .into()
    });
    (!active.is_empty()).then(|| Confirm {
        title: "Stop".into(),
        facts: vec![("run".into(), names(&active))],
        sentence: "Stops the agent. The log is kept; you can retry.".into(),
        yes: "Stop".into(),
        danger: true,
        effects: effects.collect(),
        chosen: false,
    })
}

fn retry(entries: &[&RunEntry]) -> Option<Confirm> {
    let ended = entries
        .iter()
        .copied()
        .filter(|entry| !entry.active() && !entry.removed);
    let ended: Vec<&RunEntry> = ended.collect();
    let effects = ended.iter().map(|entry| {
        RunEffect::Retry(Retry {
            name: entry.run.name().to_owned(),
        })
        .into()
    });
    (!ended.is_empty()).then(|| Confirm {
        title: "Retry".into(),
        facts: vec![("run".into(), names(&ended))],
        sentence: "Starts a new attempt with the current plan from the remote.".into(),
        yes: "Retry".into(),
        danger: false,
        effects: effects.collect(),
        chosen: true,
    })
}

fn delete(entries: &[&RunEntry]) -> Option<Confirm> {
    // Stop an active run first: deleting it would remove the pods of a running agent.
    if let [entry] = entries
        && entry.active()
    {
        return stop(entries).map(|confirm| Confirm {
            sentence: format!(
                "{} is still active: stop it first, then delete it. The log is kept.",
                entry.run.name()
            ),
            ..confirm
        });
    }
    let ended = entries
        .iter()
        .copied()
        .filter(|entry| !entry.active() && !entry.removed);
    let ended: Vec<&RunEntry> = ended.collect();
    let effects = ended.iter().map(|entry| {
        RunEffect::Delete(Delete {
            name: entry.run.name().to_owned(),
            force: false,
        })
        .into()
    });
    (!ended.is_empty()).then(|| Confirm {
        title: "Delete".into(),
        facts: vec![("run".into(), names(&ended))],
        sentence: "Deletes the run and its Jobs, files, workspace. Branches and PRs stay; the log is in the ledger.".into(),
        yes: "Delete".into(),
        danger: true,
        effects: effects.collect(),
        chosen: false,
    })
}

/// Opens tasks.json at the selected task.
fn edit(model: &Model, effects: &mut Effects) {
    let Some(plan) = model.world.plan.get() else {
        return;
    };
    let task = model.tasks.list.selected();
    let line = task.map_or(1, |id| plan.line_of(id));
    effects.push(TerminalEffect::Edit(plan.path.clone(), line));
}
