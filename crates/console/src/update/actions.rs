//! Commands on tasks and runs that several panels share: launch, stop, retry, delete, merge, clean up.

use super::run_actions;
use crate::{
    command::Command,
    effect::{DesktopEffect, Effects, LedgerEffect, TerminalEffect},
    ids::{PanelId, TabId},
    model::Model,
    overlays::{self, ListingSource},
    panels::{self, detail},
};

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
        Command::Stop => run_actions::stop(model),
        Command::Retry => run_actions::retry(model),
        Command::StartOver => run_actions::start_over(model),
        Command::AddContext => overlays::open_add_context(model),
        Command::Delete => run_actions::delete(model),
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

/// Opens tasks.json at the selected task.
fn edit(model: &Model, effects: &mut Effects) {
    let Some(plan) = model.world.plan.get() else {
        return;
    };
    let task = model.tasks.list.selected();
    let line = task.map_or(1, |id| plan.line_of(id));
    effects.push(TerminalEffect::Edit(plan.path.clone(), line));
}
