//! The frame of a dialog, and parts that several dialogs share.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Modifier,
    widgets::{Clear, Widget},
};
use tui_textarea::{TextArea, WrapMode};

use crate::{
    command::Command,
    draw::{self, RowPen},
    layout::PanelArea,
    theme::{Scope, Theme},
};

/// Below this many columns a window takes the full width.
const NARROW: u16 = 100;

/// Size and frame of a window.
pub(super) struct Window<'w> {
    pub width: u16,
    pub height: u16,
    pub title: &'w str,
    /// Use the border of destructive actions.
    pub danger: bool,
}

impl Window<'_> {
    /// Draws an empty window in the middle of the screen. Returns the area inside.
    pub(super) fn draw(&self, theme: &Theme, screen: Rect, buffer: &mut Buffer) -> Rect {
        // Next to the borders of the panels, that of the window would only be noise.
        let width = if screen.width < NARROW {
            screen.width
        } else {
            self.width.min(screen.width.saturating_sub(4))
        };
        let height = self.height.min(screen.height.saturating_sub(2));
        let outer = Rect::new(
            screen.x + (screen.width - width) / 2,
            screen.y + (screen.height - height) / 2,
            width,
            height,
        );
        Clear.render(outer, buffer);
        buffer.set_style(outer, theme.style(Scope::Text));
        let border = if self.danger {
            Scope::BorderDanger
        } else {
            Scope::BorderFocused
        };
        let area = PanelArea::closed(outer);
        draw::border(buffer, area, theme.style(border), ("╭", "╮"));
        let name = Rect::new(outer.x + 1, outer.y, outer.width.saturating_sub(2), 1);
        RowPen::new(buffer, name)
            .left(" ", theme.style(border))
            .left(self.title, theme.style(Scope::TitleFocused))
            .left(" ", theme.style(border));
        Rect {
            x: area.inner.x + 1,
            width: area.inner.width.saturating_sub(2),
            ..area.inner
        }
    }
}

/// Returns the scroll offset after a movement, at most `last`. A page is `page` lines.
pub(super) fn scrolled(at: usize, movement: Command, page: usize, last: usize) -> usize {
    match movement {
        Command::Up => at.saturating_sub(1),
        Command::Down => at + 1,
        Command::PageUp => at.saturating_sub(page),
        Command::PageDown => at + page,
        Command::Top => 0,
        Command::Bottom => last,
        _ => at,
    }
    .min(last)
}

/// Draws `… more` at the end of the bottom border if lines are hidden below.
pub(super) fn more_below(hidden: usize, area: Rect, theme: &Theme, buffer: &mut Buffer) {
    if hidden > 0 {
        let row = Rect::new(area.x, area.bottom(), area.width, 1);
        let words = format!(" {hidden} more ");
        RowPen::new(buffer, row).right(&words, theme.style(Scope::Muted));
    }
}

/// Draws a multi-line text area, with a cursor if it is in focus.
pub(super) fn text_area(
    text: &TextArea<'_>,
    theme: &Theme,
    area: Rect,
    focused: bool,
    placeholder: &str,
    buffer: &mut Buffer,
) {
    // The widget reserves a cell for its cursor before the placeholder, even without focus.
    if !focused && text.is_empty() {
        RowPen::new(buffer, area).left(placeholder, theme.style(Scope::InputPlaceholder));
        return;
    }
    // The widget stores its own viewport: the only part of the frame that does not derive from the model alone.
    let mut text = text.clone();
    text.set_wrap_mode(WrapMode::WordOrGlyph);
    text.set_style(theme.style(Scope::Input));
    text.set_cursor_style(if focused {
        theme.style(Scope::Input).add_modifier(Modifier::REVERSED)
    } else {
        theme.style(Scope::Input)
    });
    text.set_placeholder_text(placeholder);
    text.set_placeholder_style(theme.style(Scope::InputPlaceholder));
    (&text).render(area, buffer);
}
