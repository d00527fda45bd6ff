//! Drawing of a text view: the visible rows, and the prompt below.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{PromptKind, TextView};
use crate::{
    draw::put_text,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Draws `view` into `area`, which must have the size of the view.
pub fn draw(view: &TextView, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for (row, y) in view.visible().iter().zip(area.top()..area.bottom()) {
        let mut x = area.left();
        for (words, scope) in &row.spans {
            let room = usize::from(area.right().saturating_sub(x));
            x = put_text(buffer, x, y, words, room, theme.style(*scope));
        }
    }
    if let Some(prompt) = view.prompt().filter(|_| area.height > 0) {
        let y = area.bottom() - 1;
        let sign = match prompt.kind() {
            PromptKind::Search => "/",
            PromptKind::Filter => "&",
        };
        let status = view.status_text();
        let hint = match prompt.kind() {
            _ if !prompt.text().is_empty() => status.as_str(),
            PromptKind::Search => SEARCH_HINT,
            PromptKind::Filter => "filter: word, !exclude, a & b",
        };
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        self::prompt(theme, row, buffer, (sign, prompt.text(), hint));
    }
}

/// Placeholder of an empty search.
pub(crate) const SEARCH_HINT: &str = "search";

/// Draws a prompt: its sign, the typed text, and a hint or the status.
pub(crate) fn prompt(
    theme: &Theme,
    row: Rect,
    buffer: &mut Buffer,
    (sign, typed, hint): (&str, &str, &str),
) {
    let y = row.y;
    let room = usize::from(row.width).saturating_sub(3);
    let typed = text::sanitize(typed);
    let x = put_text(buffer, row.left(), y, sign, 1, theme.style(Scope::Accent));
    let x = put_text(buffer, x, y, &typed, room, theme.style(Scope::Input));
    let x = put_text(buffer, x, y, "▏", 1, theme.style(Scope::Accent)) + 1;
    let room = usize::from(row.right().saturating_sub(x));
    let hint = text::cut_end(hint, room);
    put_text(
        buffer,
        x,
        y,
        &hint,
        room,
        theme.style(Scope::InputPlaceholder),
    );
}
