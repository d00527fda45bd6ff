//! State of the Detail panel, shared by its tabs.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::{logs::Logs, page::Page, preview::Preview, timeline::Timeline};
use crate::{
    detail_io::Fetched,
    field::Field,
    ids::{Subject, TabId},
    widgets::{diff::ParsedDiff, text_view::TextView},
    world::RunId,
};
use flightdeck_host::forge::PullRequestStatus;

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct DetailPanel {
    pub subject: Option<Subject>,
    /// The open tabs of a task and of a run, each remembered while the other is shown.
    pub(super) task_tab: TabId,
    pub(super) run_tab: Option<TabId>,
    /// The version last requested for a tab. A request is repeated only for another version.
    pub(super) requested: BTreeMap<TabId, String>,
    /// The tabs that show one text.
    pub(super) pages: BTreeMap<TabId, Page>,
    pub(super) preview: Preview,
    pub(super) logs: Logs,
    pub(super) timeline: Timeline,
    /// Documents of the task, by name.
    pub(super) documents: Vec<(String, String)>,
    pub(super) diff: Fetched<ParsedDiff>,
    pub(super) pull_request: Fetched<PullRequestStatus>,
    /// The search or filter being typed.
    pub(super) field: Option<Field>,
    pub(super) background: Background,
    pub(super) area: Rect,
}

/// The background task of the panel's text views; one runs at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Background {
    /// Number of the last task that was started.
    last: u64,
    /// The running task and the tab it is for.
    running: Option<(u64, TabId)>,
}

impl Background {
    pub(super) const fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Registers a task. Returns its number.
    pub(super) const fn start(&mut self, tab: TabId) -> u64 {
        self.last += 1;
        self.running = Some((self.last, tab));
        self.last
    }

    /// Returns the tab of a finished task, unless the task was superseded.
    pub(super) fn finish(&mut self, number: u64) -> Option<TabId> {
        let running = self.running.take_if(|(running, _)| *running == number)?;
        Some(running.1)
    }

    /// Ignores the result of the running task.
    pub(super) const fn supersede(&mut self) {
        self.running = None;
    }
}

impl DetailPanel {
    /// Returns the run that is shown.
    pub const fn run(&self) -> Option<&RunId> {
        match &self.subject {
            Some(Subject::Run(id)) => Some(id),
            _ => None,
        }
    }

    /// Returns the open tab.
    #[must_use]
    pub fn tab(&self) -> TabId {
        match self.subject {
            Some(Subject::Run(_)) => self.run_tab.unwrap_or(TabId::Logs),
            Some(Subject::Check(_)) => TabId::Check,
            Some(Subject::Task(_)) | None => self.task_tab,
        }
    }

    /// Whether the search or filter field is open.
    pub const fn typing(&self) -> bool {
        self.field.is_some()
    }

    pub(super) fn page(&self, tab: TabId) -> Option<&TextView> {
        self.pages.get(&tab).map(|page| &page.view)
    }

    pub(super) fn page_mut(&mut self, tab: TabId) -> Option<&mut TextView> {
        self.pages.get_mut(&tab).map(|page| &mut page.view)
    }

    /// Clears the log and the timeline.
    pub(super) fn reset_log(&mut self) {
        self.background.supersede();
        self.logs = Logs::default();
        self.timeline = Timeline::default();
        self.timeline.follow = true;
    }

    /// Clears everything but the subject, the open tabs and the size.
    pub(super) fn reset(&mut self) {
        *self = Self {
            subject: self.subject.take(),
            task_tab: self.task_tab,
            run_tab: self.run_tab,
            // Keep counting, so that late results are not taken for new ones.
            background: std::mem::take(&mut self.background),
            area: self.area,
            ..Self::default()
        };
        self.reset_log();
    }
}
