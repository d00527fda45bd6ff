//! Drawing a text view: its visible rows, and below them what is being typed.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{PromptKind, TextView};
use crate::{
    draw::put_text,
    theme::{Scope, Theme},
};

/// Draws `view` into `area`, which has the size the view was last told.
pub fn draw(view: &TextView, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for (row, y) in view.visible().iter().zip(area.top()..area.bottom()) {
        let mut x = area.left();
        for (text, scope) in &row.spans {
            let room = usize::from(area.right().saturating_sub(x));
            x = put_text(buffer, x, y, text, room, theme.style(*scope));
        }
    }
    if let Some(prompt) = view.prompt().filter(|_| area.height > 0) {
        let y = area.bottom() - 1;
        let sign = match prompt.kind() {
            PromptKind::Search => "/",
            PromptKind::Filter => "&",
        };
        let state = view.state();
        let hint = match prompt.kind() {
            _ if !prompt.text().is_empty() => state.as_str(),
            PromptKind::Search => SEARCH_HINT,
            PromptKind::Filter => "keep lines with …   ! without   a & b both",
        };
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        self::prompt(theme, row, buffer, (sign, prompt.text(), hint));
    }
}

/// What a search says before anything is typed.
pub const SEARCH_HINT: &str = "search: Enter keeps, Esc goes back";

/// Draws what is being typed below a text: its sign, the words, and what they come to.
pub fn prompt(
    theme: &Theme,
    row: Rect,
    buffer: &mut Buffer,
    (sign, typed, hint): (&str, &str, &str),
) {
    let y = row.y;
    let room = usize::from(row.width).saturating_sub(3);
    let typed = flightdeck_core::text::sanitize(typed);
    let x = put_text(buffer, row.left(), y, sign, 1, theme.style(Scope::Accent));
    let x = put_text(buffer, x, y, &typed, room, theme.style(Scope::Input));
    let x = put_text(buffer, x, y, "▏", 1, theme.style(Scope::Accent)) + 1;
    let room = usize::from(row.right().saturating_sub(x));
    let hint = flightdeck_core::text::cut_end(hint, room);
    put_text(
        buffer,
        x,
        y,
        &hint,
        room,
        theme.style(Scope::InputPlaceholder),
    );
}
