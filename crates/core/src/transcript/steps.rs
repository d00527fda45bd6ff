//! Steps of an agent, updated line by line. Calls are joined with their results, sub-agent steps with the call that
//! started them. Incremental and one-shot parsing give the same result.

mod limits;

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use self::limits::{BYTES_LIMIT, OUTPUT_LIMIT, STEPS_LIMIT};
use super::{
    Event, Step, StepKind, StreamEvent, SubAgentUsage, ToolAnswer, ToolCall, ToolResult,
    event::start_of, parse_line,
};

/// Maximum size of one text in bytes.
const TEXT_LIMIT: usize = 64 * 1024;
/// Maximum nesting of sub-agents.
const DEPTH_LIMIT: usize = 8;
/// Maximum lines per output step.
const OUTPUT_LINES: usize = 200;
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
mod tests;
