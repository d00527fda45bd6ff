//! What the keys and the mouse do in the Detail panel.

use crate::{
    command::Command,
    effect::{Effect, Effects},
    field::Field,
    model::Model,
    overlays, panels,
    widgets::text_view::{Form, PromptKind, TextView},
};

use super::{Detail, Subject, Tab, Want, draw, go, go_on, refresh};

/// Columns that Left and Right scroll.
const SHIFT: isize = 8;

/// What is typed into the open field has changed.
pub fn typed(model: &mut Model, effects: &mut Effects) {
    let detail = &mut model.detail;
    let Some(words) = detail.field.as_ref().map(|field| field.text().to_owned()) else {
        return;
    };
    if detail.tab() == Tab::Timeline {
        detail.timeline.edit(&words);
    } else if let Some(view) = detail.text() {
        view.edit(|typed| *typed = words);
    }
    // What is looked for now need not wait for what was.
    detail.errand = None;
    go_on(model, effects);
}

/// Closes the field, keeping what was typed or not.
pub(super) fn close_field(detail: &mut Detail, keep: bool) {
    detail.field = None;
    if detail.tab() == Tab::Timeline {
        detail.timeline.answer(keep);
    } else if let Some(view) = detail.text() {
        view.answer(keep);
    }
}

/// Obeys a command; `false` when it is none of this panel's.
pub fn command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    if model.detail.typing() {
        match command {
            Command::Accept => close_field(&mut model.detail, true),
            Command::Cancel | Command::Back => close_field(&mut model.detail, false),
            _ => return false,
        }
        go_on(model, effects);
        return true;
    }
    if let Command::NextTab | Command::PreviousTab = command {
        let tabs = model.detail.tabs();
        let here = tabs
            .iter()
            .position(|tab| *tab == model.detail.tab())
            .unwrap_or_default();
        let step = if command == Command::NextTab {
            1
        } else {
            tabs.len() - 1
        };
        go(model, tabs[(here + step) % tabs.len()], effects);
        return true;
    }
    if let Some(obeyed) = own(model, command, effects) {
        return obeyed;
    }
    let obeyed = match model.detail.text() {
        Some(view) => text(view, command) || copies(model, command, effects),
        None => list(&mut model.detail, command),
    };
    if obeyed {
        go_on(model, effects);
    }
    obeyed
}

/// Commands that mean something of their own in a tab; `None` leaves them to what the tab is made of.
fn own(model: &mut Model, command: Command, effects: &mut Effects) -> Option<bool> {
    let detail = &mut model.detail;
    match (detail.tab(), command) {
        (Tab::Timeline, Command::Search) => {
            detail.timeline.ask();
            detail.field = Some(Field::default());
        }
        (_, Command::Search | Command::FilterLines) => {
            let view = detail.text()?;
            let kind = if command == Command::Search {
                PromptKind::Search
            } else {
                PromptKind::Filter
            };
            view.ask(kind);
            let typed = view.prompt().map_or("", |prompt| prompt.text()).to_owned();
            detail.field = Some(Field::new(typed));
        }
        (Tab::Check, Command::Fix) => {
            if let Some(Subject::Check(id)) = detail.subject.clone() {
                overlays::sheet(model, &id, effects);
            }
            return Some(true);
        }
        (Tab::Logs, Command::Raw) => detail.logs.toggle_raw(),
        (Tab::Logs, Command::Sources) => overlays::sources(model),
        (Tab::Logs, Command::Stages) => detail.logs.cycle_stages(),
        (Tab::Logs, Command::Previous) => detail.logs.cycle_earlier(),
        (Tab::Preview, Command::Raw) => {
            detail.preview.difference = !detail.preview.difference;
            detail.preview.settle();
        }
        (Tab::Preview, Command::Open) if !detail.preview.reading => detail.preview.reading = true,
        (Tab::Preview, Command::Back) if detail.preview.reading => {
            if !detail.preview.page.view.clear() {
                detail.preview.reading = false;
            }
        }
        (Tab::Timeline, Command::Open) => detail.timeline.toggle(),
        (Tab::Timeline, Command::Follow) => detail.timeline.toggle_follow(),
        (Tab::Timeline, Command::Copy) => {
            effects.push(Effect::Copy(detail.timeline.selected_text()?));
        }
        (Tab::Timeline, Command::Expand) => detail.timeline.toggle_edits(),
        (Tab::Timeline, Command::SearchNext) => detail.timeline.next_match(true),
        (Tab::Timeline, Command::SearchPrevious) => detail.timeline.next_match(false),
        (Tab::Timeline, Command::Back) => return Some(detail.timeline.clear()),
        (Tab::Timeline, Command::NextError) => detail.timeline.next_trouble(),
        (_, Command::Back) => return Some(detail.text()?.clear()),
        _ => return None,
    }
    refresh(model, effects);
    Some(true)
}

/// Moves in a text.
fn text(view: &mut TextView, command: Command) -> bool {
    match command {
        Command::Up => view.scroll(-1),
        Command::Down => view.scroll(1),
        Command::Left => view.shift(-SHIFT),
        Command::Right => view.shift(SHIFT),
        Command::Top => view.to_start(),
        Command::Bottom => view.to_end(),
        Command::HalfUp => view.page((-1, 2)),
        Command::HalfDown => view.page((1, 2)),
        Command::PageUp => view.page((-1, 1)),
        Command::PageDown => view.page((1, 1)),
        Command::SearchNext => view.next_match(true),
        Command::SearchPrevious => view.next_match(false),
        Command::NextError => view.next_error(),
        Command::Follow => view.toggle_follow(),
        Command::Wrap => view.toggle_wrap(),
        Command::Timestamps => view.cycle_stamps(),
        Command::SinceEver => view.set_since(None),
        Command::SinceMinute => view.set_since(Some(60)),
        Command::SinceFiveMinutes => view.set_since(Some(5 * 60)),
        Command::SinceQuarter => view.set_since(Some(15 * 60)),
        Command::SinceHour => view.set_since(Some(60 * 60)),
        Command::Mark => view.toggle_mark(),
        _ => return false,
    }
    true
}

/// Hands text out.
fn copies(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    let of = match &model.detail.subject {
        Some(Subject::Task(id) | Subject::Check(id)) => id.clone(),
        Some(Subject::Run(id)) => {
            let entry = model.world.runs.get(id);
            entry.map_or_else(|| id.clone(), |entry| entry.run.name().to_owned())
        }
        None => String::new(),
    };
    let detail = &mut model.detail;
    let name = format!("{of}-{}", detail.tab().name().to_lowercase());
    let export = match (detail.tab(), command) {
        (Tab::Logs, Command::Save) => Some(detail.logs.export(false)),
        (Tab::Logs, Command::SaveJson) => Some(detail.logs.export(true)),
        (_, Command::Save) => detail.text().map(|view| view.export(Form::default())),
        _ => None,
    };
    if let Some(export) = export {
        let export = Box::new(export);
        effects.push(Effect::Detail(Want::Save { name, export }));
        return true;
    }
    match (command, detail.text()) {
        (Command::Copy, Some(view)) => effects.push(Effect::Copy(view.shown_text())),
        _ => return false,
    }
    true
}

/// Moves in the list of a tab.
fn list(detail: &mut Detail, command: Command) -> bool {
    match detail.tab() {
        Tab::Timeline => {
            let list = &mut detail.timeline.list;
            let moved = panels::movement(list, command);
            if moved {
                detail.timeline.follow = list.cursor() + 1 == list.rows().len();
            }
            moved
        }
        Tab::Preview => {
            let moved = panels::movement(&mut detail.preview.list, command);
            if moved {
                detail.preview.settle();
            }
            moved
        }
        _ => false,
    }
}

/// A click, in columns and rows from the content's corner.
pub fn click(model: &mut Model, column: u16, row: u16, effects: &mut Effects) {
    if row == 0 {
        if let Some(tab) = draw::tab_at(&model.detail, column) {
            go(model, tab, effects);
        }
        return;
    }
    let line = usize::from(row.saturating_sub(draw::text_top(model.detail.tab())));
    let detail = &mut model.detail;
    match detail.tab() {
        Tab::Timeline => {
            let at = detail.timeline.list.scroll() + line;
            if at == detail.timeline.list.cursor() {
                detail.timeline.toggle();
            } else {
                detail.timeline.list.select_at(at);
            }
        }
        Tab::Preview => {
            detail.preview.reading = column >= draw::files_width(detail.area);
            if !detail.preview.reading {
                let at = detail.preview.list.scroll() + line;
                detail.preview.list.select_at(at);
                detail.preview.settle();
            }
        }
        _ => {}
    }
}

/// A turn of the wheel, in lines.
pub fn wheel(model: &mut Model, lines: isize, effects: &mut Effects) {
    let detail = &mut model.detail;
    match detail.tab() {
        Tab::Timeline => detail.timeline.list.wheel(lines),
        Tab::Preview => detail.preview.page.view.scroll(lines),
        _ => {
            if let Some(view) = detail.text() {
                view.scroll(lines);
            }
        }
    }
    go_on(model, effects);
}
