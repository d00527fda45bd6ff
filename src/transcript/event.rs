//! The events of an agent's stream.

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
    ToolUse(ToolUse),
    /// A tool answered.
    ToolResult {
        /// The call's id.
        id: String,
        is_error: bool,
        /// Bytes of text in the answer.
        size: usize,
        /// Lines of text in the answer.
        lines: usize,
        /// The first line, for errors.
        first_line: String,
    },
    /// Somebody spoke to the agent.
    Prompt(String),
    /// The agent finished.
    Result(Outcome),
    /// The model's provider spoke of limits; `status` is `allowed`, `allowed_warning`, `rejected` or a newer word.
    RateLimit {
        status: String,
        /// Unix time in seconds.
        resets_at: Option<i64>,
    },
    /// A piece of a message that comes whole later.
    Partial,
    /// JSON of a type this program does not know, by its type (and subtype).
    Other(String),
    /// A line that is not the agent's.
    Plain(String),
}

/// Tokens of a message or of a whole session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
    }
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `success`, `error_max_turns`, `error_during_execution`, `error_max_budget_usd`, or a newer word.
    pub subtype: String,
    pub is_error: bool,
    pub session: Option<String>,
    pub turns: Option<i64>,
    /// Millionths of a US dollar, as the agent said; never guessed.
    pub cost_micro_usd: Option<i64>,
    pub tokens: Option<Tokens>,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
    /// Tokens the model's context holds.
    pub context_window: Option<i64>,
    /// The last words, or the error.
    pub text: Option<String>,
}
