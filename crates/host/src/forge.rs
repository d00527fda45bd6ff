//! Pull requests over GitHub's REST API (also GitHub Enterprise): find, create, update and read status. Uses GraphQL
//! where REST has no equivalent.
//!
//! A [`Forge`] is one repository on one server. Every failure is a [`ForgeError`] that says what to do. Transient
//! failures (5xx, rate limits, dropped connections) are retried within limits. [`stand_in`] is an in-process server
//! for the demo and tests. This module does not depend on runs or stages.

mod auto_merge;
mod call;
mod classify;
mod connection;
mod ensure;
mod error;
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
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use status::{Checks, PullRequestStatus, Reviews};
