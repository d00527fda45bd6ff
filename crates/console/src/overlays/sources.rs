//! What a log comes from, each part to be shown or hidden: the window over the Logs tab.
//!
//! What is hidden is the log's own state; the window only points at a line of it, and the log behind it answers at once.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Overlay;
use crate::{
    command::Command,
    draw::RowPen,
    effect::Effects,
    list::List,
    model::Model,
    panels::{self, detail},
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Most lines shown at once.
const ROWS: u16 = 14;

/// Which of the log's sources the keys are at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    list: List<usize>,
}

/// Opens it over the log.
pub fn open(model: &mut Model) {
    let mut list = List::default();
    list.set_height(ROWS.into());
    list.set_rows((0..model.detail.sources().len()).collect());
    model.overlays.push(Overlay::Sources(Sources { list }));
}

impl Sources {
    /// What the keys do now, for the footer.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Mark, "show or hide"),
            (Command::Accept, "only this"),
            (Command::MarkAll, "all"),
            (Command::Cancel, "close"),
        ]
    }

    /// Draws it.
    pub fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let sources = model.detail.sources();
        let shown = sources.iter().filter(|source| source.shown).count();
        let title = format!("Sources  {shown} of {} shown", sources.len());
        let height = 2 + ROWS.min(sources.len().max(1) as u16);
        let area = super::window(screen, 60, height, &title, false, theme, buffer);
        let style = |scope| theme.style(scope);
        if sources.is_empty() {
            RowPen::new(buffer, area).left("Nothing has been said yet.", style(Scope::Muted));
        }
        let labels = sources.iter().map(|source| text::width(&source.label));
        let columns = labels.max().unwrap_or(0).min(32);
        for (at, row) in self.list.visible().zip(area.rows()) {
            let Some(source) = sources.get(self.list.rows()[at]) else {
                continue;
            };
            let (sign, scope) = if source.shown {
                (model.glyphs.done, source.scope)
            } else {
                (" ", Scope::Faint)
            };
            RowPen::new(buffer, row)
                .column(sign, 2, style(Scope::Good))
                .column(&source.label, columns, style(scope))
                .space(2)
                .left(&source.about, style(Scope::Muted));
            panels::emphasis(theme, buffer, row, at == self.list.cursor(), true);
        }
    }

    /// Sources that came since it was opened.
    fn refresh(&mut self, count: usize) {
        if self.list.rows().len() != count {
            self.list.set_rows((0..count).collect());
        }
    }
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let count = model.detail.sources().len();
    let Some(Overlay::Sources(sources)) = model.overlays.last_mut() else {
        return;
    };
    sources.refresh(count);
    let here = sources.list.selected().copied();
    match (command, here) {
        (Command::Mark, Some(source)) => {
            sources.list.move_by(1);
            detail::show_sources(model, detail::Pick::Toggle(source), effects);
        }
        (Command::Accept, Some(source)) => {
            model.overlays.pop();
            detail::show_sources(model, detail::Pick::Only(source), effects);
        }
        (Command::MarkAll, _) => detail::show_sources(model, detail::Pick::All, effects),
        _ => drop(panels::movement(&mut sources.list, command)),
    }
}
