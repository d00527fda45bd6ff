//! Events of an agent stream.

use serde::Serialize;

use super::ToolUse;

/// One event with its context. A line may contain several.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    /// Tool call that started the sub-agent of this event; `None` for the main agent.
    pub parent: Option<String>,
    /// Message id. Several lines may be parts of one message, and repeat its token usage.
    pub message: Option<String>,
    /// Cumulative usage of the message.
    pub tokens: Option<Tokens>,
    pub event: Event,
}

/// Event of an agent stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A session started or was resumed.
    Init {
        session: Option<String>,
        model: Option<String>,
        /// Working directory in the pod.
        directory: Option<String>,
    },
    /// Text of the agent.
    Text(String),
    /// Thinking of the agent; empty if redacted.
    Thinking(String),
    /// Tool call.
    ToolUse(Box<ToolUse>),
    /// Result of a tool call.
    ToolResult(Box<ToolResult>),
    /// User message.
    Prompt(String),
    /// End of a session.
    Result(Box<SessionOutcome>),
    /// Rate limit information.
    RateLimit(RateLimit),
    /// A failed model request is being retried.
    Retry(Retry),
    /// A model request failed permanently, with its kind (`billing_error`, ...) and message.
    ApiError { kind: String, text: String },
    /// A tool call was denied without asking.
    Denied {
        tool: String,
        /// Id of the call.
        id: String,
        why: String,
    },
    /// The agent waits for a person, and for what; `None` when it continues.
    Waiting(Option<String>),
    /// The context was compacted; tokens before and after.
    Compacted {
        before: Option<i64>,
        after: Option<i64>,
    },
    /// Progress of a sub-agent.
    SubAgent(SubAgent),
    /// A message of the agent program.
    Notice { text: String, is_warning: bool },
    /// A partial message that is repeated in full later, or a keep-alive.
    Partial,
    /// Unknown type, with type and subtype.
    Other(String),
    /// A line that is not agent output.
    Plain(String),
}

/// Rate limit information of the model provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// `allowed`, `allowed_warning`, `rejected`, or a newer value.
    pub status: String,
    /// Unix time in seconds.
    pub resets_at: Option<i64>,
    /// Name of the limit: `five_hour`, `seven_day`, ...
    pub window: Option<String>,
}

/// Retry of a failed model request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    pub attempt: i64,
    /// Maximum number of attempts; 0 if unknown.
    pub max_attempts: i64,
    /// Milliseconds until the next attempt.
    pub delay_ms: i64,
    /// Kind of failure, or HTTP status.
    pub error: String,
}

/// Progress of a sub-agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubAgent {
    /// Id of the call that started it; empty if unknown.
    pub id: String,
    /// Tokens used so far.
    pub tokens: Option<i64>,
    /// Tool calls so far.
    pub tool_calls: Option<i64>,
    /// `completed`, `failed` or `stopped`; `None` while it runs.
    pub ended: Option<String>,
}

/// Maximum size of a stored tool result in bytes: its start and end are kept.
const RESULT_LIMIT: usize = 16 * 1024;

/// Result of a tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolResult {
    /// Id of the call.
    pub id: String,
    pub is_error: bool,
    /// Size of the text in bytes.
    pub size: usize,
    /// Number of lines.
    pub lines: usize,
    /// First non-blank line.
    pub first_line: String,
    /// Text, with the middle of a long one replaced by a note.
    pub text: String,
    /// Change to a file, as unified diff hunks with line numbers of the file.
    pub patch: Option<String>,
}

impl ToolResult {
    /// Builds a result from its parts.
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

/// Joins the parts, to at most about [`RESULT_LIMIT`] bytes.
fn excerpt(parts: &[&str]) -> String {
    let whole = parts.join("\n");
    if whole.len() <= RESULT_LIMIT {
        return whole;
    }
    let head = start_of(&whole, RESULT_LIMIT / 2);
    let head = head.rfind('\n').unwrap_or(head.len());
    let tail = start_of(&whole, whole.len() - RESULT_LIMIT / 2).len();
    let tail = whole[tail..].find('\n').map_or(tail, |at| tail + at + 1);
    let omitted = tail - head;
    format!(
        "{}\n… {omitted} bytes omitted; see the log …\n{}",
        &whole[..head],
        &whole[tail..]
    )
}

/// Returns at most `limit` bytes from the start of a text, on a character boundary.
pub(super) fn start_of(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Token usage of a message or session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    pub input: i64,
    pub output: i64,
    pub cache_read: i64,
    pub cache_write: i64,
}

impl Tokens {
    /// Returns the context size of the request.
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

/// Outcome of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionOutcome {
    /// `success`, `error_max_turns`, `error_during_execution`, `error_max_budget_usd`, or a newer value.
    pub subtype: String,
    pub is_error: bool,
    pub session: Option<String>,
    /// For this result only.
    pub turns: Option<i64>,
    /// Cost in millionths of a US dollar as reported, never estimated. Cumulative for the session.
    pub cost_micro_usd: Option<i64>,
    /// Includes sub-agents if the stream reports usage per model, in which case it is cumulative for the session.
    /// Otherwise usage of the main agent for this result.
    pub tokens: Option<Tokens>,
    /// Whether [`Self::tokens`] is cumulative for the session.
    pub whole_session: bool,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
    /// Size of the context window.
    pub context_window: Option<i64>,
    /// Number of denied tool calls.
    pub denials: usize,
    /// Final text, or errors.
    pub text: Option<String>,
}

impl SessionOutcome {
    /// Whether the session failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.is_error || self.subtype.starts_with("error")
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
