//! State of the Logs tab: the lines of all stages, attempts and containers of a run.
//!
//! Lines are stored as received. The agent's JSON is formatted when a line is drawn.

mod formatter;

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use self::formatter::LogFormatter;
use crate::{
    detail_io::{LineSource, LogItem},
    theme::Scope,
    widgets::text_view::{Export, ExportFormat, LIMIT, TextView},
};
use flightdeck_core::runs::Stage;

impl LineSource {
    /// Returns the container name without its restart count.
    fn name(&self) -> &str {
        self.container
            .split_once('+')
            .map_or(&self.container, |(name, _)| name)
    }

    /// Returns the order of the instances of a container.
    fn instance(&self) -> (i32, i32, u32) {
        let restarts = self.container.split_once('+');
        let restarts = restarts.and_then(|(_, count)| count.parse().ok());
        (self.version, self.attempt, restarts.unwrap_or(0))
    }

    /// Returns the label of its lines: `agent`, with `@2` for a later context version and `#2` for a later attempt.
    fn label(&self) -> String {
        let name = flightdeck_core::text::sanitize(&self.container);
        let number = |sign: &str, n: i32| {
            if n > 1 {
                format!("{sign}{n}")
            } else {
                String::new()
            }
        };
        format!(
            "{name}{}{}",
            number("@", self.version),
            number("#", self.attempt)
        )
    }
}

/// Tag of notices. The tags of sources are their indices, below this.
const NOTICE_TAG: u16 = 63;

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

/// A choice in the Sources overlay, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceChoice {
    Toggle(usize),
    Only(usize),
    All,
}

/// Describes a source for the Sources overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// The label of its lines.
    pub label: String,
    /// The stage, and later versions and attempts.
    pub about: String,
    pub scope: Scope,
    pub shown: bool,
}

/// Returns the tag of a source. Sources above the limit share the last tag.
fn source_tag(index: usize) -> u16 {
    (index as u16).min(NOTICE_TAG - 1)
}

/// Returns the colour of a source: one per container, the same in all attempts.
fn source_scope(sources: &[LineSource], index: usize) -> Scope {
    let mut containers: Vec<(Stage, &str)> = Vec::new();
    for source in &sources[..=index] {
        let container = (source.stage, source.name());
        if !containers.contains(&container) {
            containers.push(container);
        }
    }
    let own = (sources[index].stage, sources[index].name());
    let index = containers.iter().position(|other| *other == own);
    Scope::log_source(index.unwrap_or_default())
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
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::widgets::text_view::line_layout;

    fn item(second: i64, source: Option<(Stage, &str)>, text: &str) -> LogItem {
        LogItem {
            at: Timestamp::from_second(second).unwrap(),
            source: source.map(|(stage, container)| LineSource {
                stage,
                version: 1,
                attempt: 1,
                container: container.into(),
            }),
            text: text.into(),
            raw: None,
        }
    }

    fn shown(logs: &Logs) -> Vec<String> {
        logs.view
            .visible()
            .iter()
            .map(|row| line_layout::text_of(&row.spans).trim_end().to_owned())
            .collect()
    }

    fn run() -> Logs {
        let mut logs = Logs::default();
        logs.view.resize(80, 10);
        logs.add(&[
            item(1, Some((Stage::Prep, "clone")), "cloning feature/checkout"),
            item(2, Some((Stage::Agent, "agent")), r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"Hello"},{"type":"tool_use","id":"t1","name":"Write","input":{"file_path":"a.md","content":"x\ny\n"}}]}}"#),
            item(3, None, "reconnected, 0 lost"),
            item(4, Some((Stage::Agent, "agent")), r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"disk full"}]}}"#),
        ]);
        logs
    }

    #[test]
    fn formats_agent_lines_with_their_source() {
        let lines = shown(&run());
        assert_eq!(lines[0], "00:00:01 clone cloning feature/checkout");
        assert_eq!(lines[1], "00:00:02 agent Hello");
        assert!(lines[2].starts_with("               ▸ Write"), "{lines:?}");
        assert_eq!(lines[3], "00:00:03       · reconnected, 0 lost");
        assert!(lines[4].ends_with("✗ disk full"), "{lines:?}");
    }

    #[test]
    fn elapsed_times_start_at_the_first_line() {
        let mut logs = Logs::default();
        logs.view.resize(60, 5);
        logs.add(&[
            item(900, None, "agent: from the ledger"),
            item(5, Some((Stage::Agent, "agent")), "one"),
            item(7, Some((Stage::Agent, "agent")), "two"),
        ]);
        logs.view.cycle_stamps();
        let lines = shown(&logs);
        assert!(
            lines[0].trim_start().starts_with("· agent: from"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("+0s") && lines[2].starts_with("+2s"),
            "{lines:?}"
        );
    }

    #[test]
    fn raw_shows_the_original_lines() {
        let mut logs = run();
        logs.toggle_raw();
        assert!(shown(&logs)[1].contains(r#"{"type":"assistant""#));
        assert_eq!(shown(&logs).len(), 4);
    }

    #[test]
    fn search_matches_the_formatted_text() {
        let mut logs = run();
        logs.view
            .open_prompt(crate::widgets::text_view::PromptKind::Search);
        logs.view.edit_prompt(|typed| typed.push_str("assistant"));
        assert_eq!(logs.view.status_text(), "no match · paused");
        logs.toggle_raw();
        assert!(
            logs.view.status_text().starts_with("1 match"),
            "{}",
            logs.view.status_text()
        );
    }

    #[test]
    fn filter_skips_lines_without_text() {
        let mut logs = run();
        let answer = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"File created"}]}}"#;
        logs.add(&[item(5, Some((Stage::Agent, "agent")), answer)]);
        logs.view
            .open_prompt(crate::widgets::text_view::PromptKind::Filter);
        logs.view.edit_prompt(|typed| typed.push_str("!Hello"));
        assert_eq!(logs.view.status().filtered, Some((3, 5)));
        logs.toggle_raw();
        assert_eq!(logs.view.status().filtered, Some((4, 5)));
    }

    #[test]
    fn cycles_through_stages() {
        let mut logs = run();
        logs.cycle_stages();
        assert_eq!(logs.shown, SourceFilter::Stage(Stage::Prep));
        assert_eq!(
            shown(&logs),
            [
                "00:00:01 clone cloning feature/checkout",
                "00:00:03       · reconnected, 0 lost"
            ]
        );
        logs.cycle_stages();
        assert_eq!(logs.shown, SourceFilter::Stage(Stage::Agent));
        logs.cycle_stages();
        assert_eq!(shown(&logs).len(), 5);
    }

    #[test]
    fn next_error_finds_failed_tool_results() {
        let mut logs = run();
        logs.view.next_error();
        logs.view.work();
        assert_eq!(logs.view.current(), Some(3));
    }

    #[test]
    fn cycles_through_previous_instances() {
        let mut logs = run();
        assert!(!logs.has_previous());
        let source = |attempt, container: &str| LineSource {
            stage: Stage::Agent,
            version: 1,
            attempt,
            container: container.into(),
        };
        for (second, source, text) in [
            (5, source(1, "agent+1"), "restarted"),
            (6, source(2, "agent"), "second attempt"),
        ] {
            logs.add(&[LogItem {
                at: Timestamp::from_second(second).unwrap(),
                source: Some(source),
                text: text.into(),
                raw: None,
            }]);
        }
        let ends = |logs: &Logs| shown(logs).last().cloned().unwrap_or_default();
        assert!(ends(&logs).ends_with("second attempt"));
        logs.cycle_previous();
        assert!(ends(&logs).ends_with("restarted"), "{:?}", shown(&logs));
        logs.cycle_previous();
        assert!(ends(&logs).ends_with("disk full"), "{:?}", shown(&logs));
        logs.cycle_previous();
        assert_eq!(logs.shown, SourceFilter::All);
    }

    #[test]
    fn exports_the_original_lines() {
        let mut logs = run();
        let saved = |logs: &Logs, json| {
            let mut bytes = Vec::new();
            logs.export(json).write(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = saved(&logs, false);
        assert_eq!(text.lines().count(), 3, "without notices");
        assert!(text.starts_with("cloning feature/checkout\n{\"type\":\"assistant\""));
        let lines = saved(&logs, true);
        let line = |at: usize| {
            let line = lines.lines().nth(at).unwrap();
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        };
        assert_eq!(line(0)["container"], "clone");
        assert_eq!(line(0)["at"], "1970-01-01T00:00:01Z");
        assert_eq!(line(0)["text"], "cloning feature/checkout");
        assert_eq!(line(2)["notice"], "reconnected, 0 lost");
        logs.cycle_stages();
        assert_eq!(saved(&logs, false), "cloning feature/checkout\n");
    }

    #[test]
    fn exports_invalid_utf8_as_bytes_and_as_replacement_in_json() {
        let mut logs = Logs::default();
        let mut line = item(1, Some((Stage::Agent, "agent")), "caf\u{fffd} ok");
        line.raw = Some(b"caf\xe9 ok"[..].into());
        let plain = item(2, Some((Stage::Agent, "agent")), "next");
        logs.add(&[line, plain]);
        let mut bytes = Vec::new();
        logs.export(false).write(&mut bytes).unwrap();
        assert_eq!(bytes, b"caf\xe9 ok\nnext\n");
        bytes.clear();
        logs.export(true).write(&mut bytes).unwrap();
        let lines = String::from_utf8(bytes).unwrap();
        let first = lines.lines().next().unwrap();
        let first = serde_json::from_str::<serde_json::Value>(first).unwrap();
        assert_eq!(first["text"], "caf\u{fffd} ok");
    }
}
