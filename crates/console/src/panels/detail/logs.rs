//! The Logs tab: every line of a run, from whichever stage, attempt and container it comes.
//!
//! Lines are kept as they came; what a person reads of an agent's JSON lines is worked out as they are drawn.

mod lens;

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use serde_json::json;

use self::lens::LogLens;
use crate::{
    theme::Scope,
    widgets::text_view::{Export, Form, LIMIT, TextView},
};
use flightdeck_core::runs::Stage;

/// Where a line comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub stage: Stage,
    /// Which context version of the run; 1 for the first.
    pub version: i32,
    /// Counts from 1 within the version.
    pub attempt: i32,
    /// With `+1` behind it once it was started anew in its pod.
    pub container: String,
}

impl Source {
    /// The container without how often it was started anew.
    fn name(&self) -> &str {
        self.container
            .split_once('+')
            .map_or(&self.container, |(name, _)| name)
    }

    /// Orders what one container wrote at different times.
    fn life(&self) -> (i32, i32, u32) {
        let restarts = self.container.split_once('+');
        let restarts = restarts.and_then(|(_, count)| count.parse().ok());
        (self.version, self.attempt, restarts.unwrap_or(0))
    }

    /// What stands before its lines: the container, and which attempt when it is not the first.
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

/// One line of a log, or a remark of ours between lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub at: Timestamp,
    /// `None` for a remark.
    pub source: Option<Source>,
    pub text: String,
    /// As it came, where that is no UTF-8.
    pub raw: Option<Box<[u8]>>,
}

/// Tag of remarks. Sources are tagged by their place in the list, up to this.
const REMARK: u16 = 63;

/// Which stages are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    #[default]
    All,
    Only(Stage),
    /// All but those that a person has hidden one by one.
    Picked,
    /// Of each container what it wrote so many times before the last: an earlier attempt, or before it was started anew.
    Earlier(usize),
}

/// What a person does with the parts of a log, by their places in the list that the window shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    Toggle(usize),
    Only(usize),
    All,
}

/// A part of a log, told to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What stands before its lines.
    pub label: String,
    /// Its stage, and which attempt when it is not the first.
    pub about: String,
    pub scope: Scope,
    pub shown: bool,
}

/// Tag of the source at that place; those that are too many share the last.
fn tag_at(index: usize) -> u16 {
    (index as u16).min(REMARK - 1)
}

/// Each container has a colour, the same in each of its attempts.
fn scope_at(sources: &[Source], index: usize) -> Scope {
    let mut containers: Vec<(Stage, &str)> = Vec::new();
    for source in &sources[..=index] {
        let container = (source.stage, source.name());
        if !containers.contains(&container) {
            containers.push(container);
        }
    }
    let own = (sources[index].stage, sources[index].name());
    let place = containers.iter().position(|other| *other == own);
    Scope::log_source(place.unwrap_or_default() % COLOURS)
}

/// Colours of sources in a theme.
const COLOURS: usize = 6;

/// State of the tab.
#[derive(Clone, Debug)]
pub struct Logs {
    pub view: TextView,
    sources: Vec<Source>,
    /// By its place in `sources`, whether a person has hidden it.
    hidden: BTreeSet<usize>,
    raw: bool,
    pub shown: Shown,
    /// Everything there is has arrived.
    pub ended: bool,
    /// Why no more will come.
    pub trouble: Option<String>,
}

impl Default for Logs {
    fn default() -> Self {
        let mut logs = Self {
            view: TextView::new(Arc::new(LogLens::default()), LIMIT).following(),
            sources: Vec::new(),
            hidden: BTreeSet::new(),
            raw: false,
            shown: Shown::All,
            ended: false,
            trouble: None,
        };
        logs.view.cycle_stamps();
        logs
    }
}

impl Logs {
    /// Takes lines in, in the order they were written.
    pub fn add(&mut self, items: &[Item]) {
        let known = self.sources.len();
        for item in items {
            let at = Some(item.at.as_microsecond());
            let Some(source) = &item.source else {
                // What is said before there are lines is of no moment of theirs: times count from the first line.
                let at = at.filter(|_| !self.view.is_empty());
                self.view.push(&item.text, at, REMARK);
                continue;
            };
            let tag = self.tag(source);
            self.view.push_raw(&item.text, item.raw.as_deref(), at, tag);
        }
        if self.sources.len() > known {
            self.look();
            self.hide();
        }
        self.view.work();
    }

    fn tag(&mut self, source: &Source) -> u16 {
        // The last line's source is mostly this one's too.
        let found = self.sources.iter().rposition(|known| known == source);
        let index = found.unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        tag_at(index)
    }

    /// Says that nothing more will come, and why when that is not how it should be.
    pub fn end(&mut self, why: Option<String>) {
        self.ended = true;
        self.trouble = why;
        self.view.set_live(false);
    }

    /// The bytes as they came, or what they say.
    pub fn toggle_raw(&mut self) {
        self.raw = !self.raw;
        self.look();
    }

    /// Whether the bytes are shown as they came.
    pub const fn raw(&self) -> bool {
        self.raw
    }

    fn look(&mut self) {
        self.view
            .set_lens(Arc::new(LogLens::new(self.raw, &self.sources)));
    }

    /// All stages, then one after the other of those that have said something.
    pub fn cycle_stages(&mut self) {
        let mut stages: Vec<Stage> = self.sources.iter().map(|source| source.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        let next = match self.shown {
            Shown::All => stages.first(),
            Shown::Only(stage) => stages.iter().find(|other| **other > stage),
            Shown::Earlier(_) | Shown::Picked => None,
        };
        self.shown = next.map_or(Shown::All, |stage| Shown::Only(*stage));
        self.hide();
    }

    /// Shows or hides parts of the log.
    pub fn pick(&mut self, pick: Pick) {
        // What is hidden now, in whichever way, is what one begins with.
        let view = &self.view;
        let tags = 0..self.sources.len();
        self.hidden = tags
            .clone()
            .filter(|index| view.hides(tag_at(*index)))
            .collect();
        match pick {
            Pick::Toggle(index) => {
                if !self.hidden.remove(&index) {
                    self.hidden.insert(index);
                }
            }
            Pick::Only(index) => self.hidden = tags.filter(|other| *other != index).collect(),
            Pick::All => self.hidden.clear(),
        }
        self.shown = if self.hidden.is_empty() {
            Shown::All
        } else {
            Shown::Picked
        };
        self.hide();
    }

    /// How many sources are shown, of how many.
    pub fn picked(&self) -> (usize, usize) {
        let all = self.sources.len();
        (all - self.hidden.len().min(all), all)
    }

    /// Its sources, in the order they came.
    pub fn about(&self) -> Vec<About> {
        let about = self.sources.iter().enumerate().map(|(index, source)| {
            let mut words = vec![source.stage.to_string()];
            if source.version > 1 {
                words.push(format!("context {}", source.version));
            }
            if source.attempt > 1 {
                words.push(format!("attempt {}", source.attempt));
            }
            About {
                label: source.label(),
                about: words.join(" · "),
                scope: scope_at(&self.sources, index),
                shown: !self.view.hides(tag_at(index)),
            }
        });
        about.collect()
    }

    /// Whether a container wrote more than once.
    pub fn has_earlier(&self) -> bool {
        self.most_times() > 0
    }

    /// What was written the time before, and before that, then all.
    pub fn cycle_earlier(&mut self) {
        let next = match self.shown {
            Shown::Earlier(times) => times + 1,
            Shown::All | Shown::Only(_) | Shown::Picked => 1,
        };
        self.shown = if next <= self.most_times() {
            Shown::Earlier(next)
        } else {
            Shown::All
        };
        self.hide();
    }

    /// How often the container of a source wrote since.
    fn times_since(&self, source: &Source) -> usize {
        let later = |other: &&Source| {
            (other.stage, other.name()) == (source.stage, source.name())
                && other.life() > source.life()
        };
        self.sources.iter().filter(later).count()
    }

    fn most_times(&self) -> usize {
        let times = self.sources.iter().map(|source| self.times_since(source));
        times.max().unwrap_or(0)
    }

    /// The lines that are not hidden or filtered out, to be saved: as they were written, or each as a JSON object.
    pub fn export(&self, json: bool) -> Export {
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
            Form::JsonLines(sources.collect())
        } else {
            Form::Text {
                without: Some(REMARK),
            }
        })
    }

    fn hide(&mut self) {
        for (index, source) in self
            .sources
            .iter()
            .enumerate()
            .take(usize::from(REMARK) - 1)
        {
            let hidden = match self.shown {
                Shown::All => false,
                Shown::Picked => self.hidden.contains(&index),
                Shown::Only(stage) => stage != source.stage,
                Shown::Earlier(times) => times != self.times_since(source),
            };
            if hidden != self.view.hides(tag_at(index)) {
                self.view.toggle_tag(tag_at(index));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::widgets::text_view::lay;

    fn item(second: i64, source: Option<(Stage, &str)>, text: &str) -> Item {
        Item {
            at: Timestamp::from_second(second).unwrap(),
            source: source.map(|(stage, container)| Source {
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
            .map(|row| lay::text_of(&row.spans).trim_end().to_owned())
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
    fn lines_are_told_in_words_with_where_they_come_from() {
        let told = shown(&run());
        assert_eq!(told[0], "00:00:01 clone cloning feature/checkout");
        assert_eq!(told[1], "00:00:02 agent Hello");
        assert!(told[2].starts_with("               ▸ Write"), "{told:?}");
        assert_eq!(told[3], "00:00:03       · reconnected, 0 lost");
        assert!(told[4].ends_with("✗ disk full"), "{told:?}");
    }

    #[test]
    fn times_count_from_the_first_line_and_not_from_a_word_before_it() {
        let mut logs = Logs::default();
        logs.view.resize(60, 5);
        logs.add(&[
            item(900, None, "agent: from the ledger"),
            item(5, Some((Stage::Agent, "agent")), "one"),
            item(7, Some((Stage::Agent, "agent")), "two"),
        ]);
        logs.view.cycle_stamps();
        let told = shown(&logs);
        assert!(
            told[0].trim_start().starts_with("· agent: from"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("+0s") && told[2].starts_with("+2s"),
            "{told:?}"
        );
    }

    #[test]
    fn the_bytes_are_one_key_away() {
        let mut logs = run();
        logs.toggle_raw();
        assert!(shown(&logs)[1].contains(r#"{"type":"assistant""#));
        assert_eq!(shown(&logs).len(), 4);
    }

    #[test]
    fn a_search_looks_at_what_is_read() {
        let mut logs = run();
        logs.view.ask(crate::widgets::text_view::PromptKind::Search);
        logs.view.edit(|typed| typed.push_str("assistant"));
        assert_eq!(logs.view.state(), "no match · paused");
        logs.toggle_raw();
        assert!(
            logs.view.state().starts_with("1 match"),
            "{}",
            logs.view.state()
        );
    }

    #[test]
    fn a_line_that_tells_nothing_passes_no_filter() {
        let mut logs = run();
        let answer = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"File created"}]}}"#;
        logs.add(&[item(5, Some((Stage::Agent, "agent")), answer)]);
        logs.view.ask(crate::widgets::text_view::PromptKind::Filter);
        logs.view.edit(|typed| typed.push_str("!Hello"));
        assert_eq!(logs.view.standing().filtered, Some((3, 5)));
        logs.toggle_raw();
        assert_eq!(logs.view.standing().filtered, Some((4, 5)));
    }

    #[test]
    fn stages_are_shown_one_by_one() {
        let mut logs = run();
        logs.cycle_stages();
        assert_eq!(logs.shown, Shown::Only(Stage::Prep));
        assert_eq!(
            shown(&logs),
            [
                "00:00:01 clone cloning feature/checkout",
                "00:00:03       · reconnected, 0 lost"
            ]
        );
        logs.cycle_stages();
        assert_eq!(logs.shown, Shown::Only(Stage::Agent));
        logs.cycle_stages();
        assert_eq!(shown(&logs).len(), 5);
    }

    #[test]
    fn the_next_error_is_found_in_an_agents_answer() {
        let mut logs = run();
        logs.view.next_error();
        logs.view.work();
        assert_eq!(logs.view.current(), Some(3));
    }

    #[test]
    fn what_was_written_the_time_before_is_one_key_away() {
        let mut logs = run();
        assert!(!logs.has_earlier());
        let source = |attempt, container: &str| Source {
            stage: Stage::Agent,
            version: 1,
            attempt,
            container: container.into(),
        };
        for (second, source, text) in [
            (5, source(1, "agent+1"), "started anew"),
            (6, source(2, "agent"), "second attempt"),
        ] {
            logs.add(&[Item {
                at: Timestamp::from_second(second).unwrap(),
                source: Some(source),
                text: text.into(),
                raw: None,
            }]);
        }
        let ends = |logs: &Logs| shown(logs).last().cloned().unwrap_or_default();
        assert!(ends(&logs).ends_with("second attempt"));
        logs.cycle_earlier();
        assert!(ends(&logs).ends_with("started anew"), "{:?}", shown(&logs));
        logs.cycle_earlier();
        assert!(ends(&logs).ends_with("disk full"), "{:?}", shown(&logs));
        logs.cycle_earlier();
        assert_eq!(logs.shown, Shown::All);
    }

    #[test]
    fn what_is_saved_is_what_was_written() {
        let mut logs = run();
        let saved = |logs: &Logs, json| {
            let mut bytes = Vec::new();
            logs.export(json).write(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = saved(&logs, false);
        assert_eq!(text.lines().count(), 3, "without our own remarks");
        assert!(text.starts_with("cloning feature/checkout\n{\"type\":\"assistant\""));
        let lines = saved(&logs, true);
        let line = |at: usize| {
            let line = lines.lines().nth(at).unwrap();
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        };
        assert_eq!(line(0)["container"], "clone");
        assert_eq!(line(0)["at"], "1970-01-01T00:00:01Z");
        assert_eq!(line(0)["text"], "cloning feature/checkout");
        assert_eq!(line(2)["remark"], "reconnected, 0 lost");
        logs.cycle_stages();
        assert_eq!(saved(&logs, false), "cloning feature/checkout\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_saved_as_they_came_and_as_json_without_a_lie_about_the_rest() {
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
