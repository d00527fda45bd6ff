//! Actions on the selected runs that need confirmation: stop, retry, delete.

use crate::{effect::RunEffect, ids::PanelId, model::Model, overlays::Confirm, world::RunEntry};
use flightdeck_core::text;
use flightdeck_verbs::{AttemptStart, Delete, Retry, Stop};

/// An action on runs.
struct RunAction {
    /// The title of the question, and the label of its yes button.
    name: &'static str,
    /// What the action does.
    sentence: &'static str,
    danger: bool,
    applies: fn(&RunEntry) -> bool,
    /// Returns the effect for the run with this name.
    effect: fn(String) -> RunEffect,
    /// What else to know before confirming.
    facts: fn(&[&RunEntry]) -> Vec<(String, String)>,
}

const STOP: RunAction = RunAction {
    name: "Stop",
    sentence: "Stops the agent. The log is kept; you can retry.",
    danger: true,
    applies: RunEntry::active,
    effect: |name| RunEffect::Stop(Stop { name }),
    facts: |_| Vec::new(),
};

const RETRY: RunAction = RunAction {
    name: "Retry",
    sentence: "Continues the earlier work in a new attempt, with the current plan from the remote.",
    danger: false,
    applies: ended,
    effect: |name| RunEffect::Retry(Retry::new(name)),
    facts: |runs| attempt_facts(runs, false),
};

const START_OVER: RunAction = RunAction {
    name: "Start over",
    sentence: "Starts a new attempt from the source branch. Pushed branches stay.",
    danger: true,
    applies: ended,
    effect: |name| {
        RunEffect::Retry(Retry {
            start_over: true,
            ..Retry::new(name)
        })
    },
    facts: |runs| attempt_facts(runs, true),
};

/// Returns what a new attempt of these runs starts from, and what the earlier ones cost.
fn attempt_facts(runs: &[&RunEntry], start_over: bool) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if let [entry] = runs {
        let start = AttemptStart::of(&entry.run, start_over).describe();
        facts.push(("attempt".into(), start));
    }
    let usage = runs.iter().filter_map(|entry| entry.run.status.usage);
    let spent: i64 = usage.map(|usage| usage.cost_micro_usd).sum();
    if spent > 0 {
        facts.push(("spent".into(), format!("{} so far", text::usd(spent))));
    }
    facts
}

const DELETE: RunAction = RunAction {
    name: "Delete",
    sentence: "Deletes the run and its Jobs, files, workspace. Branches and PRs stay; the log is in the ledger.",
    danger: true,
    applies: ended,
    effect: |name| RunEffect::Delete(Delete { name, force: false }),
    facts: |_| Vec::new(),
};

/// Whether a run has ended and is still in the cluster.
fn ended(entry: &RunEntry) -> bool {
    !entry.active() && !entry.removed
}

/// Asks whether to stop the selected runs.
pub(super) fn stop(model: &mut Model) {
    STOP.ask(model, None);
}

/// Asks whether to retry the selected runs.
pub(super) fn retry(model: &mut Model) {
    RETRY.ask(model, None);
}

/// Asks whether to start the selected runs over.
pub(super) fn start_over(model: &mut Model) {
    START_OVER.ask(model, None);
}

/// Asks whether to delete the selected runs. For a single active run, asks whether to stop it.
pub(super) fn delete(model: &mut Model) {
    // Stop an active run first: deleting it would remove the pods of a running agent.
    if let [entry] = selected(model)[..]
        && entry.active()
    {
        let sentence = format!(
            "{} is still active: stop it first, then delete it. The log is kept.",
            entry.run.name()
        );
        return STOP.ask(model, Some(sentence));
    }
    DELETE.ask(model, None);
}

impl RunAction {
    /// Asks for confirmation, unless the action applies to none of the selected runs.
    fn ask(&self, model: &mut Model, sentence: Option<String>) {
        let runs: Vec<&RunEntry> = selected(model)
            .into_iter()
            .filter(|entry| (self.applies)(entry))
            .collect();
        let names: Vec<&str> = runs.iter().map(|entry| entry.run.name()).collect();
        if names.is_empty() {
            return;
        }
        let mut facts = vec![("run".into(), names.join(", "))];
        if let Some(target) = model.world.cluster.target() {
            let target = format!("{}, namespace {}", target.label, target.namespace);
            facts.push(("target".into(), target));
        }
        facts.extend((self.facts)(&runs));
        let effects = names
            .iter()
            .map(|name| (self.effect)((*name).to_owned()).into());
        model.overlays.push(Confirm {
            title: self.name.into(),
            facts,
            sentence: sentence.unwrap_or_else(|| self.sentence.into()),
            yes: self.name.into(),
            danger: self.danger,
            effects: effects.collect(),
            chosen: !self.danger,
        });
    }
}

/// Returns the runs that a command acts on: the marked ones if the Runs panel is in focus, else the current one.
fn selected(model: &Model) -> Vec<&RunEntry> {
    let marked = model.runs.list.marked();
    if model.focus == PanelId::Runs && !marked.is_empty() {
        let marked = marked.iter();
        return marked.filter_map(|id| model.world.runs.get(id)).collect();
    }
    let current = model.current_run();
    current.map(|(_, entry)| entry).into_iter().collect()
}
