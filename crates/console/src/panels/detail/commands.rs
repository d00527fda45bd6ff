//! Keys and mouse in the Detail panel.

use super::{
    requests::{continue_search, open_tab, refresh},
    state::DetailPanel,
    tabs::tab,
    view,
};
use crate::{
    command::Command,
    detail_io::DetailRequest,
    effect::{DesktopEffect, Effect, Effects},
    field::Field,
    ids::{Subject, TabId, next_of, previous_of},
    model::Model,
    widgets::text_view::{ExportFormat, PromptKind, TextView},
};

/// Columns that Left and Right scroll.
const SHIFT: isize = 8;

/// Handles a change of the text in the open field.
pub(super) fn typed(model: &mut Model, effects: &mut Effects) {
    let detail = &mut model.detail;
    let Some(words) = detail.field.as_ref().map(|field| field.text().to_owned()) else {
        return;
    };
    tab(detail.tab()).typed(detail, &words);
    // Do not wait for the previous search.
    detail.background.supersede();
    continue_search(model, effects);
}

/// Handles a command. Returns `false` if the panel has none of that name.
pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    if model.detail.typing() {
        match command {
            Command::Accept => model.detail.close_field(true),
            Command::Cancel | Command::Back => model.detail.close_field(false),
            _ => return false,
        }
        continue_search(model, effects);
        return true;
    }
    let open = model.detail.tab();
    match command {
        Command::NextTab => {
            let next = next_of(&model.detail.tabs(), open);
            open_tab(model, next, effects);
            return true;
        }
        Command::PreviousTab => {
            let previous = previous_of(&model.detail.tabs(), open);
            open_tab(model, previous, effects);
            return true;
        }
        _ => {}
    }
    let handled = tab(open).command(model, command, effects);
    if let Some(handled) = handled.or_else(|| text_prompt(&mut model.detail, command)) {
        if handled {
            refresh(model, effects);
        }
        return handled;
    }
    let handled = match model.detail.text() {
        Some(view) => scroll(view, command) || export(model, command, effects),
        None => tab(open).move_selection(&mut model.detail, command),
    };
    if handled {
        continue_search(model, effects);
    }
    handled
}

/// Opens or clears the search and the filter of the open tab's text.
fn text_prompt(detail: &mut DetailPanel, command: Command) -> Option<bool> {
    let kind = match command {
        Command::Search => PromptKind::Search,
        Command::FilterLines => PromptKind::Filter,
        Command::Back => return Some(detail.text()?.clear()),
        _ => return None,
    };
    let view = detail.text()?;
    view.open_prompt(kind);
    let typed = view.prompt().map_or("", |prompt| prompt.text()).to_owned();
    detail.field = Some(Field::new(typed));
    Some(true)
}

/// Scrolls and searches a text. Returns `false` for other commands.
fn scroll(view: &mut TextView, command: Command) -> bool {
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

/// Saves or copies the text of the open tab. Returns `false` for other commands.
fn export(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    let subject = match &model.detail.subject {
        Some(Subject::Task(id) | Subject::Check(id)) => id.clone(),
        Some(Subject::Run(id)) => {
            let entry = model.world.runs.get(id);
            entry.map_or_else(|| id.clone(), |entry| entry.run.name().to_owned())
        }
        None => String::new(),
    };
    let detail = &mut model.detail;
    let open = detail.tab();
    let name = format!("{subject}-{}", tab(open).title().to_lowercase());
    let export = match (open, command) {
        (TabId::Logs, Command::Save) => Some(detail.logs.export(false)),
        (TabId::Logs, Command::SaveJson) => Some(detail.logs.export(true)),
        (_, Command::Save) => detail
            .text()
            .map(|view| view.export(ExportFormat::default())),
        _ => None,
    };
    if let Some(export) = export {
        let export = Box::new(export);
        effects.push(Effect::Detail(DetailRequest::Save { name, export }));
        return true;
    }
    match (command, detail.text()) {
        (Command::Copy, Some(view)) => effects.push(DesktopEffect::Copy(view.visible_text())),
        _ => return false,
    }
    true
}

/// Handles a click at a position relative to the content.
pub(super) fn click(model: &mut Model, column: u16, row: u16, effects: &mut Effects) {
    if row == 0 {
        if let Some(id) = view::tab_at(&model.detail, column) {
            open_tab(model, id, effects);
        }
        return;
    }
    let detail = &mut model.detail;
    let open = tab(detail.tab());
    let above = open.insets(detail.area).above;
    open.click(detail, column, row.saturating_sub(above).into());
}
