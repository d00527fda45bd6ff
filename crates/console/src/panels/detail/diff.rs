//! The Diff tab: what the run's branch changes.

use super::{
    page::{PageContent, PageFormat},
    tab::{Fetch, Tab, run_content, shown_run},
};
use crate::{
    command::Command,
    detail_io::{DetailRequest, Fetched},
    ids::TabId,
    model::Model,
    theme::Scope,
    widgets::diff::ParsedDiff,
    world::RunEntry,
};
use flightdeck_core::text;

use super::state::DetailPanel;

pub(super) struct DiffTab;

impl Tab for DiffTab {
    fn id(&self) -> TabId {
        TabId::Diff
    }

    fn title(&self) -> &'static str {
        "Diff"
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        run_content(model, |entry| content(entry, &model.detail.diff))
    }

    fn fetch(&self, model: &Model) -> Option<Fetch> {
        let entry = shown_run(model)?;
        let status = &entry.run.status;
        let (base, head) = (status.base_commit.clone()?, status.commit.clone()?);
        Some(Fetch {
            owner: TabId::Diff,
            version: head.clone(),
            request: DetailRequest::Diff {
                run: model.detail.run()?.clone(),
                repository: model.world.repository.get()?.root.clone(),
                branch: entry.run.branch(),
                base,
                head,
            },
        })
    }

    fn status(&self, detail: &DetailPanel) -> Vec<(String, Scope)> {
        let diff = detail.diff.ready().map(|diff| {
            let files = text::count(diff.files, "file");
            format!("{files} +{} -{}", diff.added, diff.removed)
        });
        diff.map(|words| (words, Scope::Muted))
            .into_iter()
            .collect()
    }
}

fn content(entry: &RunEntry, diff: &Fetched<ParsedDiff>) -> PageContent {
    if !entry.pushed() {
        let sentence = if entry.active() {
            "Nothing pushed yet. The diff appears once the run is published."
        } else {
            "The run pushed nothing."
        };
        return PageContent::Empty(sentence.into(), vec![(Command::Logs, "log")]);
    }
    match diff {
        Fetched::Waiting => PageContent::sentence(format!(
            "Comparing {} with its base ...",
            entry.run.branch()
        )),
        Fetched::Failed(reason) => {
            PageContent::Empty(reason.clone(), vec![(Command::Refresh, "retry")])
        }
        Fetched::Ready(diff) if diff.lines.is_empty() => {
            PageContent::sentence("The branch has no changes.")
        }
        Fetched::Ready(diff) => PageContent::Text(PageFormat::Diff, diff.lines.clone()),
    }
}
