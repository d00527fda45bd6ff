//! The Git repository a person works in: facts, remote operations, what differs, what changes.

pub mod address;
mod facts;
pub mod git;
mod read;
mod remote;
mod status;

#[cfg(test)]
pub(crate) mod fixture;

pub use facts::{
    Changes, Difference, Differing, Facts, FactsError, Head, Identity, Known, Operation, Plan,
    Remote,
};
pub use read::read;
pub use remote::{RemoteAnswer, RemoteError, ask, blob};
pub(crate) use remote::{git as network_git, last_words};
