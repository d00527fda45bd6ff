//! A step of an agent: text, tool call or event, with its result.

use jiff::Timestamp;
use serde::Serialize;

use super::{Edit, SessionOutcome, ToolResult, ToolUse, event::start_of};

/// Bytes kept at the start of a trimmed text.
const TRIMMED_LENGTH: usize = 200;

/// A step. Contains remote text: sanitise before showing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Log time; `None` for lines without a timestamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Message number of the main agent, from 1; 0 before the first.
    pub turn: usize,
    /// Number of the step that started the sub-agent of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    #[serde(flatten)]
    pub what: StepKind,
}

/// Kind of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum StepKind {
    /// A session started or was resumed.
    Session {
        id: Option<String>,
        model: Option<String>,
    },
    /// Text of the agent.
    Text { text: String },
    /// Thinking of the agent; empty if redacted.
    Thinking { text: String },
    /// User message.
    Prompt { text: String },
    /// Tool call.
    Call(Box<ToolCall>),
    /// Consecutive output lines of other programs.
    Output { lines: Vec<String> },
    /// An informational message.
    Notice { text: String },
    /// A problem that delays or stops the agent: summary and details.
    Trouble { text: String, details: String },
    /// End of a session.
    End(Box<SessionOutcome>),
    /// An unknown event: its type and the original line.
    Raw { name: String, line: String },
}

/// A tool call with its result.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    #[serde(flatten)]
    pub tool: ToolUse,
    /// `None` until the tool returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<ToolAnswer>,
    /// Reason of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
    /// Usage of the sub-agent that the call started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<SubAgentUsage>,
}

/// Result of a tool call.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolAnswer {
    /// Duration in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    pub is_error: bool,
    /// Size of the text in bytes.
    pub size: usize,
    /// Number of lines.
    pub lines: usize,
    /// Text, shortened in the middle if long.
    pub text: String,
    /// Change to a file, as unified diff hunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// Usage of a sub-agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAgentUsage {
    pub tokens: i64,
    pub tool_calls: i64,
}

impl Step {
    /// Returns the complete text, as for copying.
    #[must_use]
    pub fn full_text(&self) -> String {
        match &self.what {
            StepKind::Session { id, model } => {
                let words = [model, id].into_iter().flatten().cloned();
                words.collect::<Vec<_>>().join(" ")
            }
            StepKind::Text { text }
            | StepKind::Thinking { text }
            | StepKind::Prompt { text }
            | StepKind::Notice { text } => text.clone(),
            StepKind::Trouble { text, details } => {
                format!("{text}\n{details}").trim_end().to_owned()
            }
            StepKind::Output { lines } => lines.join("\n"),
            StepKind::End(outcome) => outcome.text.clone().unwrap_or_default(),
            StepKind::Raw { line, .. } => line.clone(),
            StepKind::Call(call) => {
                let tool = &call.tool;
                let mut parts = vec![format!("{} {}", tool.name, tool.summary)];
                parts.push(tool.details.clone());
                match call
                    .answer
                    .as_ref()
                    .and_then(|answer| answer.patch.as_ref())
                {
                    Some(patch) => parts.push(patch.clone()),
                    None => parts.extend(tool.edits.iter().map(|edit| edit.new.clone())),
                }
                parts.extend(call.denied.clone());
                parts.extend(call.answer.as_ref().map(|answer| answer.text.clone()));
                parts.retain(|part| !part.trim().is_empty());
                parts.join("\n")
            }
        }
    }

    /// Returns the size of the texts. Excludes shell output, which has its own limit.
    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            StepKind::Session { .. } | StepKind::Output { .. } => 0,
            StepKind::Text { text }
            | StepKind::Thinking { text }
            | StepKind::Prompt { text }
            | StepKind::Notice { text } => text.len(),
            StepKind::Trouble { text, details } => text.len() + details.len(),
            StepKind::End(outcome) => outcome.text.as_ref().map_or(0, String::len),
            StepKind::Raw { line, .. } => line.len(),
            StepKind::Call(call) => {
                let edits = call.tool.edits.iter();
                let edits: usize = edits.map(|edit| edit.old.len() + edit.new.len()).sum();
                let answer = call.answer.as_ref().map_or(0, |answer| {
                    answer.text.len() + answer.patch.as_ref().map_or(0, String::len)
                });
                let denied = call.denied.as_ref().map_or(0, String::len);
                call.tool.details.len() + edits + answer + denied
            }
        }
    }

    /// Shortens the texts to their start and a note.
    pub(super) fn trim_texts(&mut self) {
        match &mut self.what {
            StepKind::Session { .. } | StepKind::Output { .. } => {}
            StepKind::Text { text }
            | StepKind::Thinking { text }
            | StepKind::Prompt { text }
            | StepKind::Notice { text } => shorten(text),
            StepKind::Trouble { text, details } => {
                shorten(text);
                shorten(details);
            }
            StepKind::End(outcome) => {
                if let Some(text) = &mut outcome.text {
                    shorten(text);
                }
            }
            StepKind::Raw { line, .. } => shorten(line),
            StepKind::Call(call) => {
                let edits: usize = call.tool.edits.iter().map(|edit| edit.new.len()).sum();
                if edits > 0 {
                    call.tool.edits.clear();
                    call.tool.details = trimmed_note(edits);
                } else {
                    shorten(&mut call.tool.details);
                }
                if let Some(answer) = &mut call.answer {
                    if let Some(patch) = answer.patch.take() {
                        answer.text = trimmed_note(patch.len() + answer.text.len());
                    } else {
                        shorten(&mut answer.text);
                    }
                }
                if let Some(denied) = &mut call.denied {
                    shorten(denied);
                }
            }
        }
    }
}

fn shorten(text: &mut String) {
    if text.len() > 2 * TRIMMED_LENGTH {
        let begin = start_of(text, TRIMMED_LENGTH);
        *text = format!("{begin} …\n{}", trimmed_note(text.len() - begin.len()));
    }
}

fn trimmed_note(bytes: usize) -> String {
    format!("({bytes} bytes dropped; see the log)")
}

impl ToolCall {
    /// Returns the edits, unless the tool reported a diff with line numbers.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.tool.edits
    }

    /// Whether the call was denied or failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.denied.is_some() || self.answer.as_ref().is_some_and(|answer| answer.is_error)
    }
}

impl ToolAnswer {
    /// Builds the result of a call made at `called`.
    #[must_use]
    pub fn new(result: &ToolResult, called: Option<Timestamp>, at: Option<Timestamp>) -> Self {
        let duration = called.zip(at).map(|(called, at)| {
            let duration = at.duration_since(called).as_millis();
            i64::try_from(duration).unwrap_or_default().max(0)
        });
        Self {
            took_ms: duration,
            is_error: result.is_error,
            size: result.size,
            lines: result.lines,
            text: result.text.clone(),
            patch: result.patch.clone(),
        }
    }
}
