//! The user's Git repository: facts, remote operations, diffs, merges and file watching.

pub mod address;
mod command_log;
mod diff;
mod facts;
pub mod git;
mod git_failure;
mod history;
pub mod merge;
mod read;
mod remote;
mod remote_poller;
mod status;
mod watch;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;

pub use command_log::{CommandLog, CommandOutcome, CommandRecord};
pub use diff::{Diff, DiffError, FileChange, FileDiff, diff};
pub use facts::{
    Changes, Difference, Differing, Facts, FactsError, Head, Identity, Operation, PlanFile, Remote,
    TrackingBranch,
};
pub use git_failure::{GitFailure, error_summary, explanation};
pub use history::{CommitLine, commits};
pub use read::read;
pub use remote::git as network_git;
pub use remote::{RemoteAnswer, RemoteError, blob, fetch, query_remote};
pub use remote_poller::{PollInterval, poll_remote};
pub use watch::{Changed, RepositoryWatch, WatchError};

/// Maximum number of paths named in a message.
const NAMED: usize = 5;

/// Joins the first paths, followed by the number of the others.
fn named(paths: &[&str]) -> String {
    let shown = paths[..paths.len().min(NAMED)].join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
