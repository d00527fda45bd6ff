//! The Detail panel: tabs about the task, run or check that is selected in a list.
//!
//! A tab is one file with an implementation of [`Tab`](tab::Tab) and one row in [`tabs::tab`]. Data from outside is
//! requested with a [`DetailRequest`] when a tab is opened, and again when its version changes.

mod check;
mod commands;
mod diff;
mod events;
mod logs;
mod logs_tab;
mod page;
mod page_view;
mod preview;
mod preview_tab;
mod progress;
mod pull_request;
mod requests;
pub(crate) mod state;
mod tab;
mod tabs;
mod task;
mod timeline;
mod timeline_tab;
mod view;
mod yaml;

use ratatui::{buffer::Buffer, layout::Rect};

use super::panel::Panel;
use crate::{
    command::{Command, Context},
    draw::Title,
    effect::Effects,
    field::Field,
    ids::Subject,
    model::Model,
    theme::Theme,
    world::RunId,
};

pub(crate) use check::difference;
pub(crate) use logs::SourceChoice;
pub(crate) use pull_request::next_poll;
pub(crate) use requests::{choose_sources, handle_response, open_tab, refresh, show};
use tabs::tab;

/// The panel.
pub(super) struct Detail;

impl Panel for Detail {
    fn name(&self) -> &'static str {
        "Detail"
    }

    fn title(&self, model: &Model) -> Title {
        view::title(model)
    }

    fn contexts(&self, model: &Model) -> Vec<Context> {
        let detail = &model.detail;
        tab(detail.tab()).contexts(detail).to_vec()
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        view::view(model, theme, area, buffer);
    }

    fn fit(&self, model: &mut Model, content: Rect) {
        model.detail.fit(content);
    }

    fn command(&self, model: &mut Model, command: Command, effects: &mut Effects) -> bool {
        commands::command(model, command, effects)
    }

    fn subject(&self, model: &Model) -> Option<Subject> {
        model.detail.subject.clone()
    }

    fn run<'m>(&self, model: &'m Model) -> Option<&'m RunId> {
        model.detail.run()
    }

    fn is_typing(&self, model: &Model) -> bool {
        model.detail.typing()
    }

    fn open_field<'m>(&self, model: &'m mut Model) -> Option<&'m mut Field> {
        model.detail.field.as_mut()
    }

    fn typed(&self, model: &mut Model, effects: &mut Effects) {
        commands::typed(model, effects);
    }

    fn click(&self, model: &mut Model, column: u16, row: u16, effects: &mut Effects) {
        commands::click(model, column, row, effects);
    }

    fn wheel(&self, model: &mut Model, lines: isize, effects: &mut Effects) {
        tab(model.detail.tab()).wheel(&mut model.detail, lines);
        requests::continue_search(model, effects);
    }
}

#[cfg(test)]
mod tests;
