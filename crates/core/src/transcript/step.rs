//! One step of an agent: what it said, called or met, with what became of it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Edit, Outcome, ToolResult, ToolUse, event::start_of};

/// Bytes that are left of a text that is let go.
const REMNANT: usize = 200;

/// One thing that happened. Its texts are remote text: sanitise before showing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When the log said so; absent for lines without a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Counts the main agent's messages from 1; 0 before the first.
    pub turn: usize,
    /// Number of the step whose call started the sub-agent this one is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum What {
    /// A session began, or went on.
    Session {
        id: Option<String>,
        model: Option<String>,
    },
    /// The agent said something.
    Text { text: String },
    /// The agent thought something; empty when it is withheld.
    Thinking { text: String },
    /// Somebody spoke to the agent.
    Prompt { text: String },
    /// The agent called a tool.
    Call(Box<Call>),
    /// Lines of shells and other programs, one after the other.
    Output { lines: Vec<String> },
    /// Something worth knowing that is no trouble.
    Notice { text: String },
    /// Something that holds the agent up or stops it: in a sentence, and what more was said.
    Trouble { text: String, details: String },
    /// The session ended.
    End(Box<Outcome>),
    /// Something this program does not know: its type, and the line as it came.
    Raw { name: String, line: String },
}

/// A call of a tool with what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    #[serde(flatten)]
    pub tool: ToolUse,
    /// Absent until the tool answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
    /// What the sub-agent it started has used so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSoFar>,
}

/// How a tool answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Milliseconds until it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    pub is_error: bool,
    /// Bytes of text.
    pub size: usize,
    /// Lines of text.
    pub lines: usize,
    /// The text, of a long one its ends.
    pub text: String,
    /// What it did to a file, as hunks of a unified difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// What a sub-agent has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSoFar {
    pub tokens: i64,
    pub tool_calls: i64,
}

impl Step {
    /// All it says, as it came: what a person would copy.
    #[must_use]
    pub fn full_text(&self) -> String {
        match &self.what {
            What::Session { id, model } => {
                let words = [model, id].into_iter().flatten().cloned();
                words.collect::<Vec<_>>().join(" ")
            }
            What::Text { text }
            | What::Thinking { text }
            | What::Prompt { text }
            | What::Notice { text } => text.clone(),
            What::Trouble { text, details } => format!("{text}\n{details}").trim_end().to_owned(),
            What::Output { lines } => lines.join("\n"),
            What::End(outcome) => outcome.text.clone().unwrap_or_default(),
            What::Raw { line, .. } => line.clone(),
            What::Call(call) => {
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

    /// Bytes of its texts. A shell's output is not counted: it has a bound of its own.
    pub(super) fn bytes(&self) -> usize {
        match &self.what {
            What::Session { .. } | What::Output { .. } => 0,
            What::Text { text }
            | What::Thinking { text }
            | What::Prompt { text }
            | What::Notice { text } => text.len(),
            What::Trouble { text, details } => text.len() + details.len(),
            What::End(outcome) => outcome.text.as_ref().map_or(0, String::len),
            What::Raw { line, .. } => line.len(),
            What::Call(call) => {
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

    /// Leaves of its texts how they begin, and a word on where the rest is.
    pub(super) fn let_go(&mut self) {
        match &mut self.what {
            What::Session { .. } | What::Output { .. } => {}
            What::Text { text }
            | What::Thinking { text }
            | What::Prompt { text }
            | What::Notice { text } => shorten(text),
            What::Trouble { text, details } => {
                shorten(text);
                shorten(details);
            }
            What::End(outcome) => {
                if let Some(text) = &mut outcome.text {
                    shorten(text);
                }
            }
            What::Raw { line, .. } => shorten(line),
            What::Call(call) => {
                let edits: usize = call.tool.edits.iter().map(|edit| edit.new.len()).sum();
                if edits > 0 {
                    call.tool.edits.clear();
                    call.tool.details = gone(edits);
                } else {
                    shorten(&mut call.tool.details);
                }
                if let Some(answer) = &mut call.answer {
                    if let Some(patch) = answer.patch.take() {
                        answer.text = gone(patch.len() + answer.text.len());
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
    if text.len() > 2 * REMNANT {
        let begin = start_of(text, REMNANT);
        *text = format!("{begin} …\n{}", gone(text.len() - begin.len()));
    }
}

fn gone(bytes: usize) -> String {
    format!("({bytes} bytes let go to save memory; the log has them)")
}

impl Call {
    /// What it changes in a file, where the tool has not said it with the file's own line numbers.
    #[must_use]
    pub fn edits(&self) -> &[Edit] {
        &self.tool.edits
    }

    /// Whether it was refused, or its tool answered with an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.denied.is_some() || self.answer.as_ref().is_some_and(|answer| answer.is_error)
    }
}

impl Answer {
    /// The answer of a call that was made at `called`.
    #[must_use]
    pub fn new(result: &ToolResult, called: Option<Timestamp>, at: Option<Timestamp>) -> Self {
        let took = called.zip(at).map(|(called, at)| {
            let took = at.duration_since(called).as_millis();
            i64::try_from(took).unwrap_or_default().max(0)
        });
        Self {
            took_ms: took,
            is_error: result.is_error,
            size: result.size,
            lines: result.lines,
            text: result.text.clone(),
            patch: result.patch.clone(),
        }
    }
}
