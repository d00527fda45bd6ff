//! Requests of the Detail panel to the I/O layer, and the responses.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

use crate::{
    widgets::text_view::{BackgroundTask, Export},
    world::RunId,
};
use flightdeck_core::runs::{RunKind, Stage};
use flightdeck_host::forge::PullRequestStatus;

/// File contents by name.
pub type Files = BTreeMap<String, String>;

/// A request. The [`DetailResponse`] of the same name answers it; a newer request of a kind supersedes the older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetailRequest {
    /// Read the documents in a task's folder.
    Documents(PathBuf),
    /// Read the run's files from its ConfigMap.
    Files { run: RunId, config_map: String },
    /// Read the run's log from its first line, then follow it until the run ends.
    Log {
        run: RunId,
        name: String,
        kind: RunKind,
        /// The run is gone from the cluster; read its log from the ledger.
        removed: bool,
    },
    /// Stop following the log.
    StopLog,
    /// Compare the run's branch with its base, after fetching the branch if its commit is missing.
    Diff {
        run: RunId,
        repository: PathBuf,
        branch: String,
        /// Commit ids.
        base: String,
        head: String,
    },
    /// Poll the status of the run's pull request.
    PullRequest {
        run: RunId,
        /// URL of the repository.
        url: String,
        number: i64,
    },
    /// Stop polling the pull request.
    StopPullRequest,
    /// Write a text to a new file with a name derived from `name`.
    Save { name: String, export: Box<Export> },
    /// Respond after the pending messages: the timeline search has more steps.
    ContinueSearch,
    /// Run a task of a text view on a blocking thread. The number identifies the task.
    Background(u64, Box<BackgroundTask>),
}

/// A response, or one of a series of responses.
#[derive(Clone, Debug, PartialEq)]
pub enum DetailResponse {
    /// Names and texts, in reading order.
    Documents(PathBuf, Vec<(String, String)>),
    Files(RunId, Result<Files, String>),
    /// The log restarts at its first line; discard what was received before.
    LogRestarted(RunId),
    /// Lines in the order they were written.
    Log(RunId, Vec<LogItem>),
    /// The log is complete, or the reason why it is not.
    LogEnded(RunId, Option<String>),
    /// A unified diff.
    Diff(RunId, Result<String, String>),
    PullRequest(RunId, Result<Box<PullRequestStatus>, String>),
    ContinueSearch,
    BackgroundDone(u64, Box<BackgroundTask>),
}

/// A line of a log, or a notice from Flightdeck between lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogItem {
    pub at: Timestamp,
    /// `None` for a notice.
    pub source: Option<LineSource>,
    pub text: String,
    /// The original bytes if they are not UTF-8.
    pub raw: Option<Box<[u8]>>,
}

/// The container that wrote a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSource {
    pub stage: Stage,
    /// Context version of the run, from 1.
    pub version: i32,
    /// Attempt within the version, from 1.
    pub attempt: i32,
    /// Container name, with `+1` appended after its first restart.
    pub container: String,
}

/// The state of something that was requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fetched<T> {
    #[default]
    Waiting,
    Ready(T),
    /// The error, as a sentence.
    Failed(String),
}

impl<T> Fetched<T> {
    pub const fn ready(&self) -> Option<&T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Waiting | Self::Failed(_) => None,
        }
    }
}

impl<T> From<Result<T, String>> for Fetched<T> {
    fn from(result: Result<T, String>) -> Self {
        result.map_or_else(Self::Failed, Self::Ready)
    }
}
