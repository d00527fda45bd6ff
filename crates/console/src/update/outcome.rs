//! What follows when an effect has ended.

use crate::{
    effect::{Effect, Effects, FixFailure, Inquiry, Outcome},
    layout,
    model::{Model, PanelId},
    overlays::{CleanupState, HomeState, Overlay, Running, SheetState},
    panels::detail::{self, Tab},
    world::Level,
};
use flightdeck_core::tasks::StatusChange;

pub(super) fn done(model: &mut Model, outcome: Outcome, effects: &mut Effects) {
    let said = match outcome {
        Outcome::Launched(name) => {
            let words = format!("{name} is launched");
            model.draft = None;
            model
                .overlays
                .retain(|overlay| !matches!(overlay, Overlay::Form(_)));
            model.tasks.list.clear_marks();
            model.awaited = Some(name);
            welcome(model, effects);
            words
        }
        Outcome::Stopped(name) => format!("{name} is being stopped; its log stays"),
        Outcome::Retried(name) => format!("{name} tries again"),
        Outcome::ContextAdded(name) => {
            model.advice = None;
            format!("{name} tries again with what you wrote")
        }
        Outcome::Deleted(name) => format!("{name} is deleted; its log is in the ledger"),
        Outcome::RemoteDue => {
            // Nobody looks: the next one will do.
            if model.watched {
                let inquiry = current_inquiry(model);
                effects.push(Effect::Glance(inquiry));
            }
            return;
        }
        Outcome::DeskChanged => {
            let inquiry = current_inquiry(model);
            effects.push(Effect::Inspect(inquiry));
            return;
        }
        Outcome::MergePlanned(plan) => {
            return home(model, plan.map_or_else(HomeState::Failed, HomeState::Ready));
        }
        Outcome::Merged(Ok(())) => {
            effects.push(Effect::Inspect(model.inquiry(false)));
            return home(model, HomeState::Done);
        }
        Outcome::Merged(Err(why)) => return home(model, HomeState::Failed(why)),
        Outcome::Copied(what) => match what.lines().count() {
            0 | 1 => format!("copied {what}"),
            lines => format!("copied {lines} lines"),
        },
        Outcome::Saved(path) => format!("saved to {}", path.display()),
        Outcome::Refused(sentence) | Outcome::Failed(sentence) => {
            model.toast(Level::Fail, sentence);
            return;
        }
        Outcome::Noted(sentence) => {
            model.toast(Level::Warn, sentence);
            return;
        }
        Outcome::FixPlanned(plan) => return sheet(model, |_| SheetState::Ready(plan)),
        Outcome::FixSaid(progress) => {
            return sheet(model, |mut running| {
                running.hear(progress);
                SheetState::Running(running)
            });
        }
        Outcome::StatusSet(changes) => {
            let inquiry = current_inquiry(model);
            effects.push(Effect::Inspect(inquiry));
            model.tasks.list.clear_marks();
            status_words(&changes)
        }
        Outcome::Fixed(result) => return fixed(model, result, effects),
        Outcome::Cleaning(name) => {
            return cleanup(model, |mut names| {
                names.push(name);
                CleanupState::Deleting(names)
            });
        }
        Outcome::Cleaned(report) => {
            return cleanup(model, |_| CleanupState::Report(Box::new(report)));
        }
    };
    model.toast(Level::Pass, said);
}

/// Moves the open fix sheet on; what has run so far is handed over.
fn sheet(model: &mut Model, next: impl FnOnce(Running) -> SheetState) {
    let open = model
        .overlays
        .iter_mut()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Sheet(sheet) => Some(sheet),
            _ => None,
        });
    if let Some(sheet) = open {
        let ran = match std::mem::replace(&mut sheet.state, SheetState::Planning) {
            SheetState::Running(running) => running,
            _ => Running::default(),
        };
        sheet.state = next(ran);
    }
}

fn fixed(model: &mut Model, result: Result<(), FixFailure>, effects: &mut Effects) {
    let open = model
        .overlays
        .iter()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Sheet(sheet) => Some(sheet.inquiry().clone()),
            _ => None,
        });
    let inquiry = open.clone().unwrap_or_else(|| model.inquiry(true));
    effects.push(Effect::Inspect(inquiry));
    match (open, result) {
        (Some(_), Ok(())) => sheet(model, |running| SheetState::Done(running.heard)),
        (Some(_), Err(failure)) => {
            sheet(model, |running| SheetState::Failed(running.heard, failure));
        }
        (None, Ok(())) => model.toast(Level::Pass, "the fix is done"),
        (None, Err(failure)) => model.toast(Level::Fail, failure.why),
    }
}

/// What a change of status says: `3 is done, was pending; tasks.json is not committed`.
fn status_words(changes: &[StatusChange]) -> String {
    let now = |change: &StatusChange| {
        let (id, new, old) = (&change.id, change.new.as_str(), change.old.as_str());
        format!("{id} is {new}, was {old}")
    };
    let said = match changes {
        [] => return "it has that status already".into(),
        [only] => now(only),
        [first, parent] if first.id.starts_with(&format!("{}.", parent.id)) => {
            format!("{}, and so is {}", now(first), parent.id)
        }
        [first, rest @ ..] => format!(
            "{} and {} more are {}",
            first.id,
            rest.len(),
            first.new.as_str()
        ),
    };
    format!("{said}; tasks.json is changed and not committed")
}

fn cleanup(model: &mut Model, next: impl FnOnce(Vec<String>) -> CleanupState) {
    let open = model
        .overlays
        .iter_mut()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Cleanup(cleanup) => Some(cleanup),
            _ => None,
        });
    if let Some(cleanup) = open {
        let names = match std::mem::replace(&mut cleanup.state, CleanupState::Choosing) {
            CleanupState::Deleting(names) => names,
            _ => Vec::new(),
        };
        cleanup.state = next(names);
    }
}

fn home(model: &mut Model, state: HomeState) {
    let open = model
        .overlays
        .iter_mut()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Home(home) => Some(home),
            _ => None,
        });
    match (open, state) {
        (Some(home), state) => home.state = state,
        (None, HomeState::Failed(why)) => model.toast(Level::Fail, why),
        (None, HomeState::Done) => model.toast(Level::Pass, "the branch is home"),
        (None, _) => {}
    }
}

/// What pre-flight is asked now: for the form that is open, else for what is selected.
fn current_inquiry(model: &Model) -> Inquiry {
    let form = model
        .overlays
        .iter()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Form(form) => Some(form.inquiry(model, false)),
            _ => None,
        });
    form.unwrap_or_else(|| model.inquiry(false))
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
    // Where one panel alone has room, it is the log: that is what is waited for.
    if model.size.width < layout::WIDE {
        model.focus_on(PanelId::Detail);
    }
}
