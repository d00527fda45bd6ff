//! Drawing that the list panels and the overlays share: filter line, selected row, empty state, counts in the title.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::panel::Panel;
use crate::{
    command::{Command, Context},
    draw::{self, RowPen},
    filter::Filter,
    list::List,
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Least columns that remain for the typed text of a filter.
const TYPED: usize = 14;

/// Returns the pieces of a title about filter and marks: `3/12`, `2 selected`.
pub(super) fn counts<K: Clone + Ord>(
    list: &List<K>,
    filter: &Filter,
    (shown, total): (usize, usize),
) -> Vec<(String, Scope)> {
    let mut state = Vec::new();
    if !filter.is_empty() {
        state.push((format!("{shown}/{total}"), Scope::Accent));
    }
    if !list.marked().is_empty() {
        if !state.is_empty() {
            state.push((" · ".into(), Scope::Muted));
        }
        state.push((format!("{} selected", list.marked().len()), Scope::Mark));
    }
    if list.open_range().is_some() {
        state.push((" · range".into(), Scope::Accent));
    }
    state
}

/// Draws the open filter on the last line of a list. Returns the area left for the list.
pub(super) fn filter_line(
    model: &Model,
    panel: &dyn Panel,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let Some(filter) = panel.filter(model).filter(|filter| filter.open) else {
        return area;
    };
    if area.height < 2 {
        return area;
    }
    let line = Rect::new(area.x, area.bottom() - 1, area.width, 1);
    draw::blank(buffer, line, theme.style(Scope::Text));
    let mut pen = RowPen::new(buffer, line);
    pen.left(" /", theme.style(Scope::Key));
    // Completions go to the right, as many as leave room for the typed text.
    let typed = text::width(filter.field.text()) + 4;
    let mut room = pen.room().saturating_sub(typed.max(TYPED));
    let completions: Vec<String> = filter
        .completions(&panel.filter_columns(model))
        .into_iter()
        .map(|word| text::sanitize(&word).into_owned())
        .take_while(|word| {
            let fits = text::width(word) < room;
            room = room.saturating_sub(text::width(word) + 1);
            fits
        })
        .collect();
    pen.right_space(1)
        .right(&completions.join(" "), theme.style(Scope::InputPlaceholder));
    let hint = if completions.is_empty() {
        "words, !exclude, column:word"
    } else {
        ""
    };
    draw::field(&mut pen, theme, &filter.field, hint, true);
    Rect {
        height: area.height - 1,
        ..area
    }
}

/// Highlights a drawn row if it is selected.
pub(crate) fn highlight_row(
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
        // Only the background, so that the colours of states stay readable.
        let style = theme.style(scope);
        let mut over = Style::new().add_modifier(style.add_modifier);
        over.bg = style.bg;
        buffer.set_style(row, over);
    }
}

/// Draws an empty state: a sentence, and the keys for what to do next.
pub(crate) fn empty_state(
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
            let key = model.keymap.key_for(&contexts, *command);
            let key = key.or_else(|| model.keymap.key_for(&Context::ALL, *command))?;
            Some((key, *label))
        })
        .collect();
    let line = Rect::new(text.x, text.y + rows, text.width, 1);
    draw::hints(
        &mut RowPen::new(buffer, line),
        theme,
        keys.iter().map(|(key, label)| (key.as_str(), *label)),
    );
}
