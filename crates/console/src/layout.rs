//! Where everything is on the screen. Pure: an area and what has the focus in, rectangles out.

use ratatui::layout::{Rect, Size};

use super::model::PanelId;

/// From this many columns on lists and details stand side by side.
pub const WIDE: u16 = 120;
/// Below this nothing useful fits.
pub const SMALLEST: Size = Size::new(60, 15);

/// The screen, cut up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Areas {
    pub header: Rect,
    pub footer: Rect,
    /// In the order of [`PanelId::ALL`].
    panels: [PanelArea; 4],
}

/// Where a panel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PanelArea {
    /// With its title line and borders; empty when the panel is hidden.
    pub outer: Rect,
    /// What is left for its content; empty when only the title line shows.
    pub inner: Rect,
    /// Its top line closes the panel above as well.
    pub joined: bool,
    /// A bottom line is drawn: no panel below shares its own top line.
    pub closed: bool,
    /// No panel stands below it.
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
}

impl PanelArea {
    /// A box by itself.
    #[must_use]
    pub fn closed(outer: Rect) -> Self {
        Self::new(outer, false, true)
    }
}

impl Areas {
    /// Whether lists and details stand side by side.
    #[must_use]
    pub const fn side_by_side(&self) -> bool {
        self.panels[PanelId::Detail as usize].outer.x > self.header.x
    }

    /// Where a panel is.
    #[must_use]
    pub const fn panel(&self, panel: PanelId) -> PanelArea {
        self.panels[panel as usize]
    }

    /// The panel at a place.
    #[must_use]
    pub fn panel_at(&self, column: u16, row: u16) -> Option<PanelId> {
        let at = ratatui::layout::Position::new(column, row);
        PanelId::ALL
            .into_iter()
            .find(|panel| self.panel(*panel).outer.contains(at))
    }
}

/// Divides `screen`; `None` when it is too small. `split` is the width of the lists in percent.
#[must_use]
pub fn areas(screen: Rect, focus: PanelId, zoomed: bool, split: u16) -> Option<Areas> {
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
    let mut panels = [PanelArea::default(); 4];
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
        // Pre-flight and runs keep to what they need most of the time; the tasks have the rest.
        let checks = (body.height / 5).clamp(4, 9);
        let runs = (body.height * 3 / 10).clamp(5, 14);
        stack(&mut panels, lists, &PanelId::LISTS, |panel| match panel {
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

/// Panels on top of one another, sharing the lines between them. The one without a height takes what is left; the last
/// one gets the bottom line.
fn stack(
    panels: &mut [PanelArea; 4],
    body: Rect,
    order: &[PanelId],
    height: impl Fn(PanelId) -> Option<u16>,
) {
    let fixed: u16 = order.iter().filter_map(|panel| height(*panel)).sum();
    let mut y = body.y;
    for (position, panel) in order.iter().enumerate() {
        let last = position + 1 == order.len();
        let given = height(*panel).unwrap_or_else(|| body.height.saturating_sub(fixed));
        let rows = given.min(body.bottom() - y);
        let outer = Rect::new(body.x, y, body.width, rows);
        panels[*panel as usize] = PanelArea::new(outer, position > 0, last);
        y += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_body_belongs_to_one_panel() {
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
    fn on_a_narrow_screen_the_others_are_their_title_lines() {
        let areas = areas(Rect::new(0, 0, 80, 24), PanelId::Runs, false, 42).unwrap();
        let heights = PanelId::ALL.map(|panel| areas.panel(panel).outer.height);
        assert_eq!(heights, [1, 19, 1, 1]);
    }
}
