//! The sources of a log, each of which can be shown or hidden.
//!
//! Which sources are hidden is state of the log. This window only selects one; the log behind it changes immediately.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    overlay::{Next, Overlay},
    window::Window,
};
use crate::{
    command::{Command, Context},
    draw::RowPen,
    effect::Effects,
    list::List,
    model::Model,
    panels::{self, detail},
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Rows of the list.
const ROWS: u16 = 14;

#[derive(Clone, Debug, PartialEq, Eq)]
struct LogSources {
    list: List<usize>,
}

/// Opens the list for the log in the Detail panel.
pub(crate) fn open(model: &mut Model) {
    let mut list = List::default();
    list.set_height(ROWS.into());
    list.set_rows((0..model.detail.sources().len()).collect());
    model.overlays.push(LogSources { list });
}

impl LogSources {
    /// Adds sources that appeared since it was opened.
    fn sync(&mut self, count: usize) {
        if self.list.rows().len() != count {
            self.list.set_rows((0..count).collect());
        }
    }
}

impl Overlay for LogSources {
    fn title(&self) -> String {
        "Sources".into()
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Sources, Context::Overlay]
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Mark, "show/hide"),
            (Command::Accept, "only this"),
            (Command::MarkAll, "all"),
            (Command::Cancel, "close"),
        ]
    }

    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next {
        self.sync(model.detail.sources().len());
        let selected = self.list.selected().copied();
        match (command, selected) {
            (Command::Mark, Some(source)) => {
                self.list.move_by(1);
                detail::choose_sources(model, detail::SourceChoice::Toggle(source), effects);
            }
            (Command::Accept, Some(source)) => {
                detail::choose_sources(model, detail::SourceChoice::Only(source), effects);
                return Next::Close;
            }
            (Command::MarkAll, _) => {
                detail::choose_sources(model, detail::SourceChoice::All, effects);
            }
            _ => drop(self.list.move_selection(command)),
        }
        Next::Stay
    }

    fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let sources = model.detail.sources();
        let shown = sources.iter().filter(|source| source.shown).count();
        let title = format!("{}  {shown} of {} shown", self.title(), sources.len());
        let window = Window {
            width: 60,
            height: 2 + ROWS.min(sources.len().max(1) as u16),
            title: &title,
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let style = |scope| theme.style(scope);
        if sources.is_empty() {
            RowPen::new(buffer, area).left("No log lines yet.", style(Scope::Muted));
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
            panels::list_view::highlight_row(theme, buffer, row, at == self.list.cursor(), true);
        }
    }
}
