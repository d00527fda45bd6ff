//! Keys, mouse and pasted text. Keys go to the open text field, else the topmost overlay, else the focused panel, else the
//! global commands.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::actions;
use crate::{
    command::Command,
    effect::{ConnectionEffect, DesktopEffect, Effects, PreflightEffect, TerminalEffect},
    field::Field,
    filter::Filter,
    ids::PanelId,
    keymap::{Chord, Resolution},
    model::Model,
    overlays, panels,
    world::{ClusterConnection, Delta},
};

/// Lines per notch of the wheel.
const WHEEL: isize = 3;

pub(super) fn key(model: &mut Model, key: KeyEvent, effects: &mut Effects) {
    if key.kind == KeyEventKind::Release {
        effects.redraw = false;
        return;
    }
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    let chord = Chord::from(key);
    let contexts = model.contexts();
    let command_key = !model.pending.is_empty() || model.keymap.precedes_text(&contexts, chord);
    if let Some(overlay) = model.overlays.last_mut()
        && !interrupt
        && !command_key
        && overlay.text_area_key(key)
    {
        return;
    }
    if let Some(field) = open_field(model) {
        if interrupt {
            command(model, Command::Cancel, effects);
            return;
        }
        if Field::takes(key) && !command_key {
            if field.key(key) {
                typed(model, effects);
            }
            return;
        }
    }
    if interrupt {
        // Not rebindable: Ctrl-C always works.
        command(model, Command::Interrupt, effects);
        return;
    }
    model.interrupted = false;
    model.pending.push(chord);
    match model.keymap.resolve(&contexts, &model.pending) {
        Resolution::Command(found) => {
            model.pending.clear();
            command(model, found, effects);
        }
        Resolution::Prefix => {}
        Resolution::Unbound => model.pending.clear(),
    }
}

pub(super) fn paste(model: &mut Model, text: &str, effects: &mut Effects) {
    // Most terminals send line breaks as CR.
    let text = &text.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(field) = open_field(model) {
        field.insert(text);
        typed(model, effects);
    } else if let Some(overlay) = model.overlays.last_mut() {
        overlay.text_area_paste(text);
    }
}

/// The text field in focus.
fn open_field(model: &mut Model) -> Option<&mut Field> {
    if !model.overlays.is_empty() {
        return model.overlays.last_mut()?.open_field();
    }
    panels::panel(model.focus).open_field(model)
}

fn focused_filter(model: &mut Model) -> Option<&mut Filter> {
    panels::panel(model.focus).filter_mut(model)
}

/// Called after the text of the open field changed.
fn typed(model: &mut Model, effects: &mut Effects) {
    if let Some(overlay) = model.overlays.last_mut() {
        overlay.typed();
        return;
    }
    panels::panel(model.focus).typed(model, effects);
}

fn refresh_focused(model: &mut Model) {
    panels::panel(model.focus).refresh(model);
}

/// Handles a command: by the topmost overlay, else the focused panel, else globally.
pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    if !model.overlays.is_empty() {
        // The palette closes and returns the selected command.
        if let Some(next) = overlays::command(model, command, effects) {
            self::command(model, next, effects);
        }
        return;
    }
    let filtering = focused_filter(model).is_some_and(|filter| filter.open);
    let handled = (filtering && filter_command(model, command))
        || panels::panel(model.focus).command(model, command, effects)
        || list_command(model, command, effects)
        || actions::command(model, command, effects);
    if !handled {
        global_command(model, command, effects);
    }
}

/// Handles a command while a filter is open.
fn filter_command(model: &mut Model, command: Command) -> bool {
    match command {
        Command::Accept => {
            if let Some(filter) = focused_filter(model) {
                filter.open = false;
            }
        }
        Command::Cancel => return clear_filter(model),
        Command::Complete => {
            let columns = panels::panel(model.focus).filter_columns(model);
            if focused_filter(model).is_some_and(|filter| filter.complete(&columns)) {
                refresh_focused(model);
            }
        }
        _ => return false,
    }
    true
}

fn clear_filter(model: &mut Model) -> bool {
    let Some(filter) = focused_filter(model).filter(|filter| filter.open || !filter.is_empty())
    else {
        return false;
    };
    *filter = Filter::default();
    refresh_focused(model);
    true
}

/// Handles a command that all panels with a list share.
fn list_command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    let panel = panels::panel(model.focus);
    let has_marks = panel.filter(model).is_some();
    let Some(list) = panel.list(model) else {
        return false;
    };
    match command {
        Command::Mark if has_marks => list.toggle_mark(),
        Command::Range if has_marks => list.toggle_range(),
        Command::Filter => {
            if let Some(filter) = panel.filter_mut(model) {
                filter.open = true;
            }
        }
        Command::Back => return list.clear_marks() || clear_filter(model),
        Command::Copy => {
            if let Some(text) = panel.copied_text(model) {
                effects.push(DesktopEffect::Copy(text));
            }
        }
        movement => return list.move_selection(movement),
    }
    true
}

fn global_command(model: &mut Model, command: Command, effects: &mut Effects) {
    match command {
        Command::FocusTasks => model.focus_on(PanelId::Tasks),
        Command::FocusRuns => model.focus_on(PanelId::Runs),
        Command::FocusPreflight => model.focus_on(PanelId::Preflight),
        Command::FocusDetail => model.focus_on(PanelId::Detail),
        Command::NextPanel => model.focus_on(model.focus.next()),
        Command::PreviousPanel => model.focus_on(model.focus.previous()),
        Command::NextTab | Command::PreviousTab => {
            panels::panel(PanelId::Detail).command(model, command, effects);
        }
        Command::Zoom => {
            model.zoomed = !model.zoomed;
            model.fit();
        }
        Command::Palette => overlays::open_palette(model),
        Command::Help => overlays::open_help(model),
        Command::Back => back(model),
        Command::Quit => effects.push(TerminalEffect::Quit),
        Command::Interrupt => {
            overlays::interrupt(model, effects);
        }
        Command::Suspend => effects.push(TerminalEffect::Suspend),
        Command::Refresh => {
            if let ClusterConnection::Failed(..) = model.world.cluster {
                effects.push(ConnectionEffect::Retry);
            }
            model.world.apply(Delta::Checking);
            effects.push(PreflightEffect::Run(model.preflight_request(true)));
        }
        _ => effects.redraw = false,
    }
}

/// Goes back one step: leaves zoom, leaves the Detail panel, or clears the toasts.
fn back(model: &mut Model) {
    if model.zoomed {
        model.zoomed = false;
        model.fit();
    } else if model.focus == PanelId::Detail {
        model.focus_on(model.list);
    } else {
        model.toasts.clear();
    }
}

pub(super) fn mouse(model: &mut Model, mouse: MouseEvent, effects: &mut Effects) -> bool {
    let Some(areas) = model.areas() else {
        return false;
    };
    if !model.overlays.is_empty() {
        let step = match mouse.kind {
            MouseEventKind::ScrollUp => Command::Up,
            MouseEventKind::ScrollDown => Command::Down,
            _ => return false,
        };
        command(model, step, effects);
        return true;
    }
    let Some(panel) = areas.panel_at(mouse.column, mouse.row) else {
        return false;
    };
    let inner = areas.panel(panel).inner;
    let rows = match mouse.kind {
        MouseEventKind::ScrollUp => -WHEEL,
        MouseEventKind::ScrollDown => WHEEL,
        MouseEventKind::Down(MouseButton::Left) => {
            model.focus_on(panel);
            if inner.contains((mouse.column, mouse.row).into()) {
                let (column, row) = (mouse.column - inner.x, mouse.row - inner.y);
                panels::panel(panel).click(model, column, row, effects);
            }
            return true;
        }
        MouseEventKind::Drag(MouseButton::Left) if areas.side_by_side() => {
            let percent = u32::from(mouse.column) * 100 / u32::from(model.size.width.max(1));
            model.split = (percent as u16).clamp(25, 70);
            model.fit();
            return true;
        }
        _ => return false,
    };
    panels::panel(panel).wheel(model, rows, effects);
    true
}
