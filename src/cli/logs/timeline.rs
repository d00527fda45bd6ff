//! `runs logs --timeline`: what the agent did, step by step, as text or as JSON lines.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use flightdeck_core::{
    log::LogLine,
    text,
    transcript::{SessionOutcome, Step, StepKind, Steps, ToolAnswer, ToolCall},
};

/// The steps so far, and which of them were told.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    steps: Steps,
    /// A call is told as soon as it is made, its answer when it comes; otherwise both at once, when they are there.
    eager: bool,
    /// Only steps of then or later.
    since: Option<Timestamp>,
    /// Number of the first step that was not told yet.
    next: usize,
    /// Calls that were told while their tools still worked.
    open: BTreeSet<usize>,
}

/// Something to print of a step: all that is known of it, or the answer to a call that was told before.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    number: usize,
    step: Step,
    /// How many sub-agents deep.
    depth: usize,
    answer_alone: bool,
}

impl Timeline {
    pub(super) fn new(eager: bool, since: Option<Timestamp>) -> Self {
        Self {
            eager,
            since,
            ..Self::default()
        }
    }

    /// Takes a line of the agent stage.
    pub(super) fn add(&mut self, line: &LogLine) {
        self.steps.add(Some(line.at), &line.text);
    }

    /// Passes over all steps so far but the last `count`.
    pub(super) fn keep_last(&mut self, count: usize) {
        self.next = self.next.max(self.steps.end().saturating_sub(count));
    }

    /// What is new, in order. `over` when nothing can follow.
    pub(super) fn news(&mut self, over: bool) -> Vec<Told> {
        let mut news = Vec::new();
        for number in self.steps.take_changed() {
            if !self.steps.is_pending(number) && self.open.remove(&number) {
                news.extend(self.told(number, true));
            }
        }
        while self.next < self.steps.end() {
            let waits = self.steps.is_pending(self.next);
            // A shell's output may grow as long as nothing follows it.
            let grows = self.next + 1 == self.steps.end()
                && self
                    .steps
                    .get(self.next)
                    .is_some_and(|step| matches!(step.what, StepKind::Output { .. }));
            if !over && (grows || (waits && !self.eager)) {
                break;
            }
            if waits {
                self.open.insert(self.next);
            }
            news.extend(self.told(self.next, false));
            self.next += 1;
        }
        news
    }

    fn told(&self, number: usize, answer_alone: bool) -> Option<Told> {
        let step = self.steps.get(number)?;
        if step
            .at
            .zip(self.since)
            .is_some_and(|(at, since)| at < since)
        {
            return None;
        }
        let mut depth = 0;
        let mut parent = step.parent;
        while let Some(above) = parent.and_then(|number| self.steps.get(number)) {
            depth += 1;
            parent = above.parent;
        }
        Some(Told {
            number,
            step: step.clone(),
            depth,
            answer_alone,
        })
    }
}

impl Told {
    /// When it happened.
    pub(super) const fn at(&self) -> Option<Timestamp> {
        self.step.at
    }

    /// The step with its number; a call that was told before has its answer now.
    pub(super) fn json(&self) -> Value {
        let mut value = json!({ "step": self.number });
        if let (Some(all), Ok(Value::Object(step))) =
            (value.as_object_mut(), serde_json::to_value(&self.step))
        {
            all.extend(step);
        }
        value
    }

    /// Its lines, as remote text: not made harmless yet.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.answer_alone {
            if let StepKind::Call(call) = &self.step.what {
                lines.push(format!("◂ {}", head(call)));
                end_of(call, &mut lines);
            }
        } else {
            words(&self.step.what, &mut lines);
        }
        let indent = "    ".repeat(self.depth);
        lines.iter().map(|line| format!("{indent}{line}")).collect()
    }
}

fn words(what: &StepKind, lines: &mut Vec<String>) {
    let mut all = |mark: &str, text: &str| {
        let text = text.trim_matches('\n').lines();
        lines.extend(text.map(|line| format!("{mark}{line}")));
    };
    match what {
        StepKind::Session { id, model } => {
            let id = id.iter().map(|id| id.chars().take(8).collect());
            let parts: Vec<String> = id.chain(model.clone()).collect();
            all("● ", &format!("session {}", parts.join(" ")));
        }
        StepKind::Text { text } => all("", text),
        StepKind::Thinking { text } if text.is_empty() => all("· ", "thought"),
        StepKind::Thinking { text } | StepKind::Notice { text } => all("· ", text),
        StepKind::Prompt { text } => all("› ", text),
        StepKind::Call(call) => {
            all("▸ ", &head(call));
            end_of(call, lines);
        }
        StepKind::Output { lines: output } => lines.extend(output.iter().cloned()),
        StepKind::Trouble { text, details } => {
            all("✗ ", text);
            all("  ", details);
        }
        StepKind::End(outcome) => all(if outcome.failed() { "✗ " } else { "✓ " }, &end(outcome)),
        StepKind::Raw { line, .. } => all("", line),
    }
}

/// `Write  docs/task-2/task.md  +118 -2`
fn head(call: &ToolCall) -> String {
    let added = call.tool.added.map(|added| format!("  +{added}"));
    let removed = call.tool.removed.filter(|removed| *removed > 0);
    let line = [
        format!("{:<6} {}", call.tool.name, call.tool.summary),
        added.unwrap_or_default(),
        removed.map_or_else(String::new, |removed| format!(" -{removed}")),
    ];
    line.concat().trim_end().to_owned()
}

/// How a call ended, where that says more than the call.
fn end_of(call: &ToolCall, lines: &mut Vec<String>) {
    if let Some(why) = &call.denied {
        let first = why.lines().next().unwrap_or_default();
        lines.push(format!("  ✗ refused: {first}"));
    }
    let Some(answer) = &call.answer else { return };
    let took = answer.took_ms.unwrap_or_default() / 1000;
    if answer.is_error && call.denied.is_none() {
        lines.push(format!("  ✗ {}", first_line(answer)));
    } else if took > 0 || answer.lines > 1 {
        let took = (took > 0).then(|| text::duration(took));
        let size = (answer.lines > 1).then(|| text::count(answer.lines, "line"));
        let parts: Vec<String> = took.into_iter().chain(size).collect();
        lines.push(format!("  {}", parts.join(", ")));
    }
}

fn first_line(answer: &ToolAnswer) -> &str {
    answer.text.trim().lines().next().unwrap_or("failed")
}

fn end(outcome: &SessionOutcome) -> String {
    let how = if outcome.failed() {
        format!("failed: {}", outcome.subtype)
    } else {
        "finished".to_owned()
    };
    let turns = outcome.turns.and_then(|turns| usize::try_from(turns).ok());
    let parts = [
        Some(how),
        turns.map(|turns| text::count(turns, "turn")),
        outcome.cost_micro_usd.map(text::usd),
        outcome
            .duration_ms
            .map(|milliseconds| text::duration(milliseconds / 1000)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use flightdeck_core::log::LogSource;

    const CALL: &str = r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"I write."},{"type":"tool_use","id":"t1","name":"Write","input":{"file_path":"a.md","content":"x\ny\n"}}]}}"#;
    const ANSWER: &str = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"disk full"}]}}"#;

    fn told(eager: bool, lines: &[(i64, &str)]) -> Vec<String> {
        let mut timeline = Timeline::new(eager, None);
        let mut told = Vec::new();
        let source = Arc::new(LogSource::without_pod("agent"));
        for (second, text) in lines {
            timeline.add(&LogLine {
                source: Arc::clone(&source),
                at: Timestamp::from_second(*second).unwrap(),
                ordinal: 0,
                text: (*text).into(),
                bytes: None,
                left_out: 0,
            });
            told.extend(timeline.news(false));
        }
        told.extend(timeline.news(true));
        told.iter().flat_map(Told::lines).collect()
    }

    #[test]
    fn a_call_and_its_answer_are_one_and_while_following_each_is_told_at_once() {
        let lines = [(1, "$ claude"), (2, CALL), (9, ANSWER)];
        assert_eq!(
            told(false, &lines),
            ["$ claude", "I write.", "▸ Write  a.md  +2", "  ✗ disk full"]
        );
        assert_eq!(
            told(true, &lines),
            [
                "$ claude",
                "I write.",
                "▸ Write  a.md  +2",
                "◂ Write  a.md  +2",
                "  ✗ disk full"
            ]
        );
        // Without an answer the call is not lost.
        assert_eq!(
            told(false, &lines[..2]),
            ["$ claude", "I write.", "▸ Write  a.md  +2"]
        );
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let mut timeline = Timeline::new(false, Some(Timestamp::from_second(5).unwrap()));
        let source = Arc::new(LogSource::without_pod("agent"));
        for (second, text) in [(1, "old"), (6, CALL), (7, "new"), (8, "newer")] {
            timeline.add(&LogLine {
                source: Arc::clone(&source),
                at: Timestamp::from_second(second).unwrap(),
                ordinal: 0,
                text: text.into(),
                bytes: None,
                left_out: 0,
            });
        }
        timeline.keep_last(2);
        let told = timeline.news(true);
        let json: Vec<Value> = told.iter().map(Told::json).collect();
        assert_eq!(json.len(), 2, "{json:?}");
        assert_eq!(
            (&json[0]["kind"], &json[0]["name"]),
            (&"call".into(), &"Write".into())
        );
        assert_eq!(
            (&json[1]["kind"], &json[1]["lines"]),
            (&"output".into(), &json!(["new", "newer"]))
        );
    }
}
