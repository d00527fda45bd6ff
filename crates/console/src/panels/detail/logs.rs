//! State of the Logs tab: the lines of all stages, attempts and containers of a run.
//!
//! Lines are stored as received. The agent's JSON is formatted when a line is drawn.

mod formatter;
mod source;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

pub(crate) use self::source::{SourceChoice, SourceInfo};
use self::{
    formatter::LogFormatter,
    source::{NOTICE_TAG, source_scope, source_tag},
};
use crate::{
    detail_io::{LineSource, LogItem},
    widgets::text_view::{Export, ExportFormat, LIMIT, TextView},
};
use flightdeck_core::runs::Stage;

/// Which sources are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SourceFilter {
    #[default]
    All,
    Stage(Stage),
    /// All but the ones hidden in the Sources overlay.
    Picked,
    /// The n-th previous instance of each container: an earlier attempt, or before a restart (`kubectl logs --previous`).
    Previous(usize),
}

/// State of the tab.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    pub view: TextView,
    sources: Vec<LineSource>,
    /// Indices of the sources hidden in the Sources overlay.
    hidden: BTreeSet<usize>,
    pub raw: bool,
    pub shown: SourceFilter,
    /// The log is complete.
    pub ended: bool,
    /// The error that ended it.
    pub error: Option<String>,
}

impl Default for Logs {
    fn default() -> Self {
        let mut logs = Self {
            view: TextView::new(Arc::new(LogFormatter::default()), LIMIT).following(),
            sources: Vec::new(),
            hidden: BTreeSet::new(),
            raw: false,
            shown: SourceFilter::All,
            ended: false,
            error: None,
        };
        logs.view.cycle_stamps();
        logs
    }
}

impl Logs {
    /// Adds lines, in the order they were written.
    pub(super) fn add(&mut self, items: &[LogItem]) {
        let known = self.sources.len();
        for item in items {
            let at = Some(item.at.as_microsecond());
            let Some(source) = &item.source else {
                // A notice before the first line must not become the start of elapsed times.
                let at = at.filter(|_| !self.view.is_empty());
                self.view.push(&item.text, at, NOTICE_TAG);
                continue;
            };
            let tag = self.tag(source);
            self.view.push_raw(&item.text, item.raw.as_deref(), at, tag);
        }
        if self.sources.len() > known {
            self.update_formatter();
            self.apply_filter();
        }
        self.view.work();
    }

    fn tag(&mut self, source: &LineSource) -> u16 {
        // Searched backwards: usually the source of the last line.
        let found = self.sources.iter().rposition(|known| known == source);
        let index = found.unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        source_tag(index)
    }

    /// Marks the log as complete, or as cut off by an error.
    pub(super) fn end(&mut self, error: Option<String>) {
        self.ended = true;
        self.error = error;
        self.view.set_live(false);
    }

    /// Switches between raw and formatted lines.
    pub(super) fn toggle_raw(&mut self) {
        self.raw = !self.raw;
        self.update_formatter();
    }

    fn update_formatter(&mut self) {
        self.view
            .set_formatter(Arc::new(LogFormatter::new(self.raw, &self.sources)));
    }

    /// Switches to the next stage that has lines, and after the last to all stages.
    pub(super) fn cycle_stages(&mut self) {
        let mut stages: Vec<Stage> = self.sources.iter().map(|source| source.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        let next = match self.shown {
            SourceFilter::All => stages.first(),
            SourceFilter::Stage(stage) => stages.iter().find(|other| **other > stage),
            SourceFilter::Previous(_) | SourceFilter::Picked => None,
        };
        self.shown = next.map_or(SourceFilter::All, |stage| SourceFilter::Stage(*stage));
        self.apply_filter();
    }

    /// Shows or hides sources.
    pub(super) fn choose(&mut self, choice: SourceChoice) {
        // Start from the sources that the current filter hides.
        let view = &self.view;
        let tags = 0..self.sources.len();
        self.hidden = tags
            .clone()
            .filter(|index| view.hides(source_tag(*index)))
            .collect();
        match choice {
            SourceChoice::Toggle(index) => {
                if !self.hidden.remove(&index) {
                    self.hidden.insert(index);
                }
            }
            SourceChoice::Only(index) => {
                self.hidden = tags.filter(|other| *other != index).collect();
            }
            SourceChoice::All => self.hidden.clear(),
        }
        self.shown = if self.hidden.is_empty() {
            SourceFilter::All
        } else {
            SourceFilter::Picked
        };
        self.apply_filter();
    }

    /// Returns the number of shown sources, and of all.
    pub(super) fn picked(&self) -> (usize, usize) {
        let all = self.sources.len();
        (all - self.hidden.len().min(all), all)
    }

    /// Returns the sources in order of their first line.
    pub(super) fn source_infos(&self) -> Vec<SourceInfo> {
        let infos = self.sources.iter().enumerate().map(|(index, source)| {
            let mut words = vec![source.stage.to_string()];
            if source.version > 1 {
                words.push(format!("context {}", source.version));
            }
            if source.attempt > 1 {
                words.push(format!("attempt {}", source.attempt));
            }
            SourceInfo {
                label: source.label(),
                about: words.join(" · "),
                scope: source_scope(&self.sources, index),
                shown: !self.view.hides(source_tag(index)),
            }
        });
        infos.collect()
    }

    /// Whether a container has several instances.
    pub(super) fn has_previous(&self) -> bool {
        self.most_reruns() > 0
    }

    /// Switches to the previous instance of each container, then the one before, and after the oldest to all.
    pub(super) fn cycle_previous(&mut self) {
        let next = match self.shown {
            SourceFilter::Previous(n) => n + 1,
            SourceFilter::All | SourceFilter::Stage(_) | SourceFilter::Picked => 1,
        };
        self.shown = if next <= self.most_reruns() {
            SourceFilter::Previous(next)
        } else {
            SourceFilter::All
        };
        self.apply_filter();
    }

    /// Returns how many later instances the container of a source has.
    fn reruns_of(&self, source: &LineSource) -> usize {
        let later = |other: &&LineSource| {
            (other.stage, other.name()) == (source.stage, source.name())
                && other.instance() > source.instance()
        };
        self.sources.iter().filter(later).count()
    }

    fn most_reruns(&self) -> usize {
        let times = self.sources.iter().map(|source| self.reruns_of(source));
        times.max().unwrap_or(0)
    }

    /// Returns the shown lines for saving: as they were written, or as JSON objects.
    pub(super) fn export(&self, json: bool) -> Export {
        self.view.export(if json {
            let sources = self.sources.iter().map(|source| {
                let fields = json!({
                    "stage": source.stage.as_str(),
                    "contextVersion": source.version,
                    "attempt": source.attempt,
                    "container": source.container,
                });
                fields.as_object().cloned().unwrap_or_default()
            });
            ExportFormat::JsonLines(sources.collect())
        } else {
            ExportFormat::Text {
                without: Some(NOTICE_TAG),
            }
        })
    }

    fn apply_filter(&mut self) {
        for (index, source) in self
            .sources
            .iter()
            .enumerate()
            .take(usize::from(NOTICE_TAG) - 1)
        {
            let hidden = match self.shown {
                SourceFilter::All => false,
                SourceFilter::Picked => self.hidden.contains(&index),
                SourceFilter::Stage(stage) => stage != source.stage,
                SourceFilter::Previous(n) => n != self.reruns_of(source),
            };
            if hidden != self.view.hides(source_tag(index)) {
                self.view.toggle_tag(source_tag(index));
            }
        }
    }
}

#[cfg(test)]
mod tests;
