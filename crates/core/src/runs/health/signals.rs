//! Health signals extracted from an agent stream.

use jiff::Timestamp;

/// Updated line by line while the stream is read. Contains remote text: sanitise before showing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Time of the last line.
    pub last_at: Option<Timestamp>,
    /// Call that is running, and since when.
    pub running_tool: Option<(String, Timestamp)>,
    /// Repeated call or short sequence of calls.
    pub repeated: Option<Repeated>,
    /// Rate limit in effect, and its reset time.
    pub limited: Option<(String, Option<Timestamp>)>,
    /// Attempts of the request being retried, and the error.
    pub retried: Option<(i64, String)>,
    /// What the agent waits for a person to answer or allow.
    pub waiting_for: Option<String>,
    /// Denied tool calls, and the last of them.
    pub refused: usize,
    pub last_refused: Option<String>,
    /// Whether the session ended.
    pub ended: bool,
    /// Whether it ended because the budget was used up.
    pub over_budget: bool,
}

/// A repeated sequence of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// The last call.
    pub what: String,
    /// Consecutive repetitions.
    pub times: usize,
    /// Calls per repetition; 1 for a single repeated call.
    pub round: usize,
}
