//! The Git repository a person works in: facts, remote operations, what differs, what changes.

pub mod address;
mod command_log;
mod diff;
mod facts;
pub mod git;
mod history;
mod lookout;
pub mod merge;
mod read;
mod remote;
mod status;
mod watch;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;

pub use command_log::{CommandLog, End, Entry};
pub use diff::{Diff, DiffError, FileChange, FileDiff, diff};
pub use facts::{
    Changes, Difference, Differing, Facts, FactsError, Head, Identity, Known, Operation, Plan,
    Remote,
};
pub use history::{CommitLine, commits};
pub use lookout::{Rhythm, glance};
pub use read::read;
pub use remote::{RemoteAnswer, RemoteError, ask, blob, fetch};
pub use remote::{git as network_git, last_words};
pub use watch::{Changed, Watch, WatchError};

/// Paths that are named in a sentence; the rest is counted.
const NAMED: usize = 5;

/// The first paths of a list, and how many more there are.
fn named(paths: &[&str]) -> String {
    let shown = paths[..paths.len().min(NAMED)].join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
