//! Lines to go from: what is wrong with the plan, what a task waits for, which commands were run. The selected one is told in full below the list.
//!
//! What is listed is derived from the world by [`Of`], and derived anew whenever that changes.

mod commands;
mod dependencies;
mod findings;
mod health;

use std::path::PathBuf;

use ratatui::{buffer::Buffer, layout::Rect};

use super::Overlay;
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effect, Effects},
    list::List,
    model::{Model, PanelId},
    panels::{self, detail},
    theme::{Scope, Theme},
    world::{RunId, TaskId},
};

/// What is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// What is wrong with the plan's file, or was tolerated in it.
    Findings,
    /// What is wrong with the runs under way.
    Health,
    /// What holds a task up, and what it holds up.
    Dependencies(TaskId),
    /// What was run on the person's behalf.
    Commands,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    /// Pieces with what they mean; a piece may have a width of its own.
    pieces: Vec<(String, Scope, Option<usize>)>,
    /// All there is to say, a paragraph an item.
    full: Vec<(String, Scope)>,
    /// Where Enter leads.
    go: Option<Go>,
}

/// Where a line leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Go {
    /// A file in the person's editor, at a line.
    Edit(PathBuf, usize),
    /// A task in its list.
    Task(TaskId),
    /// What a run's agent did.
    Run(RunId),
}

/// The lines of something, and which of them is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    of: Of,
    rows: Vec<Row>,
    list: List<usize>,
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 104;
/// Borders.
const FRAME: u16 = 2;

impl Of {
    fn title(&self, rows: usize) -> String {
        match self {
            Self::Findings => format!("Findings · {rows}"),
            Self::Health => format!("What is wrong with the runs · {rows}"),
            Self::Dependencies(id) => format!("What {id} waits for, and what waits for it"),
            Self::Commands => format!("Commands run for you · {rows}"),
        }
    }

    /// Rows below the list for the selected line in full, the empty one between included.
    const fn below(&self) -> u16 {
        match self {
            Self::Findings | Self::Health | Self::Dependencies(_) => 4,
            // What a command printed is what one looks for here.
            Self::Commands => 9,
        }
    }

    /// What is said when there is nothing to list.
    const fn nothing(&self) -> &'static str {
        match self {
            Self::Findings => "The plan's file is in order: nothing had to be tolerated.",
            Self::Health => "Nothing: every run under way goes on.",
            Self::Dependencies(_) => {
                "It waits for nothing that is not done, and nothing waits for it."
            }
            Self::Commands => {
                "Nothing yet. Every git command that changes something or talks to a remote is listed here."
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
pub fn open(model: &mut Model, of: Of) {
    let mut listing = Listing {
        of,
        rows: Vec::new(),
        list: List::default(),
    };
    listing.refresh(model);
    model.overlays.push(Overlay::Listing(listing));
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let Some(Overlay::Listing(listing)) = model.overlays.last_mut() else {
        return;
    };
    if command != Command::Accept {
        panels::movement(&mut listing.list, command);
        return;
    }
    match listing.selected().and_then(|row| row.go.clone()) {
        // The list stays: when the editor is left, the next one is a key away.
        Some(Go::Edit(path, line)) => effects.push(Effect::Edit(path, line)),
        Some(Go::Task(id)) => {
            model.overlays.pop();
            if model.tasks.go_to(&id, &model.world.plan) {
                model.focus_on(PanelId::Tasks);
            }
        }
        Some(Go::Run(id)) => {
            model.overlays.pop();
            model.focus_on(PanelId::Runs);
            if model.runs.list.select(&id) {
                detail::show(model, Some(detail::Subject::Run(id)), effects);
                detail::go(model, detail::Tab::Timeline, effects);
                model.focus_on(PanelId::Detail);
            }
        }
        None => {}
    }
}

impl Listing {
    /// Derives the lines anew; the selection stays on its row.
    pub fn refresh(&mut self, model: &Model) {
        self.rows = self.of.rows(model);
        self.list.set_rows((0..self.rows.len()).collect());
        self.list
            .set_height(usize::from(self.list_height(model.size.height)));
    }

    fn selected(&self) -> Option<&Row> {
        self.rows.get(*self.list.selected()?)
    }

    /// Rows of the list on a screen of that height.
    fn list_height(&self, screen: u16) -> u16 {
        let most = screen.saturating_sub(2 + FRAME + self.of.below()).max(1);
        most.min(self.rows.len() as u16).max(1)
    }

    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        let go = self.selected().and_then(|row| row.go.as_ref());
        let mut hints: Vec<(Command, &'static str)> = Vec::new();
        hints.extend(go.map(|go| match go {
            Go::Edit(..) => (Command::Accept, "edit there"),
            Go::Task(_) | Go::Run(_) => (Command::Accept, "go to it"),
        }));
        hints.extend([(Command::Down, "next"), (Command::Cancel, "close")]);
        hints
    }

    /// Draws it.
    pub fn view(&self, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let rows = self.list_height(screen.height);
        let title = self.of.title(self.rows.len());
        let height = rows + self.of.below() + FRAME;
        let area = super::window(screen, WIDTH, height, &title, false, theme, buffer);
        if self.rows.is_empty() {
            draw::paragraph(buffer, area, self.of.nothing(), theme.style(Scope::Muted));
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
            panels::emphasis(theme, buffer, row, at == self.list.cursor(), true);
        }
        let mut below = Rect {
            y: area.y + rows + 1,
            height: area.height.saturating_sub(rows + 1),
            ..area
        };
        for (words, scope) in self.selected().iter().flat_map(|row| &row.full) {
            let taken = draw::paragraph(buffer, below, words, theme.style(*scope));
            below.y += taken;
            below.height -= taken;
        }
    }
}
