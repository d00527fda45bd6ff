//! What an agent's stream says of how it is.

use jiff::Timestamp;

/// Kept up to date line by line by whoever reads the stream. Texts are remote text: sanitise before showing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// When the last line came.
    pub last_at: Option<Timestamp>,
    /// The tool that is at work, and since when.
    pub at_work: Option<(String, Timestamp)>,
    /// A call, or a short round of calls, that is made again and again.
    pub repeated: Option<Repeated>,
    /// What the provider's limit is, and until when requests are refused.
    pub limited: Option<(String, Option<Timestamp>)>,
    /// How often a request has been tried in vain, with why.
    pub retried: Option<(i64, String)>,
    /// What it waits for a person to say or allow.
    pub waits_for: Option<String>,
    /// Tool calls that were refused, and the last of them.
    pub refused: usize,
    pub last_refused: Option<String>,
    /// The session is over.
    pub ended: bool,
    /// It ended because its budget was spent.
    pub over_budget: bool,
}

/// What is done again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// The last call.
    pub what: String,
    /// How often, one after the other.
    pub times: usize,
    /// Calls of one round; 1 when it is always the same call.
    pub round: usize,
}
