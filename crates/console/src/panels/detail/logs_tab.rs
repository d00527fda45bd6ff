//! The Logs tab.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    logs::SourceFilter,
    page_view::empty_state,
    progress,
    state::DetailPanel,
    tab::{Fetch, Insets, Tab, shown_run},
};
use crate::{
    command::Command,
    detail_io::DetailRequest,
    effect::Effects,
    ids::TabId,
    model::Model,
    overlays,
    theme::{Scope, Theme},
    widgets::text_view::{self, TextView},
    world::RunEntry,
};

pub(super) struct LogsTab;

impl Tab for LogsTab {
    fn id(&self) -> TabId {
        TabId::Logs
    }

    fn title(&self) -> &'static str {
        "Logs"
    }

    fn fetch(&self, model: &Model) -> Option<Fetch> {
        let entry = shown_run(model)?;
        let run = &entry.run;
        Some(Fetch {
            owner: TabId::Logs,
            version: format!("{} {}", run.spec.context_version, entry.removed),
            request: DetailRequest::Log {
                run: model.detail.run()?.clone(),
                name: run.name().to_owned(),
                kind: run.kind,
                removed: entry.removed,
            },
        })
    }

    fn stop(&self) -> Option<DetailRequest> {
        Some(DetailRequest::StopLog)
    }

    fn insets(&self, _area: Rect) -> Insets {
        Insets {
            above: 3,
            below: 1,
            left: 1,
        }
    }

    fn text<'d>(&self, detail: &'d mut DetailPanel) -> Option<&'d mut TextView> {
        Some(&mut detail.logs.view)
    }

    fn shown_text<'d>(&self, detail: &'d DetailPanel) -> Option<&'d TextView> {
        Some(&detail.logs.view)
    }

    fn status(&self, detail: &DetailPanel) -> Vec<(String, Scope)> {
        let logs = &detail.logs;
        let words = match logs.shown {
            SourceFilter::All => None,
            SourceFilter::Picked => {
                let (shown, all) = logs.picked();
                Some(format!("{shown} of {all} sources"))
            }
            SourceFilter::Stage(stage) => Some(format!("only {stage}")),
            SourceFilter::Previous(1) => Some("previous attempt".into()),
            SourceFilter::Previous(n) => Some(format!("{n} attempts back")),
        };
        let raw = logs.raw.then(|| "raw".into());
        let pieces = words.into_iter().chain(raw);
        pieces.map(|words| (words, Scope::Accent)).collect()
    }

    fn can_follow(&self, detail: &DetailPanel) -> bool {
        !detail.logs.ended
    }

    fn has_raw(&self, _detail: &DetailPanel) -> bool {
        true
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, inside: Rect, buffer: &mut Buffer) {
        progress::view(model, theme, area, buffer);
        let view = &model.detail.logs.view;
        if view.is_empty() {
            empty(model, theme, inside, buffer);
        } else if view.filters_out_all() && !model.typing() {
            let next = [(Command::Back, "clear filter")];
            let sentence = "No line matches the filter.";
            empty_state(model, theme, inside, buffer, sentence, &next);
        }
        // Also over an empty state: the view draws the prompt.
        text_view::draw(view, theme, inside, buffer);
    }

    fn command(&self, model: &mut Model, command: Command, _: &mut Effects) -> Option<bool> {
        let logs = &mut model.detail.logs;
        match command {
            Command::Raw => logs.toggle_raw(),
            Command::Sources => overlays::open_log_sources(model),
            Command::Stages => logs.cycle_stages(),
            Command::Previous => logs.cycle_previous(),
            _ => return None,
        }
        Some(true)
    }
}

/// Draws the reason why there is no line.
fn empty(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let logs = &model.detail.logs;
    let entry = shown_run(model);
    let trouble = entry.and_then(|entry| entry.trouble.as_deref());
    let sentence = match logs.error.as_deref().or(trouble) {
        Some(reason) => reason,
        None if entry.is_some_and(RunEntry::active) => "Waiting for the first pod ...",
        None if logs.ended => "No log for this run.",
        None => "Loading the log ...",
    };
    let next = [(Command::NextTab, "next tab")];
    empty_state(model, theme, area, buffer, sentence, &next);
}
