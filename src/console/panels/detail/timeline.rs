//! The Timeline tab: an agent's turns, what it said, thought and called, each folded to one line until it is opened.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::{
    console::{list::List, theme::Scope},
    text,
    transcript::{Event, entries},
};

/// Most steps kept; the log has them all.
const STEPS: usize = 20_000;
/// Most lines of one step that are shown when it is opened.
const UNFOLDED: usize = 200;

/// What kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Session,
    Text,
    Thinking,
    Tool,
    End,
    Trouble,
}

/// One thing an agent did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub at: Timestamp,
    /// Counts from 1; 0 before the first turn.
    pub turn: usize,
    pub kind: Kind,
    /// A sub-agent's.
    pub nested: bool,
    /// The tool, for a call.
    pub name: String,
    /// On one line.
    pub summary: String,
    /// Lines written and replaced.
    pub changed: Option<(usize, usize)>,
    /// Milliseconds until the tool answered.
    pub took: Option<i64>,
    /// The tool answered with an error.
    pub failed: bool,
    /// What opening it shows.
    pub inside: Vec<String>,
}

/// A row of the tab: a step, and which line of what is inside it (0 is the step itself).
pub type RowId = (usize, usize);

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub list: List<RowId>,
    steps: Vec<Step>,
    open: BTreeSet<usize>,
    /// Steps of calls that have not been answered, by the calls' ids.
    unanswered: HashMap<String, usize>,
    message: Option<String>,
    turn: usize,
    /// Whether the newest step is kept in sight.
    pub follow: bool,
}

impl Timeline {
    /// Takes one line of the agent's log in; [`Self::settle`] comes after a batch.
    pub fn add(&mut self, at: Timestamp, line: &str) {
        // What is no JSON is for the log.
        if !line.starts_with('{') || self.steps.len() >= STEPS {
            return;
        }
        for entry in entries(line) {
            let nested = entry.parent.is_some();
            if !nested && entry.message.is_some() && entry.message != self.message {
                self.message.clone_from(&entry.message);
                self.turn += 1;
            }
            let (kind, whole) = match &entry.event {
                Event::Init { model, .. } => (
                    Kind::Session,
                    format!("session {}", model.as_deref().unwrap_or_default()),
                ),
                Event::Text(words) => (Kind::Text, words.clone()),
                Event::Thinking(words) => (Kind::Thinking, words.clone()),
                Event::ToolUse(tool) => {
                    self.unanswered.insert(tool.id.clone(), self.steps.len());
                    (Kind::Tool, tool.summary.clone())
                }
                Event::ToolResult {
                    id,
                    is_error,
                    first_line,
                    ..
                } => {
                    self.answered(id, at, *is_error, first_line);
                    continue;
                }
                Event::Result(outcome) => {
                    let kind = if outcome.is_error {
                        Kind::Trouble
                    } else {
                        Kind::End
                    };
                    (
                        kind,
                        outcome
                            .text
                            .clone()
                            .unwrap_or_else(|| outcome.subtype.clone()),
                    )
                }
                Event::RateLimit { status, .. } if status != "allowed" => {
                    (Kind::Trouble, format!("rate limit: {status}"))
                }
                _ => continue,
            };
            let lines: Vec<String> = whole
                .trim()
                .lines()
                .take(UNFOLDED)
                .map(|line| text::sanitize(line).into_owned())
                .collect();
            let summary = lines.first().cloned().unwrap_or_default();
            let (name, changed) = match &entry.event {
                Event::ToolUse(tool) => {
                    let changed = tool.added.map(|added| (added, tool.removed.unwrap_or(0)));
                    (text::sanitize(&tool.name).into_owned(), changed)
                }
                _ => (String::new(), None),
            };
            self.steps.push(Step {
                at,
                turn: self.turn,
                kind,
                nested,
                name,
                summary,
                changed,
                took: None,
                failed: false,
                inside: if lines.len() > 1 { lines } else { Vec::new() },
            });
        }
    }

    fn answered(&mut self, id: &str, at: Timestamp, is_error: bool, first_line: &str) {
        let Some(step) = self
            .unanswered
            .remove(id)
            .and_then(|index| self.steps.get_mut(index))
        else {
            return;
        };
        step.took = Some(at.duration_since(step.at).as_millis() as i64);
        step.failed = is_error;
        if is_error {
            step.inside.push(text::sanitize(first_line).into_owned());
        }
    }

    /// Derives the rows anew, after lines came or a step was opened.
    pub fn settle(&mut self) {
        let mut rows = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            rows.push((index, 0));
            if self.open.contains(&index) {
                rows.extend((1..=step.inside.len()).map(|line| (index, line)));
            }
        }
        self.list.set_rows(rows);
        if self.follow {
            self.list.select_at(usize::MAX);
        }
    }

    /// Opens or closes the selected step.
    pub fn toggle(&mut self) {
        let Some((step, _)) = self.list.selected().copied() else {
            return;
        };
        if self.steps[step].inside.is_empty() {
            return;
        }
        if !self.open.remove(&step) {
            self.open.insert(step);
        }
        self.follow = false;
        self.settle();
        self.list.select(&(step, 0));
    }

    /// Whether a step is open.
    pub fn is_open(&self, step: usize) -> bool {
        self.open.contains(&step)
    }

    /// A step by its place.
    pub fn step(&self, index: usize) -> Option<&Step> {
        self.steps.get(index)
    }

    /// Whether a step begins a turn.
    pub fn begins_turn(&self, index: usize) -> bool {
        let before = index
            .checked_sub(1)
            .map_or(0, |before| self.steps[before].turn);
        self.steps.get(index).is_some_and(|step| step.turn > before)
    }
}

impl Step {
    /// How it looks.
    pub const fn scope(&self) -> Scope {
        match self.kind {
            Kind::Session => Scope::Muted,
            Kind::Text => Scope::Agent,
            Kind::Thinking => Scope::AgentThinking,
            Kind::Tool if self.failed => Scope::AgentError,
            Kind::Tool => Scope::AgentTool,
            Kind::End => Scope::Good,
            Kind::Trouble => Scope::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        for (at, line) in [
            (
                1,
                r#"{"type":"system","subtype":"init","model":"opus","session_id":"s"}"#,
            ),
            (
                2,
                r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"First\nsecond line"}]}}"#,
            ),
            (
                3,
                r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"t","name":"Bash","input":{"command":"make"}}]}}"#,
            ),
            (
                7,
                r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","is_error":true,"content":"no rule"}]}}"#,
            ),
            (8, "a line of a shell"),
            (
                9,
                r#"{"type":"assistant","message":{"id":"m2","content":[{"type":"text","text":"Done"}]}}"#,
            ),
        ] {
            timeline.add(second(at), line);
        }
        timeline.settle();
        timeline
    }

    #[test]
    fn steps_belong_to_turns_and_calls_know_their_answers() {
        let timeline = timeline();
        let turns: Vec<_> = timeline
            .steps
            .iter()
            .map(|step| (step.turn, step.kind))
            .collect();
        assert_eq!(
            turns,
            [
                (0, Kind::Session),
                (1, Kind::Text),
                (1, Kind::Tool),
                (2, Kind::Text)
            ]
        );
        let call = timeline.step(2).unwrap();
        assert_eq!(
            (call.took, call.failed, call.inside.as_slice()),
            (Some(4_000), true, &["no rule".to_owned()][..])
        );
        assert!(timeline.begins_turn(1) && !timeline.begins_turn(2) && timeline.begins_turn(3));
    }

    #[test]
    fn opening_a_step_shows_what_is_inside_and_keeps_the_place() {
        let mut timeline = timeline();
        timeline.list.set_height(10);
        timeline.list.select(&(1, 0));
        timeline.toggle();
        assert_eq!(timeline.list.rows()[..4], [(0, 0), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(timeline.list.selected(), Some(&(1, 0)));
        timeline.toggle();
        assert_eq!(timeline.list.rows().len(), 4);
        timeline.list.select(&(3, 0));
        timeline.toggle();
        assert_eq!(
            timeline.list.rows().len(),
            4,
            "nothing is inside a single line"
        );
    }
}
