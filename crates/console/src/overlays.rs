//! Dialogs above the panels: a stack. The topmost one receives the keys; Esc closes it.
//!
//! To add an overlay, implement [`Overlay`] in a file and add its row below.

mod overlay;
mod window;

mod add_context;
mod cleanup;
mod confirm;
mod fix_preview;
mod launch_form;
mod listing;
mod log_sources;
mod merge;
mod pager;
mod picker;
mod plan_pickers;

pub(crate) use overlay::{Next, Overlay, OverlayStack};

pub(crate) use add_context::{ContextEditor, open as open_add_context};
pub(crate) use cleanup::{Cleanup, CleanupState, open as open_cleanup};
pub(crate) use confirm::{Confirm, quit as confirm_quit};
pub(crate) use fix_preview::{FixPreview, open as open_fix_preview};
pub(crate) use launch_form::{LaunchForm, open as open_launch_form};
pub(crate) use listing::{ListingSource, open as open_listing};
pub(crate) use log_sources::open as open_log_sources;
pub(crate) use merge::{MergePreview, MergeState, open as open_merge};
pub(crate) use pager::open_help;
pub(crate) use picker::open_palette;
pub(crate) use plan_pickers::{open_statuses, open_tags};

use super::{
    command::Command,
    effect::{Effects, TerminalEffect},
    model::Model,
};

/// Sends a command to the topmost overlay. Returns the command to run next, on what is below.
pub(crate) fn command(
    model: &mut Model,
    command: Command,
    effects: &mut Effects,
) -> Option<Command> {
    if command == Command::Interrupt {
        interrupt(model, effects);
        return None;
    }
    // Taken off the stack, so that it can read and change the rest of the model.
    let mut overlay = model.overlays.pop()?;
    let at = model.overlays.len();
    let next = match command {
        Command::Cancel | Command::No => overlay.cancel(effects),
        command => overlay.command(model, command, effects),
    };
    match next {
        Next::Stay => {
            model.overlays.restore(at, overlay);
            None
        }
        Next::Close => {
            if overlay.keeps_draft() {
                model.drafts.keep(overlay);
            }
            None
        }
        Next::CloseAndRun(command) => Some(command),
    }
}

/// Asks whether to quit; the second time, quits.
pub(crate) fn interrupt(model: &mut Model, effects: &mut Effects) {
    if model.interrupted {
        effects.push(TerminalEffect::Quit);
    } else {
        model.interrupted = true;
        model.overlays.push(confirm_quit());
    }
}

/// Updates all open overlays after the world changed.
pub(crate) fn refresh(model: &mut Model) {
    let mut overlays = std::mem::take(&mut model.overlays);
    for overlay in overlays.iter_mut() {
        overlay.refresh(model);
    }
    model.overlays = overlays;
}
