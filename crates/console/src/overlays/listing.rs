//! Lists: problems of the plan file, unhealthy runs, dependencies of a task, git commands. The selected line is shown in
//! full below the list.
//!
//! The rows are derived from the world, and rebuilt after each change.

mod commands;
mod dependencies;
mod findings;
mod health;
mod row;

use ratatui::{buffer::Buffer, layout::Rect};

use self::row::{Link, Row};
use super::{
    overlay::{Next, Overlay},
    window::Window,
};
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effects, TerminalEffect},
    ids::{PanelId, Subject, TabId},
    list::List,
    model::Model,
    panels::{self, detail},
    theme::{Scope, Theme},
    world::TaskId,
};

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListingSource {
    /// Problems of the plan file.
    Findings,
    /// Problems of active runs.
    Health,
    /// What blocks a task, and what it blocks.
    Dependencies(TaskId),
    /// Git commands that were run for the user.
    Commands,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listing {
    source: ListingSource,
    rows: Vec<Row>,
    list: List<usize>,
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 104;
/// Rows of the top and bottom borders.
const FRAME: u16 = 2;

impl ListingSource {
    fn title(&self, rows: usize) -> String {
        match self {
            Self::Findings => format!("Findings · {rows}"),
            Self::Health => format!("Run health · {rows}"),
            Self::Dependencies(id) => format!("Dependencies of {id}"),
            Self::Commands => format!("Git commands · {rows}"),
        }
    }

    /// Rows for the full text of the selected line, including the gap above.
    const fn detail_rows(&self) -> u16 {
        match self {
            Self::Findings | Self::Health | Self::Dependencies(_) => 4,
            // Includes the output of the command.
            Self::Commands => 9,
        }
    }

    /// Text of an empty list.
    const fn empty(&self) -> &'static str {
        match self {
            Self::Findings => "The plan file has no problems.",
            Self::Health => "All runs healthy.",
            Self::Dependencies(_) => "No open dependencies, and no task depends on it.",
            Self::Commands => {
                "No commands yet. Git commands that change something or contact a remote are listed here."
            }
        }
    }

    fn rows(&self, model: &Model) -> Vec<Row> {
        match self {
            Self::Findings => findings::rows(model),
            Self::Health => health::rows(model),
            Self::Dependencies(id) => dependencies::rows(model, id),
            Self::Commands => commands::rows(model),
        }
    }
}

/// Opens a list.
pub(crate) fn open(model: &mut Model, source: ListingSource) {
    let mut listing = Listing {
        source,
        rows: Vec::new(),
        list: List::default(),
    };
    listing.refresh(model);
    model.overlays.push(listing);
}

impl Listing {
    fn selected(&self) -> Option<&Row> {
        self.rows.get(*self.list.selected()?)
    }

    /// Rows of the list for a screen height.
    fn list_height(&self, screen: u16) -> u16 {
        let most = screen
            .saturating_sub(2 + FRAME + self.source.detail_rows())
            .max(1);
        most.min(self.rows.len() as u16).max(1)
    }
}

impl Overlay for Listing {
    fn title(&self) -> String {
        self.source.title(self.rows.len())
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        let link = self.selected().and_then(|row| row.link.as_ref());
        let mut hints: Vec<(Command, &'static str)> = Vec::new();
        hints.extend(link.map(|link| match link {
            Link::Edit(..) => (Command::Accept, "edit"),
            Link::Task(_) | Link::Run(_) => (Command::Accept, "go to"),
        }));
        hints.extend([(Command::Down, "next"), (Command::Cancel, "close")]);
        hints
    }

    // The selection stays on its row.
    fn refresh(&mut self, model: &Model) {
        self.rows = self.source.rows(model);
        self.list.set_rows((0..self.rows.len()).collect());
        self.list
            .set_height(usize::from(self.list_height(model.size.height)));
    }

    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next {
        if command != Command::Accept {
            self.list.move_selection(command);
            return Next::Stay;
        }
        match self.selected().and_then(|row| row.link.clone()) {
            // The list stays open: after the editor exits, the next row is one key away.
            Some(Link::Edit(path, line)) => {
                effects.push(TerminalEffect::Edit(path, line));
                Next::Stay
            }
            Some(Link::Task(id)) => {
                if model.tasks.go_to(&id, &model.world.plan) {
                    model.focus_on(PanelId::Tasks);
                }
                Next::Close
            }
            Some(Link::Run(id)) => {
                model.focus_on(PanelId::Runs);
                if model.runs.list.select(&id) {
                    detail::show(model, Some(Subject::Run(id)), effects);
                    detail::open_tab(model, TabId::Timeline, effects);
                    model.focus_on(PanelId::Detail);
                }
                Next::Close
            }
            None => Next::Stay,
        }
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let rows = self.list_height(screen.height);
        let window = Window {
            width: WIDTH,
            height: rows + self.source.detail_rows() + FRAME,
            title: &self.title(),
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        if self.rows.is_empty() {
            let empty = self.source.empty();
            draw::paragraph(buffer, area, empty, theme.style(Scope::Muted));
            return;
        }
        for (at, row) in self.list.visible().zip(area.rows()) {
            let mut pen = RowPen::new(buffer, row);
            for (words, scope, width) in &self.rows[at].pieces {
                match width {
                    Some(width) => pen.column(words, *width, theme.style(*scope)),
                    None => pen.left(words, theme.style(*scope)),
                };
            }
            panels::list_view::highlight_row(theme, buffer, row, at == self.list.cursor(), true);
        }
        let mut below = Rect {
            y: area.y + rows + 1,
            height: area.height.saturating_sub(rows + 1),
            ..area
        };
        for (words, scope) in self.selected().iter().flat_map(|row| &row.full) {
            let used = draw::paragraph(buffer, below, words, theme.style(*scope));
            below.y += used;
            below.height -= used;
        }
    }
}
