//! The layout of the screen: from its area and the focus to rectangles.

use ratatui::layout::{Rect, Size};

use super::ids::PanelId;

/// Minimum columns for lists and Detail side by side.
pub(crate) const WIDE: u16 = 120;
/// Minimum size of the screen.
pub(crate) const SMALLEST: Size = Size::new(60, 15);

const PANELS: usize = PanelId::ALL.len();
/// The panels in the left column of a wide screen.
const LISTS: [PanelId; 3] = [PanelId::Tasks, PanelId::Runs, PanelId::Preflight];

/// The areas of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Areas {
    pub header: Rect,
    pub footer: Rect,
    /// Indexed by [`PanelId`].
    panels: [PanelArea; PANELS],
}

/// The area of a panel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PanelArea {
    /// The panel with title line and borders; empty if the panel is hidden.
    pub outer: Rect,
    /// The content; empty if only the title line is visible.
    pub inner: Rect,
    /// The top border is shared with the panel above.
    pub joined: bool,
    /// The panel has a bottom border.
    pub closed: bool,
    /// No panel is below.
    pub last: bool,
}

impl PanelArea {
    fn new(outer: Rect, joined: bool, last: bool) -> Self {
        let closed = last && outer.height > 1;
        let below = 1 + u16::from(closed);
        let inner = if outer.height > below && outer.width > 2 {
            Rect::new(
                outer.x + 1,
                outer.y + 1,
                outer.width - 2,
                outer.height - below,
            )
        } else {
            Rect::ZERO
        };
        Self {
            outer,
            inner,
            joined,
            closed,
            last,
        }
    }

    /// Returns the area of a separate box.
    #[must_use]
    pub fn closed(outer: Rect) -> Self {
        Self::new(outer, false, true)
    }
}

impl Areas {
    /// Whether lists and Detail are side by side.
    #[must_use]
    pub const fn side_by_side(&self) -> bool {
        self.panels[PanelId::Detail as usize].outer.x > self.header.x
    }

    #[must_use]
    pub const fn panel(&self, panel: PanelId) -> PanelArea {
        self.panels[panel as usize]
    }

    /// Returns the panel at a cell.
    #[must_use]
    pub fn panel_at(&self, column: u16, row: u16) -> Option<PanelId> {
        let at = ratatui::layout::Position::new(column, row);
        PanelId::ALL
            .into_iter()
            .find(|panel| self.panel(*panel).outer.contains(at))
    }
}

/// Divides `screen`. Returns `None` if it is too small. `split` is the width of the lists in percent.
#[must_use]
pub(crate) fn areas(screen: Rect, focus: PanelId, zoomed: bool, split: u16) -> Option<Areas> {
    if screen.width < SMALLEST.width || screen.height < SMALLEST.height {
        return None;
    }
    let row = Rect {
        height: 1,
        ..screen
    };
    let header = row;
    let footer = Rect {
        y: screen.bottom() - 1,
        ..row
    };
    let body = Rect {
        y: screen.y + 1,
        height: screen.height - 2,
        ..screen
    };
    let mut panels = [PanelArea::default(); PANELS];
    if zoomed {
        panels[focus as usize] = PanelArea::new(body, false, true);
    } else if screen.width < WIDE {
        stack(&mut panels, body, &PanelId::ALL, |panel| {
            if panel == focus { None } else { Some(1) }
        });
    } else {
        let share = u32::from(screen.width) * u32::from(split) / 100;
        let left = (share as u16).clamp(40, screen.width - 50);
        let lists = Rect {
            width: left,
            ..body
        };
        let detail = Rect {
            x: body.x + left,
            width: body.width - left,
            ..body
        };
        // Pre-flight and runs get the rows they usually need, tasks the rest.
        let checks = (body.height / 5).clamp(4, 9);
        let runs = (body.height * 3 / 10).clamp(5, 14);
        stack(&mut panels, lists, &LISTS, |panel| match panel {
            PanelId::Runs => Some(runs),
            PanelId::Preflight => Some(checks),
            PanelId::Tasks | PanelId::Detail => None,
        });
        panels[PanelId::Detail as usize] = PanelArea::new(detail, false, true);
    }
    Some(Areas {
        header,
        footer,
        panels,
    })
}

/// Stacks panels that share the borders between them. A panel without a height takes the remaining rows; the last panel
/// gets the bottom border.
fn stack(
    panels: &mut [PanelArea; PANELS],
    body: Rect,
    order: &[PanelId],
    height: impl Fn(PanelId) -> Option<u16>,
) {
    let fixed: u16 = order.iter().filter_map(|panel| height(*panel)).sum();
    let mut y = body.y;
    for (position, panel) in order.iter().enumerate() {
        let last = position + 1 == order.len();
        let wanted = height(*panel).unwrap_or_else(|| body.height.saturating_sub(fixed));
        let rows = wanted.min(body.bottom() - y);
        let outer = Rect::new(body.x, y, body.width, rows);
        panels[*panel as usize] = PanelArea::new(outer, position > 0, last);
        y += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_the_body() {
        for (width, height) in [
            (60, 15),
            (80, 24),
            (119, 30),
            (120, 24),
            (140, 40),
            (300, 90),
            (2_000, 15),
        ] {
            for focus in PanelId::ALL {
                for zoomed in [false, true] {
                    let areas = areas(Rect::new(0, 0, width, height), focus, zoomed, 42).unwrap();
                    let cells: u32 = PanelId::ALL
                        .iter()
                        .map(|panel| areas.panel(*panel).outer.area())
                        .sum();
                    assert_eq!(cells, u32::from(width) * u32::from(height - 2));
                    let inner = areas.panel(focus).inner;
                    assert!(
                        inner.height >= 2 && inner.width > 30,
                        "{width}x{height} {focus:?} {inner:?}"
                    );
                }
            }
        }
        let narrow = Rect::new(0, 0, 59, 40);
        assert_eq!(areas(narrow, PanelId::Tasks, false, 42), None);
    }

    #[test]
    fn narrow_screen_shows_titles_of_unfocused_panels() {
        let areas = areas(Rect::new(0, 0, 80, 24), PanelId::Runs, false, 42).unwrap();
        let heights = PanelId::ALL.map(|panel| areas.panel(panel).outer.height);
        assert_eq!(heights, [1, 19, 1, 1]);
    }
}
