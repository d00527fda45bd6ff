//! Drawing of the Detail panel: title, tab bar, and the open tab below.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    page_view::row,
    state::DetailPanel,
    tabs::{tab, text_area},
};
use crate::{
    command::Command,
    draw::{RowPen, Title},
    ids::{Subject, TabId},
    model::Model,
    panels::list_view,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// Columns between two tabs.
const GAP: u16 = 2;

/// Returns the tab at a column of the tab bar.
pub(super) fn tab_at(detail: &DetailPanel, column: u16) -> Option<TabId> {
    let mut x = 1;
    detail.tabs().into_iter().find(|id| {
        let from = x;
        x += tab(*id).title().len() as u16 + GAP;
        (from..x).contains(&column)
    })
}

/// Returns the title line.
pub(super) fn title(model: &Model) -> Title {
    let detail = &model.detail;
    let open = tab(detail.tab());
    let mut pieces = open.status(detail);
    let text = open.shown_text(detail);
    pieces.extend(text.map(|view| (view.status_text(), Scope::Muted)));
    let mut state: Vec<(String, Scope)> = Vec::new();
    for (words, scope) in pieces {
        if words.is_empty() {
            continue;
        }
        if !state.is_empty() {
            state.push((" · ".into(), Scope::Muted));
        }
        state.push((words, scope));
    }
    Title {
        about: text::sanitize(&subject_title(model)).into_owned(),
        state,
        ..Title::default()
    }
}

fn subject_title(model: &Model) -> String {
    let world = &model.world;
    match &model.detail.subject {
        Some(Subject::Task(id)) => {
            let task = world.plan.get().and_then(|plan| plan.task(id));
            task.map_or_else(|| id.clone(), |task| format!("{id} {}", task.title))
        }
        Some(Subject::Run(id)) => {
            let entry = world.runs.get(id);
            entry.map_or_else(String::new, |entry| entry.run.name().to_owned())
        }
        Some(Subject::Check(id)) => {
            let check = world.checks.get(id);
            check.map_or_else(|| id.clone(), |check| check.title.to_owned())
        }
        None => String::new(),
    }
}

/// Draws the content.
pub(super) fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let detail = &model.detail;
    if detail.subject.is_none() {
        let next = [(Command::Refresh, "reload"), (Command::Help, "keys")];
        let sentence = "Nothing selected. Select a task or a run in a list.";
        list_view::empty_state(model, theme, area, buffer, sentence, &next);
        return;
    }
    tab_bar(detail, theme, area, buffer);
    let id = detail.tab();
    tab(id).view(model, theme, area, text_area(area, id), buffer);
}

fn tab_bar(detail: &DetailPanel, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, row(area, 0));
    for id in detail.tabs() {
        let scope = if id == detail.tab() {
            Scope::TabActive
        } else {
            Scope::Tab
        };
        pen.left(tab(id).title(), theme.style(scope))
            .space(GAP.into());
    }
}
