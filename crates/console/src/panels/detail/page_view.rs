//! Drawing that the tabs share: a page, an empty state, a row.

use ratatui::{buffer::Buffer, layout::Rect};

use super::page::Page;
use crate::{command::Command, model::Model, panels::list_view, theme::Theme, widgets::text_view};

/// Draws a page.
pub(super) fn page(model: &Model, theme: &Theme, page: &Page, area: Rect, buffer: &mut Buffer) {
    match &page.empty {
        Some((sentence, keys)) => empty_state(model, theme, area, buffer, sentence, keys),
        None => text_view::draw(&page.view, theme, area, buffer),
    }
}

/// Draws an empty state over the area of a text.
pub(super) fn empty_state(
    model: &Model,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
    sentence: &str,
    keys: &[(Command, &str)],
) {
    // An empty state has its own margin of one column.
    let area = Rect {
        x: area.x.saturating_sub(1),
        width: area.width + 2,
        ..area
    };
    list_view::empty_state(model, theme, area, buffer, sentence, keys);
}

/// Returns a row of `area` without its first and last column.
pub(super) fn row(area: Rect, y: u16) -> Rect {
    let inside = Rect {
        x: area.x + 1,
        y: area.y + y,
        width: area.width.saturating_sub(2),
        height: 1,
    };
    inside.intersection(area)
}
