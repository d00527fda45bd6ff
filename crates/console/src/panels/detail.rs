//! The Detail panel: tabs about the task, run or check that is selected in a list.
//!
//! A tab is one file with an implementation of [`Tab`](tab::Tab) and one row in [`tab::tab`]. Data from outside is
//! requested with a [`DetailRequest`] when a tab is opened, and again when its version changes.

mod check;
mod commands;
mod diff;
mod events;
mod logs;
mod logs_tab;
mod page;
mod preview;
mod preview_tab;
mod progress;
mod pull_request;
pub(crate) mod state;
mod tab;
mod task;
mod timeline;
mod timeline_tab;
mod view;
mod yaml;

use ratatui::{buffer::Buffer, layout::Rect};

use super::Panel;
use crate::{
    command::{Command, Context},
    detail_io::{DetailRequest, DetailResponse},
    draw::Title,
    effect::{Effect, Effects},
    field::Field,
    ids::{Subject, TabId},
    model::Model,
    theme::Theme,
    widgets::{diff::ParsedDiff, text_view::TextView},
    world::RunId,
};
use flightdeck_core::runs::Stage;

pub(crate) use check::difference;
pub(crate) use logs::{SourceChoice, SourceInfo};
pub(crate) use pull_request::next_poll;
use state::DetailPanel;
use tab::tab;

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
        continue_search(model, effects);
    }
}

impl DetailPanel {
    /// Whether the open tab can grow.
    pub fn can_follow(&self) -> bool {
        tab(self.tab()).can_follow(self)
    }

    /// Whether the open tab has a raw or alternative view.
    pub fn has_raw(&self) -> bool {
        tab(self.tab()).has_raw(self)
    }

    /// Whether a container of the run has written several logs.
    pub fn has_previous_log(&self) -> bool {
        self.logs.has_previous()
    }

    /// Returns the sources of the log.
    pub fn sources(&self) -> Vec<SourceInfo> {
        self.logs.source_infos()
    }

    /// Returns the text that keys scroll and search, if the open tab shows one.
    fn text(&mut self) -> Option<&mut TextView> {
        tab(self.tab()).text(self)
    }

    /// Adapts the tabs to the size of the panel's content.
    pub fn fit(&mut self, area: Rect) {
        self.area = area;
        let inside = view::text_area(area, self.tab());
        self.logs.view.resize(inside.width, inside.height);
        self.preview.page.view.resize(inside.width, inside.height);
        for page in self.pages.values_mut() {
            page.view.resize(inside.width, inside.height);
        }
        self.preview.list.set_height(inside.height.into());
        // Always at the size it has when open: laying out its steps is expensive.
        let steps = view::text_area(area, TabId::Timeline);
        self.timeline.fit(steps.width.into(), steps.height.into());
    }
}

/// Shows a subject, or nothing.
pub(crate) fn show(model: &mut Model, subject: Option<Subject>, effects: &mut Effects) {
    if model.detail.subject == subject {
        return;
    }
    model.detail.subject = subject;
    let requested = std::mem::take(&mut model.detail.requested);
    model.detail.reset();
    model.detail.fit(model.detail.area);
    refresh(model, effects);
    for owner in requested.keys() {
        if !model.detail.requested.contains_key(owner) {
            effects.list.extend(tab(*owner).stop().map(Effect::Detail));
        }
    }
}

/// Opens a tab.
pub(crate) fn open_tab(model: &mut Model, id: TabId, effects: &mut Effects) {
    let detail = &mut model.detail;
    if detail.typing() {
        commands::close_field(detail, false);
    }
    match detail.subject {
        Some(Subject::Run(_)) => detail.run_tab = Some(id),
        Some(Subject::Check(_)) => {}
        Some(Subject::Task(_)) | None => detail.task_tab = id,
    }
    detail.requested.retain(|owner, _| {
        let stops = *owner != id && tab(*owner).stops_when_hidden();
        if stops {
            effects.list.extend(tab(*owner).stop().map(Effect::Detail));
        }
        !stops
    });
    detail.fit(detail.area);
    if detail.tab() == TabId::Timeline {
        detail.timeline.refresh();
    }
    refresh(model, effects);
}

/// Shows or hides sources of the log.
pub(crate) fn choose_sources(model: &mut Model, choice: SourceChoice, effects: &mut Effects) {
    model.detail.logs.choose(choice);
    continue_search(model, effects);
}

/// Brings the open tab up to date with the world, and requests the data it lacks.
pub(crate) fn refresh(model: &mut Model, effects: &mut Effects) {
    let open = tab(model.detail.tab());
    if let Some(fetch) = open.fetch(model) {
        let detail = &mut model.detail;
        let before = detail.requested.insert(fetch.owner, fetch.version.clone());
        if before.as_ref() != Some(&fetch.version) {
            if before.is_some() && matches!(fetch.request, DetailRequest::Log { .. }) {
                detail.reset_log();
                detail.fit(detail.area);
            }
            effects.push(Effect::Detail(fetch.request));
        }
    }
    open.refresh(model);
    continue_search(model, effects);
}

/// Handles a response. Responses about something that is no longer shown are ignored.
pub(crate) fn handle_response(model: &mut Model, response: DetailResponse, effects: &mut Effects) {
    let detail = &mut model.detail;
    let shown = |run: &RunId| matches!(&detail.subject, Some(Subject::Run(id)) if id == run);
    match response {
        DetailResponse::Files(run, files) if shown(&run) => detail.preview.set_live(files),
        DetailResponse::LogRestarted(run) if shown(&run) => {
            if !detail.logs.view.is_empty() {
                detail.reset_log();
                detail.fit(detail.area);
            }
        }
        DetailResponse::Log(run, items) if shown(&run) => {
            let agent = items.iter().filter(|item| {
                let source = item.source.as_ref();
                source.is_some_and(|source| source.stage == Stage::Agent)
            });
            for item in agent {
                detail.timeline.add(item.at, &item.text);
            }
            // A hidden timeline is rebuilt when it is opened.
            if detail.tab() == TabId::Timeline {
                detail.timeline.refresh();
            }
            let offset = model.zone.to_offset(model.now).seconds();
            detail.logs.view.set_utc_offset(offset.into());
            detail.logs.add(&items);
        }
        DetailResponse::ContinueSearch => {}
        DetailResponse::LogEnded(run, error) if shown(&run) => detail.logs.end(error),
        DetailResponse::Diff(run, result) if shown(&run) => {
            detail.diff = result.map(|text| ParsedDiff::parse(&text)).into();
        }
        DetailResponse::PullRequest(run, result) if shown(&run) => {
            detail.pull_request = result.map(|found| *found).into();
        }
        DetailResponse::Documents(_, documents) if detail.run().is_none() => {
            detail.documents = documents;
        }
        DetailResponse::BackgroundDone(number, task) => {
            let Some(id) = detail.background.finish(number) else {
                effects.redraw = false;
                return;
            };
            if let Some(view) = tab(id).text(detail) {
                view.apply_result(*task);
            }
        }
        DetailResponse::Files(..)
        | DetailResponse::LogRestarted(_)
        | DetailResponse::Log(..)
        | DetailResponse::LogEnded(..)
        | DetailResponse::Diff(..)
        | DetailResponse::PullRequest(..)
        | DetailResponse::Documents(..) => {
            effects.redraw = false;
            return;
        }
    }
    refresh(model, effects);
}

/// Continues the search of the open tab. Work of more than a moment is done in the background, one task at a time.
fn continue_search(model: &mut Model, effects: &mut Effects) {
    let detail = &mut model.detail;
    let id = detail.tab();
    if id == TabId::Timeline {
        if detail.timeline.continue_search() {
            effects.push(Effect::Detail(DetailRequest::ContinueSearch));
        }
        return;
    }
    let Some(view) = detail.text() else { return };
    if view.work()
        && detail.background.is_idle()
        && let Some(task) = detail.text().and_then(TextView::background_task)
    {
        let number = detail.background.start(id);
        let request = DetailRequest::Background(number, Box::new(task));
        effects.push(Effect::Detail(request));
    }
}

#[cfg(test)]
mod tests;
