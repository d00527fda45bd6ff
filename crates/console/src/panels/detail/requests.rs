//! Requests the data that the open tab shows, and handles the responses.

use super::{logs::SourceChoice, tabs::tab};
use crate::{
    detail_io::{DetailRequest, DetailResponse},
    effect::{Effect, Effects},
    ids::{Subject, TabId},
    model::Model,
    widgets::{diff::ParsedDiff, text_view::TextView},
    world::RunId,
};
use flightdeck_core::runs::Stage;

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
        detail.close_field(false);
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
pub(super) fn continue_search(model: &mut Model, effects: &mut Effects) {
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
