//! The panels: each lists or shows one thing, obeys its own commands, and draws itself.

pub mod detail;
pub mod preflight;
pub mod runs;
pub mod tasks;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    command::Command,
    draw::{self, RowPen, Title},
    filter::{Filter, Offer},
    list::List,
    model::{Model, PanelId},
    theme::{Scope, Theme},
};
use flightdeck_core::{runs::health::Remedy, text};

/// Moves within a list; `false` when the command is no movement.
pub fn movement<K: Clone + Ord>(list: &mut List<K>, command: Command) -> bool {
    match command {
        Command::Up => list.move_by(-1),
        Command::Down => list.move_by(1),
        Command::Top => list.select_at(0),
        Command::Bottom => list.select_at(usize::MAX),
        Command::HalfUp => list.page(-1, true),
        Command::HalfDown => list.page(1, true),
        Command::PageUp => list.page(-1, false),
        Command::PageDown => list.page(1, false),
        _ => return false,
    }
    true
}

/// The command that helps against what is wrong with a run, and what its key is called there.
#[must_use]
pub const fn help(help: Remedy) -> (Command, &'static str) {
    match help {
        Remedy::Stop => (Command::Stop, "stops it"),
        Remedy::Events => (Command::Describe, "shows the events"),
        Remedy::Timeline => (Command::NextError, "goes there"),
    }
}

/// A panel's title line.
pub fn title(model: &Model, panel: PanelId) -> Title {
    let mut title = match panel {
        PanelId::Tasks => tasks::title(model),
        PanelId::Runs => runs::title(model),
        PanelId::Preflight => preflight::title(model),
        PanelId::Detail => detail::title(model),
    };
    title.name = format!("{} {}", panel as usize + 1, panel.title());
    title
}

/// The columns a list's filter knows.
pub fn columns(model: &Model, panel: PanelId) -> Vec<Offer> {
    match panel {
        PanelId::Tasks => tasks::columns(model),
        PanelId::Runs => runs::columns(model),
        PanelId::Preflight | PanelId::Detail => Vec::new(),
    }
}

/// Draws a panel's content.
pub fn view(model: &Model, theme: &Theme, panel: PanelId, area: Rect, buffer: &mut Buffer) {
    match panel {
        PanelId::Tasks => tasks::view(model, theme, area, buffer),
        PanelId::Runs => runs::view(model, theme, area, buffer),
        PanelId::Preflight => preflight::view(model, theme, area, buffer),
        PanelId::Detail => detail::view(model, theme, area, buffer),
    }
}

/// What a title says of filters and marks: `3/12 shown`, `2 marked`.
fn list_state<K: Clone + Ord>(
    list: &List<K>,
    filter: &Filter,
    (shown, total): (usize, usize),
) -> Vec<(String, Scope)> {
    let mut state = Vec::new();
    if !filter.is_empty() {
        state.push((format!("filtered {shown}/{total}"), Scope::Accent));
    }
    if !list.marked().is_empty() {
        if !state.is_empty() {
            state.push((" · ".into(), Scope::Muted));
        }
        state.push((format!("{} marked", list.marked().len()), Scope::Mark));
    }
    if list.open_range().is_some() {
        state.push((" · range".into(), Scope::Accent));
    }
    state
}

/// Draws the filter being typed on the last line of a list; returns what is left for the list.
fn filter_line(
    model: &Model,
    panel: PanelId,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let filter = match panel {
        PanelId::Runs => &model.runs.filter,
        _ => &model.tasks.filter,
    };
    if !filter.open || area.height < 2 {
        return area;
    }
    let line = Rect::new(area.x, area.bottom() - 1, area.width, 1);
    draw::blank(buffer, line, theme.style(Scope::Text));
    let mut pen = RowPen::new(buffer, line);
    pen.left(" /", theme.style(Scope::Key));
    // How the word may go on stands at the right, as much of it as leaves room for what is typed.
    let typed = text::width(filter.field.text()) + 4;
    let mut room = pen.room().saturating_sub(typed.max(14));
    let more: Vec<String> = filter
        .continuations(&columns(model, panel))
        .into_iter()
        .map(|word| text::sanitize(&word).into_owned())
        .take_while(|word| {
            let fits = text::width(word) < room;
            room = room.saturating_sub(text::width(word) + 1);
            fits
        })
        .collect();
    pen.right_space(1)
        .right(&more.join(" "), theme.style(Scope::InputPlaceholder));
    let hint = if more.is_empty() {
        "words, !not, column:word"
    } else {
        ""
    };
    draw::field(&mut pen, theme, &filter.field, hint, true);
    Rect {
        height: area.height - 1,
        ..area
    }
}

/// Lays the selection and the marks over a row that is drawn.
pub(super) fn emphasis(
    theme: &Theme,
    buffer: &mut Buffer,
    row: Rect,
    selected: bool,
    focused: bool,
) {
    if selected {
        let scope = if focused {
            Scope::Selection
        } else {
            Scope::SelectionInactive
        };
        // The background alone: the colours of states stay readable.
        let style = theme.style(scope);
        let mut over = ratatui::style::Style::new().add_modifier(style.add_modifier);
        over.bg = style.bg;
        draw::lay(buffer, row, over);
    }
}

/// An empty state: a sentence, and the keys that lead on.
pub(super) fn empty(
    model: &Model,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
    sentence: &str,
    next: &[(Command, &str)],
) {
    let text = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    let rows = draw::paragraph(buffer, text, sentence, theme.style(Scope::Muted));
    if rows >= area.height {
        return;
    }
    let contexts = model.contexts();
    let keys: Vec<(String, &str)> = next
        .iter()
        .filter_map(|(command, label)| {
            let all = super::command::Context::ALL;
            let key = model.keymap.key_for(&contexts, *command);
            Some((
                key.or_else(|| model.keymap.key_for(&all, *command))?,
                *label,
            ))
        })
        .collect();
    let line = Rect::new(text.x, text.y + rows, text.width, 1);
    draw::hints(
        &mut RowPen::new(buffer, line),
        theme,
        keys.iter().map(|(key, label)| (key.as_str(), *label)),
    );
}
