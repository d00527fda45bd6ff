//! The events of an agent's stream.

use serde::Serialize;

use super::ToolUse;

/// One event, with where it belongs. A line may hold several.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The tool call of the sub-agent that this event comes from; absent for the agent itself.
    pub parent: Option<String>,
    /// Id of the model's message: several lines may be parts of one message, and then repeat its tokens.
    pub message: Option<String>,
    /// What the model's message used so far, with every part of it.
    pub tokens: Option<Tokens>,
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A session began, or went on.
    Init {
        session: Option<String>,
        model: Option<String>,
        /// The directory the agent works in, as the pod sees it.
        directory: Option<String>,
    },
    /// The agent said something.
    Text(String),
    /// The agent thought something; empty when it is withheld.
    Thinking(String),
    /// The agent called a tool.
    ToolUse(Box<ToolUse>),
    /// A tool answered.
    ToolResult(Box<ToolResult>),
    /// Somebody spoke to the agent.
    Prompt(String),
    /// The agent finished.
    Result(Box<Outcome>),
    /// The model's provider spoke of limits.
    RateLimit(RateLimit),
    /// A request to the model failed and is tried again.
    Retry(Retry),
    /// A request to the model failed for good: its kind (`billing_error` ...) and what was said of it.
    ApiError { kind: String, text: String },
    /// A tool was refused without anybody being asked.
    Denied {
        tool: String,
        /// The call's id.
        id: String,
        why: String,
    },
    /// The agent waits for a person, and for what; `None`: it waits no longer.
    Waiting(Option<String>),
    /// The context was summed up to make room; tokens before and after.
    Compacted {
        before: Option<i64>,
        after: Option<i64>,
    },
    /// How far a sub-agent is.
    SubAgent(SubAgent),
    /// Something the agent's program says on its own; `grave` when it is a warning.
    Notice { text: String, grave: bool },
    /// A piece of what comes whole later, or a sign of life.
    Partial,
    /// JSON of a type this program does not know, by its type (and subtype).
    Other(String),
    /// A line that is not the agent's.
    Plain(String),
}

/// What the model's provider said of its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// `allowed`, `allowed_warning`, `rejected` or a newer word.
    pub status: String,
    /// Unix time in seconds.
    pub resets_at: Option<i64>,
    /// Which limit: `five_hour`, `seven_day` ...
    pub window: Option<String>,
}

/// A request to the model that is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    pub attempt: i64,
    /// Attempts there will be at most; 0 when that was not said.
    pub most: i64,
    /// Milliseconds until the next attempt.
    pub delay_ms: i64,
    /// Kind of the failure, or the HTTP status.
    pub error: String,
}

/// What is said of a sub-agent while it works, and at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubAgent {
    /// Id of the call that started it; empty when it was not said.
    pub id: String,
    /// Tokens it used so far.
    pub tokens: Option<i64>,
    /// Tools it called so far.
    pub tool_calls: Option<i64>,
    /// `completed`, `failed` or `stopped`; absent while it works.
    pub ended: Option<String>,
}

/// Text of an answer that is kept, in bytes: the beginning and, of what is longer, the end as well.
const ANSWER_LIMIT: usize = 16 * 1024;

/// A tool's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolResult {
    /// The call's id.
    pub id: String,
    pub is_error: bool,
    /// Bytes of text in the answer.
    pub size: usize,
    /// Lines of text in the answer.
    pub lines: usize,
    /// The first line that says something.
    pub first_line: String,
    /// The text; of a long one its beginning and its end, with a line between them that says what is left out.
    pub text: String,
    /// What it did to a file, as hunks of a unified difference with the file's own line numbers.
    pub patch: Option<String>,
}

impl ToolResult {
    /// An answer of these parts.
    #[must_use]
    pub fn new(id: String, is_error: bool, parts: &[&str], patch: Option<String>) -> Self {
        let mut lines = parts.iter().flat_map(|part| part.lines());
        Self {
            id,
            is_error,
            size: parts.iter().map(|part| part.len()).sum(),
            lines: lines.clone().count(),
            first_line: lines
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default()
                .to_owned(),
            text: excerpt(parts),
            patch,
        }
    }
}

/// The parts as one text of at most about [`ANSWER_LIMIT`] bytes.
fn excerpt(parts: &[&str]) -> String {
    let whole = parts.join("\n");
    if whole.len() <= ANSWER_LIMIT {
        return whole;
    }
    let head = start_of(&whole, ANSWER_LIMIT / 2);
    let head = head.rfind('\n').unwrap_or(head.len());
    let tail = start_of(&whole, whole.len() - ANSWER_LIMIT / 2).len();
    let tail = whole[tail..].find('\n').map_or(tail, |at| tail + at + 1);
    let left_out = tail - head;
    format!(
        "{}\n… {left_out} bytes left out here; the log has them …\n{}",
        &whole[..head],
        &whole[tail..]
    )
}

/// The first bytes of a text, at most `limit` of them and whole characters only.
pub(super) fn start_of(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Tokens of a message or of a whole session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    pub input: i64,
    pub output: i64,
    pub cache_read: i64,
    pub cache_write: i64,
}

impl Tokens {
    /// What stood in the model's context when it answered.
    #[must_use]
    pub const fn context(self) -> i64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
    }
}

impl std::ops::SubAssign for Tokens {
    fn sub_assign(&mut self, other: Self) {
        self.input = self.input.saturating_sub(other.input);
        self.output = self.output.saturating_sub(other.output);
        self.cache_read = self.cache_read.saturating_sub(other.cache_read);
        self.cache_write = self.cache_write.saturating_sub(other.cache_write);
    }
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `success`, `error_max_turns`, `error_during_execution`, `error_max_budget_usd`, or a newer word.
    pub subtype: String,
    pub is_error: bool,
    pub session: Option<String>,
    /// Of this result alone.
    pub turns: Option<i64>,
    /// Millionths of a US dollar, as the agent said; never guessed. Of the whole session: a later result of the same session
    /// says what all of it cost.
    pub cost_micro_usd: Option<i64>,
    /// With those of sub-agents where the stream tells of each model, and then of the whole session; otherwise the main
    /// agent's alone, of this result.
    pub tokens: Option<Tokens>,
    /// [`Self::tokens`] are those of the whole session.
    pub whole_session: bool,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
    /// Tokens the model's context holds.
    pub context_window: Option<i64>,
    /// Tools that were refused.
    pub denials: usize,
    /// The last words, or the errors.
    pub text: Option<String>,
}

impl Outcome {
    /// Whether it is a bad end.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.is_error || self.subtype.starts_with("error")
    }
}
