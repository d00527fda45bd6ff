//! What an agent says while it works: its JSON lines, mixed with the lines of shells, as typed events, totals and readable lines.
//!
//! Everything here is tolerant: a line that is no JSON is a [`Event::Plain`] one, an unknown type is an [`Event::Other`], a
//! missing or odd field is absent, and reading goes on. Nothing here knows where lines come from.

mod event;
mod fold;
mod parse;
mod readable;
mod step;
mod steps;
mod tool;

pub use event::{Entry, Event, Outcome, RateLimit, Retry, SubAgent, Tokens, ToolResult};
pub use fold::{Activity, Transcript};
pub use parse::entries;
pub use readable::{LineKind, ReadableLine, readable};
pub use step::{AgentSoFar, Answer, Call, Step, What};
pub use steps::Steps;
pub use tool::{Edit, ToolUse, short_path};

#[cfg(test)]
mod tests;
