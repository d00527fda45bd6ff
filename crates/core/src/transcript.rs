//! Agent transcripts: parses the JSON lines of an agent, mixed with shell output, into typed events, totals and
//! readable lines.
//!
//! Parsing is tolerant: a line that is not JSON is [`Event::Plain`], an unknown type is [`Event::Other`], and a
//! missing or invalid field is absent. Independent of where the lines come from.

mod event;
mod parse;
mod readable;
mod step;
mod steps;
mod tool;
mod totals;

pub use event::{
    Event, RateLimit, Retry, SessionOutcome, StreamEvent, SubAgent, Tokens, ToolResult,
};
pub use parse::parse_line;
pub use readable::{LineKind, ReadableLine, readable};
pub use step::{Step, StepKind, SubAgentUsage, ToolAnswer, ToolCall};
pub use steps::Steps;
pub use tool::{Edit, ToolUse};
pub use totals::{Activity, Transcript};

#[cfg(test)]
mod tests;
