//! Pre-flight: is what a run would clone what the person sees, and can the run succeed?
//!
//! Facts in, verdicts out: each check is one file and one row of [`CHECKS`], pure and total. Only [`gather`] and the fixes meet the
//! world.

pub mod agent;
mod check;
pub mod cluster;
pub mod doctor;
mod facts;
pub mod fix;
mod gather;
mod report;

pub use check::{CHECKS, Check};
pub use cluster::ClusterFacts;
pub use facts::{ActiveRun, AgentFacts, Facts, There};
pub use fix::Fix;
pub use gather::{Ask, Request, gather};
pub use report::{Checked, Level, Report, Verdict};

#[cfg(test)]
mod sample;
