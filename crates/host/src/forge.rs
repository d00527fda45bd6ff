//! Pull requests: found, made, brought up to date and looked at, over GitHub's REST API (GitHub Enterprise speaks it too);
//! over GraphQL where there is no REST call.
//!
//! A [`Forge`] is one repository on one server. Each failure is told apart and is a sentence with what to do; what passes by
//! itself (5xx, rate limits, a dropped connection) is tried again within bounds. [`stand_in`] plays the server's part for the
//! demo and for tests. Nothing here knows runs or stages.

mod auto_merge;
mod call;
mod connection;
mod ensure;
mod error;
mod judge;
mod pull_request;
mod refusal;
mod retry;
mod reviewers;
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
pub use status::{Checks, PullRequestStatus, Reviews};
