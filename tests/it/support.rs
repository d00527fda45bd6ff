//! Helpers shared by the integration tests.

pub(crate) mod git_host;
pub(crate) mod proxy;

pub(crate) use flightdeck_testing::{
    TaskMaster, corpus, fuzz, git, https_cluster, no_process_stays_below, said, sample_project,
    skipped, task_master,
};
