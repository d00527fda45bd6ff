//! From keys, clicks and pasted text to commands: open text field, then the topmost overlay, then the focused panel, then
//! what is the same everywhere.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::act;
use crate::{
    command::Command,
    effect::{Effect, Effects},
    field::Field,
    filter::Filter,
    keymap::{Chord, Resolution},
    model::{Model, PanelId},
    overlays::{self, Overlay},
    panels::{self, detail, preflight, runs, tasks},
    world::{Cluster, Delta},
};

/// Lines a turn of the wheel moves.
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
        && overlay.area_key(key)
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
        // Whatever is on top: there is always a way out.
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
        Resolution::Nothing => model.pending.clear(),
    }
}

pub(super) fn paste(model: &mut Model, text: &str, effects: &mut Effects) {
    // Most terminals send a line break as CR.
    let text = &text.replace("\r\n", "\n").replace('\r', "\n");
    if let Some(field) = open_field(model) {
        field.insert(text);
        typed(model, effects);
    } else if let Some(overlay) = model.overlays.last_mut() {
        overlay.area_paste(text);
    }
}

/// The field being typed into, wherever it is.
fn open_field(model: &mut Model) -> Option<&mut Field> {
    if !model.overlays.is_empty() {
        return model.overlays.last_mut().and_then(Overlay::open_field);
    }
    if model.focus == PanelId::Detail {
        return model.detail.open_field();
    }
    let filter = focused_filter(model)?;
    filter.open.then_some(&mut filter.field)
}

fn focused_filter(model: &mut Model) -> Option<&mut Filter> {
    match model.focus {
        PanelId::Tasks => Some(&mut model.tasks.filter),
        PanelId::Runs => Some(&mut model.runs.filter),
        PanelId::Preflight | PanelId::Detail => None,
    }
}

/// The text in the open field has changed.
fn typed(model: &mut Model, effects: &mut Effects) {
    if let Some(overlay) = model.overlays.last_mut() {
        overlay.typed();
        return;
    }
    match model.focus {
        PanelId::Detail => detail::typed(model, effects),
        _ => refresh_focused(model),
    }
}

fn refresh_focused(model: &mut Model) {
    match model.focus {
        PanelId::Tasks => model.tasks.refresh(&model.world.plan),
        PanelId::Runs => model.runs.refresh(&model.world),
        PanelId::Preflight | PanelId::Detail => {}
    }
}

/// Obeys a command: the topmost overlay, then the focused panel, then everywhere.
pub fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    if !model.overlays.is_empty() {
        overlays::command(model, command, effects);
        return;
    }
    let filtering = focused_filter(model).is_some_and(|filter| filter.open);
    let obeyed = (filtering && filter_command(model, command))
        || match model.focus {
            PanelId::Detail => detail::command(model, command, effects),
            _ => list_command(model, command, effects),
        }
        || act::command(model, command, effects);
    if !obeyed {
        everywhere(model, command, effects);
    }
}

/// Commands while a filter is typed.
fn filter_command(model: &mut Model, command: Command) -> bool {
    match command {
        Command::Accept => {
            if let Some(filter) = focused_filter(model) {
                filter.open = false;
            }
        }
        Command::Cancel => return clear_filter(model),
        Command::Complete => {
            let columns = panels::columns(model, model.focus);
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

fn list_command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    let own = match model.focus {
        PanelId::Tasks => tasks::command(model, command),
        PanelId::Runs => runs::command(model, command),
        PanelId::Preflight => preflight::command(model, command, effects),
        PanelId::Detail => false,
    };
    if own {
        return true;
    }
    macro_rules! list {
        ($list:ident => $action:expr) => {
            match model.focus {
                PanelId::Runs => {
                    let $list = &mut model.runs.list;
                    $action
                }
                PanelId::Preflight => {
                    let $list = &mut model.preflight.list;
                    $action
                }
                _ => {
                    let $list = &mut model.tasks.list;
                    $action
                }
            }
        };
    }
    match command {
        Command::Mark if model.focus != PanelId::Preflight => list!(list => list.toggle_mark()),
        Command::Range if model.focus != PanelId::Preflight => list!(list => list.toggle_range()),
        Command::Filter => {
            let Some(filter) = focused_filter(model) else {
                return true;
            };
            filter.open = true;
        }
        Command::Back => return list!(list => list.clear_marks()) || clear_filter(model),
        Command::Copy => {
            let name = match model.focus {
                PanelId::Runs => model
                    .current_run()
                    .map(|(_, entry)| entry.run.name().to_owned()),
                PanelId::Preflight => preflight::selected(model).map(|check| check.message.clone()),
                _ => model.tasks.list.selected().cloned(),
            };
            effects.list.extend(name.map(Effect::Copy));
        }
        movement => return list!(list => panels::movement(list, movement)),
    }
    true
}

fn everywhere(model: &mut Model, command: Command, effects: &mut Effects) {
    match command {
        Command::FocusTasks => model.focus_on(PanelId::Tasks),
        Command::FocusRuns => model.focus_on(PanelId::Runs),
        Command::FocusPreflight => model.focus_on(PanelId::Preflight),
        Command::FocusDetail => model.focus_on(PanelId::Detail),
        Command::NextPanel | Command::PreviousPanel => {
            let step = if command == Command::NextPanel { 1 } else { 3 };
            model.focus_on(PanelId::ALL[(model.focus as usize + step) % 4]);
        }
        Command::NextTab | Command::PreviousTab => {
            detail::command(model, command, effects);
        }
        Command::Zoom => {
            model.zoomed = !model.zoomed;
            model.fit();
        }
        Command::Palette => {
            let palette = overlays::palette(model);
            model.overlays.push(palette);
        }
        Command::Help => {
            let help = overlays::help(model);
            model.overlays.push(help);
        }
        Command::Back => back(model),
        Command::Quit => effects.push(Effect::Quit),
        Command::Interrupt => {
            overlays::interrupt(model, effects);
        }
        Command::Suspend => effects.push(Effect::Suspend),
        Command::Refresh => {
            if let Cluster::Failed(..) = model.world.cluster {
                effects.push(Effect::Connect);
            }
            model.world.apply(Delta::Checking);
            effects.push(Effect::Inspect(model.inquiry(true)));
        }
        _ => effects.redraw = false,
    }
}

/// One step back: out of the zoom, out of the details, out of the remarks.
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
        overlays::command(model, step, effects);
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
            let inside = inner.contains((mouse.column, mouse.row).into());
            if inside {
                let line = usize::from(mouse.row - inner.y);
                match panel {
                    PanelId::Tasks => model.tasks.list.select_at(model.tasks.list.scroll() + line),
                    PanelId::Runs => model.runs.list.select_at(model.runs.list.scroll() + line),
                    PanelId::Preflight => model
                        .preflight
                        .list
                        .select_at(model.preflight.list.scroll() + line),
                    PanelId::Detail => {
                        detail::click(model, mouse.column - inner.x, mouse.row - inner.y, effects);
                    }
                }
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
    match panel {
        PanelId::Tasks => model.tasks.list.wheel(rows),
        PanelId::Runs => model.runs.list.wheel(rows),
        PanelId::Preflight => model.preflight.list.wheel(rows),
        PanelId::Detail => detail::wheel(model, rows, effects),
    }
    true
}
