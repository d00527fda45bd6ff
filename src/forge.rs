//! Pull requests: found, made, brought up to date and looked at, over GitHub's REST API (GitHub Enterprise speaks it too).
//!
//! A [`Forge`] is one repository on one server. Each failure is told apart and is a sentence with what to do; what passes by
//! itself (5xx, rate limits, a dropped connection) is tried again within bounds. [`stand_in`] plays the server's part for the
//! demo and for tests. Nothing here knows runs or stages.

mod call;
mod ensure;
mod error;
mod pull_request;
mod refusal;
mod retry;
mod secret;
pub mod stand_in;
mod status;
#[cfg(test)]
mod tests;

pub use call::{Call, Forge};
pub use error::ForgeError;
pub use pull_request::{PullRequest, PullRequestSpec, PullState};
pub use retry::Pace;
pub use secret::Secret;
pub use status::{Checks, PullRequestStatus};
