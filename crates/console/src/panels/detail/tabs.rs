//! The table of tabs, and the open one.

use ratatui::layout::Rect;

use super::{
    check, diff, events, logs::SourceInfo, logs_tab::LogsTab, preview_tab::PreviewTab,
    pull_request, state::DetailPanel, tab::Tab, task, timeline_tab::TimelineTab, yaml,
};
use crate::{
    ids::{Subject, TabId},
    widgets::text_view::TextView,
};

/// Returns the implementation of a tab.
pub(super) fn tab(id: TabId) -> &'static dyn Tab {
    match id {
        TabId::Task => &task::TaskTab,
        TabId::Preview => &PreviewTab,
        TabId::Logs => &LogsTab,
        TabId::Timeline => &TimelineTab,
        TabId::Diff => &diff::DiffTab,
        TabId::PullRequest => &pull_request::PullRequestTab,
        TabId::Events => &events::EventsTab,
        TabId::Yaml => &yaml::YamlTab,
        TabId::Check => &check::CheckTab,
    }
}

impl DetailPanel {
    /// Returns the tabs of the subject, in the order of the tab bar.
    #[must_use]
    pub fn tabs(&self) -> Vec<TabId> {
        // Without a subject the panel has the tabs of a task.
        let none = Subject::Task(String::new());
        let subject = self.subject.as_ref().unwrap_or(&none);
        let tabs = TabId::ALL.iter().copied();
        tabs.filter(|id| tab(*id).applies_to(subject)).collect()
    }

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
    pub(super) fn text(&mut self) -> Option<&mut TextView> {
        tab(self.tab()).text(self)
    }

    /// Adapts the tabs to the size of the panel's content.
    pub fn fit(&mut self, area: Rect) {
        self.area = area;
        let inside = text_area(area, self.tab());
        self.logs.view.resize(inside.width, inside.height);
        self.preview.page.view.resize(inside.width, inside.height);
        for page in self.pages.values_mut() {
            page.view.resize(inside.width, inside.height);
        }
        self.preview.list.set_height(inside.height.into());
        // Always at the size it has when open: laying out its steps is expensive.
        let steps = text_area(area, TabId::Timeline);
        self.timeline.fit(steps.width.into(), steps.height.into());
    }

    /// Closes the field and keeps or discards the search or filter.
    pub(super) fn close_field(&mut self, keep: bool) {
        self.field = None;
        tab(self.tab()).close_prompt(self, keep);
    }
}

/// Returns the area of a tab's text or list within the panel's content.
pub(super) fn text_area(area: Rect, id: TabId) -> Rect {
    let insets = tab(id).insets(area);
    let above = insets.above.min(area.height);
    Rect {
        x: area.x + insets.left.min(area.width),
        y: area.y + above,
        width: area.width.saturating_sub(insets.left + 1),
        height: area.height.saturating_sub(above + insets.below),
    }
}
