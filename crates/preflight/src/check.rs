//! The checks, in the order they are shown.

mod agent;
mod base;
mod branch;
mod cluster;
mod controller;
mod docs_ready;
mod duplicate;
mod identity;
mod quota;
mod remote;
mod repo;
mod secrets;
mod sync;
mod target;
mod task_ready;
mod tasks_committed;
mod tasks_file;
mod tasks_pushed;
mod upstream;

use super::{Facts, Verdict};

/// One pre-flight check.
pub trait Check: Sync {
    /// Stable name for `--override`, scripts and the run's record.
    fn id(&self) -> &'static str;
    /// Label on screen.
    fn title(&self) -> &'static str;
    /// Returns the verdict; `None` if the required facts are unknown or another check reports the problem.
    fn check(&self, facts: &Facts) -> Option<Verdict>;
}

/// Every check.
pub static CHECKS: &[&dyn Check] = &[
    &repo::Repo,
    &branch::Branch,
    &remote::Remote,
    &upstream::Upstream,
    &tasks_file::TasksFile,
    &tasks_committed::TasksCommitted,
    &tasks_pushed::TasksPushed,
    &sync::Sync,
    &base::Base,
    &target::Target,
    &docs_ready::DocsReady,
    &task_ready::TaskReady,
    &duplicate::Duplicate,
    &cluster::Cluster,
    &controller::Controller,
    &secrets::Secrets,
    &agent::Agent,
    &quota::Quota,
    &identity::Identity,
];

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod tests;
