//! Pre-flight: would a run clone what the user sees, and can it succeed?
//!
//! Each check is a pure function from [`Facts`] to a verdict: one file and one row of [`CHECKS`]. Only [`gather`] and the fixes do
//! I/O.

pub mod agent;
mod cause;
mod check;
pub mod cluster;
pub mod doctor;
mod facts;
pub mod fix;
mod gather;
mod report;
mod request;

pub use cause::{cause, innermost};
pub use check::{CHECKS, Check};
pub use cluster::ClusterFacts;
pub use facts::{ActiveRun, AgentFacts, DocsLocation, Facts, RemoteBranch, TaskDocuments};
pub use fix::Fix;
pub use gather::gather;
pub use report::{CheckResult, Level, Report, Verdict};
pub use request::{ClusterSource, PreflightRequest, RemoteQuery, Sources};

#[cfg(test)]
mod fixtures;
