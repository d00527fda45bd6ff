//! State of the Preview tab: the files of a run, the files a launch now would get, and the shown one.

use std::collections::BTreeMap;

use super::page::{Page, PageContent, PageFormat};
use crate::{
    detail_io::{Fetched, Files},
    list::List,
    widgets::{diff, syntax::Syntax},
};

/// Files in reading order; others follow by name.
const READING_ORDER: &[&str] = &[
    "prompt.md",
    "CLAUDE.md",
    "run.json",
    "settings.local.json",
    "agent.sh",
];

/// How a file of the run compares with the one a launch now would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    /// One side is unknown.
    Unknown,
    Same,
    Different,
    OnlyInRun,
    OnlyRendered,
}

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub(super) struct Preview {
    pub(super) list: List<String>,
    pub(super) page: Page,
    /// Keys scroll the file instead of the list.
    pub(super) reading: bool,
    /// Show the changes instead of the file.
    pub(super) changes: bool,
    /// The files that a launch now would get.
    rendered: Fetched<Files>,
    /// The files of the run.
    live: Fetched<Files>,
    shown: Option<String>,
}

impl Preview {
    pub(super) fn set_rendered(&mut self, rendered: Result<Files, String>) {
        self.rendered = rendered.into();
        self.refresh();
    }

    pub(super) fn set_live(&mut self, live: Result<Files, String>) {
        self.live = live.into();
        self.refresh();
    }

    pub(super) fn change(&self, name: &str) -> FileChange {
        let Some(live) = self.live.ready() else {
            return FileChange::Unknown;
        };
        let rendered = self.rendered.ready().map(|files| files.get(name));
        match (live.get(name), rendered) {
            (_, None) => FileChange::Unknown,
            (Some(one), Some(Some(other))) if one == other => FileChange::Same,
            (Some(_), Some(Some(_))) => FileChange::Different,
            (Some(_), Some(None)) => FileChange::OnlyInRun,
            (None, _) => FileChange::OnlyRendered,
        }
    }

    /// Whether the files are those of the run.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.live, Fetched::Ready(_))
    }

    /// Rebuilds the list and the text.
    pub(super) fn refresh(&mut self) {
        let live = self.live.ready().into_iter().flat_map(BTreeMap::keys);
        let rendered = self.rendered.ready().into_iter().flat_map(BTreeMap::keys);
        let mut names: Vec<String> = live.chain(rendered).cloned().collect();
        names.sort_by_key(|name| (rank(name), name.clone()));
        names.dedup();
        self.list.set_rows(names);
        let name = self.list.selected().cloned();
        if name != self.shown {
            self.page.reset();
            self.shown.clone_from(&name);
        }
        let content = name.map_or_else(|| self.empty(), |name| self.content(&name));
        self.page.show(content);
    }

    fn empty(&self) -> PageContent {
        match (&self.live, &self.rendered) {
            (Fetched::Failed(reason), _) | (_, Fetched::Failed(reason)) => {
                PageContent::sentence(reason.clone())
            }
            _ => PageContent::sentence("Rendering files ..."),
        }
    }

    fn content(&self, name: &str) -> PageContent {
        let live = self.live.ready().and_then(|files| files.get(name));
        let rendered = self.rendered.ready().and_then(|files| files.get(name));
        if self.changes
            && let (Some(live), Some(rendered)) = (live, rendered)
        {
            let diff = diff::unified(live, rendered);
            if diff.is_empty() {
                return PageContent::sentence("Unchanged since this run.");
            }
            return PageContent::Text(PageFormat::Diff, diff::lines(&diff));
        }
        let text = live.or(rendered).map_or("", String::as_str);
        if text.is_empty() {
            return PageContent::sentence("Empty file.");
        }
        let syntax = Syntax::of_file(name);
        PageContent::Text(PageFormat::Source(syntax), syntax.lines(text))
    }
}

fn rank(name: &str) -> usize {
    let known = READING_ORDER.iter().position(|other| *other == name);
    known.unwrap_or(READING_ORDER.len())
}
