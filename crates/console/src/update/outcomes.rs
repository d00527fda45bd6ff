//! Handles the outcomes of effects.

use crate::{
    effect::{Effects, FixFailure, Outcome, PreflightEffect, PreflightRequest},
    ids::{PanelId, Subject, TabId},
    layout,
    model::Model,
    overlays::{
        Cleanup, CleanupState, ContextEditor, FixPreview, LaunchForm, MergePreview, MergeState,
    },
    panels::detail,
    world::Level,
};
use flightdeck_core::{tasks::StatusChange, text};
use flightdeck_host::repository::merge::MergePlan;

pub(super) fn done(model: &mut Model, outcome: Outcome, effects: &mut Effects) {
    match outcome {
        Outcome::Launched(name) => {
            model.overlays.take::<LaunchForm>();
            model.drafts.take::<LaunchForm>();
            model.tasks.list.clear_marks();
            model.toast(Level::Pass, format!("Launched {name}"));
            model.launched_run = Some(name);
            focus_launched_run(model, effects);
        }
        Outcome::Stopped(name) => {
            model.toast(Level::Pass, format!("Stopping {name}; its log is kept"));
        }
        Outcome::Retried(name) => model.toast(Level::Pass, format!("Retrying {name}")),
        Outcome::ContextAdded(name) => {
            model.drafts.take::<ContextEditor>();
            model.toast(Level::Pass, format!("Retrying {name} with your context"));
        }
        Outcome::Deleted(name) => {
            let words = format!("Deleted {name}; its log is in the ledger");
            model.toast(Level::Pass, words);
        }
        Outcome::Copied(text) => {
            let words = match text.lines().count() {
                0 | 1 => format!("Copied {text}"),
                lines => format!("Copied {lines} lines"),
            };
            model.toast(Level::Pass, words);
        }
        Outcome::Saved(path) => {
            model.toast(Level::Pass, format!("Saved to {}", path.display()));
        }
        Outcome::MergePlanned(plan) => merge_planned(model, plan),
        Outcome::Merged(result) => merged(model, result, effects),
        Outcome::RemotePollDue => {
            // While the terminal is unfocused, the remote is checked at a later poll.
            if model.terminal_focused {
                let request = current_preflight_request(model);
                effects.push(PreflightEffect::PollRemote(request));
            }
        }
        Outcome::LocalChanged => run_checks(model, effects),
        Outcome::FixPlanned(plan) => {
            if let Some(preview) = model.overlays.find_mut::<FixPreview>() {
                preview.planned(plan);
            }
        }
        Outcome::FixProgress(progress) => {
            if let Some(preview) = model.overlays.find_mut::<FixPreview>() {
                preview.progress(progress);
            }
        }
        Outcome::FixFinished(result) => fix_finished(model, result, effects),
        Outcome::StatusSet(changes) => {
            run_checks(model, effects);
            model.tasks.list.clear_marks();
            model.toast(Level::Pass, status_words(&changes));
        }
        Outcome::CleanupDeleting(name) => {
            if let Some(cleanup) = model.overlays.find_mut::<Cleanup>() {
                if let CleanupState::Deleting(names) = &mut cleanup.state {
                    names.push(name);
                } else {
                    cleanup.state = CleanupState::Deleting(vec![name]);
                }
            }
        }
        Outcome::CleanupFinished(report) => {
            if let Some(cleanup) = model.overlays.find_mut::<Cleanup>() {
                cleanup.state = CleanupState::Report(Box::new(report));
            }
        }
        Outcome::Warning(sentence) => model.toast(Level::Warn, sentence),
        Outcome::Failed(sentence) => model.toast(Level::Fail, sentence),
    }
}

fn merge_planned(model: &mut Model, plan: Result<Box<MergePlan>, String>) {
    match (model.overlays.find_mut::<MergePreview>(), plan) {
        (Some(preview), Ok(plan)) => preview.state = MergeState::Ready(plan),
        (Some(preview), Err(why)) => preview.state = MergeState::Failed(why),
        (None, Ok(_)) => {}
        (None, Err(why)) => model.toast(Level::Fail, why),
    }
}

fn merged(model: &mut Model, result: Result<String, String>, effects: &mut Effects) {
    if result.is_ok() {
        effects.push(PreflightEffect::Run(model.preflight_request(false)));
    }
    match (model.overlays.find_mut::<MergePreview>(), result) {
        (Some(preview), Ok(what)) => preview.state = MergeState::Done(what),
        (Some(preview), Err(why)) => preview.state = MergeState::Failed(why),
        (None, Ok(what)) => model.toast(Level::Pass, what),
        (None, Err(why)) => model.toast(Level::Fail, why),
    }
}

fn fix_finished(model: &mut Model, result: Result<(), FixFailure>, effects: &mut Effects) {
    if let Some(preview) = model.overlays.find_mut::<FixPreview>() {
        effects.push(PreflightEffect::Run(preview.request().clone()));
        preview.finished(result);
        return;
    }
    effects.push(PreflightEffect::Run(model.preflight_request(true)));
    match result {
        Ok(()) => model.toast(Level::Pass, "Fix completed"),
        Err(failure) => model.toast(Level::Fail, failure.why),
    }
}

/// Describes a status change: `Task 3: pending → done (uncommitted)`.
fn status_words(changes: &[StatusChange]) -> String {
    let one = |change: &StatusChange| {
        let (id, old, new) = (&change.id, change.old.as_str(), change.new.as_str());
        format!("Task {id}: {old} → {new}")
    };
    let words = match changes {
        [] => return "Status unchanged".into(),
        [only] => one(only),
        // Finishing the last subtask also changes its parent.
        [first, parent] if first.id.starts_with(&format!("{}.", parent.id)) => {
            format!("{}, also task {}", one(first), parent.id)
        }
        [first, ..] => {
            let tasks = text::count(changes.len(), "task");
            format!("Set {tasks} to {}", first.new.as_str())
        }
    };
    format!("{words} (uncommitted)")
}

fn run_checks(model: &Model, effects: &mut Effects) {
    effects.push(PreflightEffect::Run(current_preflight_request(model)));
}

/// The pre-flight request of the open launch form, or else of the selected tasks. Does not contact the remote.
fn current_preflight_request(model: &Model) -> PreflightRequest {
    let form = model.overlays.find::<LaunchForm>();
    form.map_or_else(
        || model.preflight_request(false),
        |form| form.preflight_request(model, false),
    )
}

/// Selects the launched run once it is in the list, and shows its log.
pub(super) fn focus_launched_run(model: &mut Model, effects: &mut Effects) {
    let Some(name) = &model.launched_run else {
        return;
    };
    let Some(id) = model.world.runs.named(name).map(|(id, _)| id.clone()) else {
        return;
    };
    model.launched_run = None;
    model.focus_on(PanelId::Runs);
    model.runs.list.select(&id);
    detail::show(model, Some(Subject::Run(id)), effects);
    detail::open_tab(model, TabId::Logs, effects);
    // A narrow screen shows one panel: prefer the log to the list.
    if model.size.width < layout::WIDE {
        model.focus_on(PanelId::Detail);
    }
}
