//! Steps of an agent, updated line by line. Calls are joined with their results, sub-agent steps with the call that
//! started them. Incremental and one-shot parsing give the same result.

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use super::{
    Event, RateLimit, Retry, Step, StepKind, StreamEvent, SubAgentUsage, ToolAnswer, ToolCall,
    ToolResult, event::start_of, parse_line,
};
use crate::text;

/// Maximum number of steps; the oldest are dropped. The log has all of them.
const STEPS_LIMIT: usize = 100_000;
/// Maximum size of one text in bytes.
const TEXT_LIMIT: usize = 64 * 1024;
/// Maximum nesting of sub-agents.
const DEPTH_LIMIT: usize = 8;
/// Maximum lines per output step.
const OUTPUT_LINES: usize = 200;
/// Maximum size of shell output in bytes; the oldest is dropped.
const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// Maximum size of all other texts in bytes; the oldest are shortened.
const BYTES_LIMIT: usize = 64 * 1024 * 1024;

/// The steps so far. Numbers start at 0 and are stable when older steps are dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Number of the oldest step kept.
    first: usize,
    retained: VecDeque<Step>,
    /// Call id to step number.
    calls: HashMap<String, usize>,
    /// Unanswered calls of the current session.
    unanswered: BTreeSet<usize>,
    /// Steps added or changed since the last call of `take_changed`.
    changed: BTreeSet<usize>,
    message: Option<String>,
    turn: usize,
    /// The step of a retry in progress, if nothing follows it.
    retrying: Option<usize>,
    /// Output steps whose lines are kept, oldest first, with their sizes.
    outputs: VecDeque<(usize, usize)>,
    output_bytes: usize,
    /// Number of the oldest step with complete texts, and the size of all texts from there on.
    first_whole: usize,
    bytes: usize,
}

impl Steps {
    /// Adds one line of the log of the agent stage.
    pub fn add(&mut self, at: Option<Timestamp>, line: &str) {
        self.add_entries(at, line, &parse_line(line));
    }

    /// Adds one parsed line.
    pub fn add_entries(&mut self, at: Option<Timestamp>, line: &str, entries: &[StreamEvent]) {
        for entry in entries {
            self.add_entry(at, line, entry);
        }
        self.trim_texts(BYTES_LIMIT);
        self.drop_oldest(STEPS_LIMIT);
    }

    fn add_entry(&mut self, at: Option<Timestamp>, line: &str, entry: &StreamEvent) {
        if entry.parent.is_none() && entry.message.is_some() && entry.message != self.message {
            self.message.clone_from(&entry.message);
            self.turn += 1;
        }
        let retried = self.retrying.take();
        let what = match &entry.event {
            Event::Init { session, model, .. } => {
                self.unanswered.clear();
                StepKind::Session {
                    id: session.clone(),
                    model: model.clone(),
                }
            }
            Event::Text(words) if words.trim().is_empty() => return,
            Event::Text(words) => StepKind::Text {
                text: bounded(words),
            },
            Event::Thinking(words) => StepKind::Thinking {
                text: bounded(words),
            },
            Event::Prompt(words) => StepKind::Prompt {
                text: bounded(words),
            },
            Event::ToolUse(tool) => {
                let number = self.end();
                self.calls.insert(tool.id.clone(), number);
                self.unanswered.insert(number);
                StepKind::Call(Box::new(ToolCall {
                    tool: (**tool).clone(),
                    ..ToolCall::default()
                }))
            }
            Event::ToolResult(result) => {
                if self.answered(at, result) {
                    return;
                }
                raw("tool_result", line)
            }
            Event::Denied { tool, id, why } => {
                if self.change_call(id, |call| call.denied = Some(bounded(why))) {
                    return;
                }
                trouble(format!("{tool} denied"), why)
            }
            Event::SubAgent(news) => {
                let ended = news.ended.as_deref();
                self.change_call(&news.id, |call| {
                    let known = call.agent.unwrap_or_default();
                    call.agent = Some(SubAgentUsage {
                        tokens: news.tokens.unwrap_or(known.tokens),
                        tool_calls: news.tool_calls.unwrap_or(known.tool_calls),
                    });
                });
                match ended {
                    Some("failed" | "stopped") => {
                        trouble(format!("sub-agent {}", ended.unwrap_or_default()), "")
                    }
                    _ => return,
                }
            }
            Event::Retry(retry) => {
                let what = trouble(retry.message(), "");
                self.retrying = Some(retried.unwrap_or_else(|| self.end()));
                if let Some(number) = retried {
                    self.change(number, |step| step.what = what);
                    return;
                }
                what
            }
            Event::RateLimit(limit) if limit.status == "allowed" => {
                self.retrying = retried;
                return;
            }
            Event::RateLimit(limit) if limit.is_rejected() => trouble(limit.message(), ""),
            Event::RateLimit(limit) => StepKind::Notice {
                text: limit.message(),
            },
            Event::ApiError { kind, text } => trouble(kind.replace('_', " "), text),
            Event::Waiting(Some(what)) => trouble(format!("waiting for {what}"), ""),
            Event::Compacted { before, after } => StepKind::Notice {
                text: compacted(*before, *after),
            },
            Event::Notice {
                text,
                is_warning: true,
            } => {
                let mut lines = text.trim().splitn(2, '\n');
                let first = lines.next().unwrap_or_default().to_owned();
                trouble(first, lines.next().unwrap_or_default())
            }
            Event::Notice { text, .. } => StepKind::Notice {
                text: bounded(text),
            },
            Event::Result(outcome) => {
                self.unanswered.clear();
                StepKind::End(outcome.clone())
            }
            Event::Other(name) => raw(name, line),
            Event::Plain(text) => {
                self.output(at, text);
                return;
            }
            Event::Waiting(None) | Event::Partial => {
                self.retrying = retried;
                return;
            }
        };
        let parent = entry.parent.as_ref();
        let parent = parent.and_then(|id| self.calls.get(id)).copied();
        // A corrupt stream may name a call as its own parent.
        let parent = parent.filter(|parent| *parent < self.end());
        // Drawing recurses, so deeper nesting is flattened.
        let parent = parent.and_then(|parent| {
            if self.depth(parent) < DEPTH_LIMIT {
                Some(parent)
            } else {
                self.get(parent)?.parent
            }
        });
        self.push(at, parent, what);
    }

    /// Returns the sub-agent depth of a step.
    #[must_use]
    pub fn depth(&self, number: usize) -> usize {
        let parent = |number: usize| self.get(number)?.parent;
        std::iter::successors(parent(number), |number| parent(*number)).count()
    }

    fn push(&mut self, at: Option<Timestamp>, parent: Option<usize>, what: StepKind) {
        self.changed.insert(self.end());
        let step = Step {
            at,
            turn: self.turn,
            parent,
            what,
        };
        self.bytes += step.bytes();
        self.retained.push_back(step);
    }

    /// Updates a retained step and its size. A step with shortened texts does not grow.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Step)) {
        let whole = number >= self.first_whole;
        let Some(step) = self.get_mut(number) else {
            return;
        };
        let before = step.bytes();
        change(step);
        if whole {
            let after = step.bytes();
            self.bytes = self.bytes - before + after;
        } else {
            step.trim_texts();
        }
    }

    fn get_mut(&mut self, number: usize) -> Option<&mut Step> {
        let step = self.retained.get_mut(number.checked_sub(self.first)?)?;
        self.changed.insert(number);
        Some(step)
    }

    /// Updates a call. Returns false if the id is unknown.
    fn change_call(&mut self, id: &str, change: impl FnOnce(&mut ToolCall)) -> bool {
        let Some(number) = self.calls.get(id).copied() else {
            return false;
        };
        self.change(number, |step| {
            if let StepKind::Call(call) = &mut step.what {
                change(call);
            }
        });
        true
    }

    /// Adds the result of a call. Returns false if the id is unknown.
    fn answered(&mut self, at: Option<Timestamp>, result: &ToolResult) -> bool {
        let Some(number) = self.calls.get(&result.id).copied() else {
            return false;
        };
        self.unanswered.remove(&number);
        let called = self.get(number).and_then(|step| step.at);
        self.change_call(&result.id, |call| {
            call.answer = Some(ToolAnswer::new(result, called, at));
            if result.patch.is_some() && !result.is_error {
                // The diff has the same edits with line numbers.
                call.tool.edits.clear();
            }
        })
    }

    fn output(&mut self, at: Option<Timestamp>, line: &str) {
        let last = self.retained.back_mut().map(|step| &mut step.what);
        if let Some(StepKind::Output { lines }) = last
            && lines.len() < OUTPUT_LINES
        {
            lines.push(bounded(line));
            self.changed.insert(self.end() - 1);
            if let Some((_, bytes)) = self.outputs.back_mut() {
                *bytes += line.len();
            }
        } else if !line.trim().is_empty() {
            self.outputs.push_back((self.end(), line.len()));
            let lines = vec![bounded(line)];
            self.push(at, None, StepKind::Output { lines });
        } else {
            return;
        }
        self.output_bytes += line.len();
        self.trim_output(OUTPUT_LIMIT);
    }

    /// Replaces the oldest output by its line count.
    fn trim_output(&mut self, most: usize) {
        while self.output_bytes > most && self.outputs.len() > 1 {
            let Some((number, bytes)) = self.outputs.pop_front() else {
                return;
            };
            self.output_bytes -= bytes;
            if let Some(step) = self.get_mut(number)
                && let StepKind::Output { lines } = &mut step.what
            {
                *lines = vec![format!(
                    "({} dropped; see the log)",
                    text::count(lines.len(), "line")
                )];
            }
        }
    }

    /// Shortens the texts of the oldest steps.
    fn trim_texts(&mut self, most: usize) {
        while self.bytes > most && self.first_whole + 1 < self.end() {
            let number = self.first_whole;
            self.first_whole += 1;
            let Some(step) = self.get(number) else {
                continue;
            };
            let bytes = step.bytes();
            self.bytes -= bytes;
            // Steps without texts are unchanged.
            if bytes > 0
                && let Some(step) = self.get_mut(number)
            {
                step.trim_texts();
            }
        }
    }

    fn drop_oldest(&mut self, most: usize) {
        if self.retained.len() <= most {
            return;
        }
        // Drop in bulk, because cleaning up the indexes is linear.
        let surplus = self.retained.len() - most + most / 10;
        let counted = self.first_whole.saturating_sub(self.first);
        for (index, step) in self.retained.drain(..surplus).enumerate() {
            if index >= counted {
                self.bytes -= step.bytes();
            }
        }
        self.first += surplus;
        self.first_whole = self.first_whole.max(self.first);
        let first = self.first;
        self.calls.retain(|_, number| *number >= first);
        self.unanswered.retain(|number| *number >= first);
        self.changed.retain(|number| *number >= first);
    }

    /// Returns the number of the next step.
    #[must_use]
    pub fn end(&self) -> usize {
        self.first + self.retained.len()
    }

    /// Returns the number of dropped steps.
    #[must_use]
    pub const fn dropped(&self) -> usize {
        self.first
    }

    /// Returns a step by number.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Step> {
        self.retained.get(number.checked_sub(self.first)?)
    }

    /// Returns the retained steps with their numbers, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Step)> {
        (self.first..).zip(&self.retained)
    }

    /// Whether the call of this step is unanswered.
    #[must_use]
    pub fn is_pending(&self, number: usize) -> bool {
        self.unanswered.contains(&number)
    }

    /// Returns the steps added or changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.changed)
    }
}

impl Retry {
    /// Describes the retry: `model request failed (overloaded); attempt 3 of 10 in 12 s`.
    #[must_use]
    pub fn message(&self) -> String {
        let most = if self.max_attempts > 0 {
            format!(" of {}", self.max_attempts)
        } else {
            String::new()
        };
        format!(
            "model request failed ({}); attempt {}{most} in {} s",
            self.error.replace('_', " "),
            self.attempt,
            self.delay_ms.saturating_add(999) / 1_000,
        )
    }
}

impl RateLimit {
    /// Whether requests are rejected.
    pub(super) fn is_rejected(&self) -> bool {
        self.status == "rejected"
    }

    /// Whether the limit is reached or close.
    pub(super) fn is_notable(&self) -> bool {
        self.status != "allowed"
    }

    /// Describes the limit: `rate limit reached (five hour)`.
    #[must_use]
    pub fn message(&self) -> String {
        let status = match self.status.as_str() {
            "rejected" => "rate limit reached".to_owned(),
            "allowed_warning" => "rate limit nearly reached".to_owned(),
            other => format!("rate limit: {other}"),
        };
        match &self.window {
            Some(window) => format!("{status} ({})", window.replace('_', " ")),
            None => status,
        }
    }
}

fn compacted(before: Option<i64>, after: Option<i64>) -> String {
    let tokens = match (before, after) {
        (Some(before), Some(after)) => format!(" from {before} to {after} tokens"),
        (Some(before), None) => format!(" from {before} tokens"),
        _ => String::new(),
    };
    format!("context compacted{tokens}")
}

fn bounded(text: &str) -> String {
    start_of(text, TEXT_LIMIT).to_owned()
}

fn raw(name: &str, line: &str) -> StepKind {
    StepKind::Raw {
        name: name.to_owned(),
        line: bounded(line),
    }
}

fn trouble(text: String, details: &str) -> StepKind {
    StepKind::Trouble {
        text,
        details: bounded(details),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_oldest_steps_over_limit() {
        let mut steps = Steps::default();
        for n in 0..50 {
            let call = format!(
                r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Bash","input":{{"command":"step {n}"}}}}]}}}}"#
            );
            steps.add(None, &call);
            steps.drop_oldest(20);
        }
        assert_eq!(steps.end(), 50);
        assert!(steps.dropped() >= 30 && steps.get(0).is_none());
        let step = steps.get(49).unwrap();
        assert!(matches!(&step.what, StepKind::Call(call) if call.tool.summary == "step 49"));
        steps.add(
            None,
            r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t49","content":"done"}]}}"#,
        );
        assert!(!steps.is_pending(49) && steps.is_pending(48));
    }

    #[test]
    fn drops_oldest_output_over_limit() {
        let mut steps = Steps::default();
        steps.add(None, "first");
        steps.add(None, r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"Building."}]}}"#);
        for n in 0..OUTPUT_LINES * 5 {
            steps.add(None, &format!("{n:0100}"));
        }
        steps.trim_output(OUTPUT_LINES * 250);
        let texts: Vec<String> = steps.iter().map(|(_, step)| step.full_text()).collect();
        assert_eq!(texts[0], "(1 line dropped; see the log)");
        assert_eq!(texts[1], "Building.");
        assert_eq!(texts[2], "(200 lines dropped; see the log)");
        assert!(texts[6].ends_with("999") && texts[5].lines().count() == 200);
        // Dropped output stays dropped.
        steps.trim_output(0);
        assert_eq!(steps.output_bytes, OUTPUT_LINES * 100);
        assert!(steps.get(6).unwrap().full_text().ends_with("999"));
    }

    #[test]
    fn shortens_oldest_texts_over_limit() {
        let mut steps = Steps::default();
        let long = "word ".repeat(1_000);
        for n in 0..20 {
            for content in [
                format!(r#"{{"type":"text","text":"{n} {long}"}}"#),
                format!(
                    r#"{{"type":"tool_use","id":"t{n}","name":"Write","input":{{"file_path":"{n}.md","content":"{long}"}}}}"#
                ),
            ] {
                let line = format!(
                    r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{content}]}}}}"#
                );
                steps.add(None, &line);
            }
            steps.trim_texts(20_000);
        }
        let counted = |steps: &Steps| {
            let whole = steps
                .iter()
                .filter(|(number, _)| *number >= steps.first_whole);
            whole.map(|(_, step)| step.bytes()).sum::<usize>()
        };
        assert!(steps.bytes <= 20_000 && steps.bytes == counted(&steps));
        let all: usize = steps.iter().map(|(_, step)| step.bytes()).sum();
        assert!(all < 20_000 + 40 * 400, "{all}");
        let text = |number| steps.get(number).unwrap().full_text();
        assert!(text(0).starts_with("0 word") && text(0).ends_with("see the log)"));
        assert!(text(1).starts_with("Write 0.md") && text(1).ends_with("see the log)"));
        assert_eq!(text(38), format!("19 {long}"));
        // A late result is shortened too, and dropped steps no longer count.
        let answer = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t0","content":"{long}"}}]}}}}"#
        );
        steps.add(None, &answer);
        assert!(steps.get(1).unwrap().bytes() < 1_000);
        assert_eq!(steps.bytes, counted(&steps));
        steps.drop_oldest(2);
        assert_eq!(steps.bytes, counted(&steps));
    }

    #[test]
    fn ignores_self_parent() {
        let mut steps = Steps::default();
        steps.add(
            None,
            r#"{"type":"assistant","parent_tool_use_id":"t1","message":{"id":"m1","content":[{"type":"tool_use","id":"t1","name":"Agent","input":{}}]}}"#,
        );
        assert_eq!((steps.get(0).unwrap().parent, steps.depth(0)), (None, 0));
    }

    #[test]
    fn limits_nesting_depth() {
        let mut steps = Steps::default();
        for n in 1..=5_000 {
            let call = format!(
                r#"{{"type":"assistant","parent_tool_use_id":"t{}","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Agent","input":{{}}}}]}}}}"#,
                n - 1
            );
            steps.add(None, &call);
        }
        let depths = (0..5_000).map(|number| steps.depth(number));
        assert_eq!(depths.max(), Some(DEPTH_LIMIT));
    }
}
