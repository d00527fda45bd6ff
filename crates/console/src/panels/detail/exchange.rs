//! What the panel asks of the outside, and what it is told.

use std::path::PathBuf;

use super::{Files, Item, Tab};
use crate::{
    widgets::text_view::{Errand, Export},
    world::RunId,
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::forge::PullRequestStatus;

/// What the panel asks for. Each is answered by the [`News`] of the same name; of one kind only the newest matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The documents of a task.
    Documents(PathBuf),
    /// The run's files as the cluster holds them.
    Files { run: RunId, config_map: String },
    /// Every line of the run's log, then those that follow until it ends.
    Log {
        run: RunId,
        name: String,
        kind: RunKind,
        /// The cluster has forgotten the run: only the ledger knows its log.
        removed: bool,
    },
    /// The log is no longer looked at.
    LeaveLog,
    /// What the run's branch changes; fetched first where it is not here yet.
    Diff {
        run: RunId,
        repository: PathBuf,
        branch: String,
        /// Commits.
        base: String,
        head: String,
    },
    /// How the run's pull request stands, then what becomes of it while it is looked at.
    PullRequest {
        run: RunId,
        /// Address of the repository.
        url: String,
        number: i64,
    },
    /// The pull request is no longer looked at.
    LeavePullRequest,
    /// Write a text to a new file of about that name.
    Save { name: String, export: Box<Export> },
    /// Come back with [`News::LookOn`] when whatever waits has been heard: there are more steps to look through.
    LookOn,
    /// Look for something in a text, off the task that draws. The number tells one errand from the next.
    Search(u64, Box<Errand>),
}

impl Want {
    /// The tab it is for.
    pub(super) const fn tab(&self) -> Tab {
        match self {
            Self::Documents(_) => Tab::Task,
            Self::Files { .. } => Tab::Preview,
            Self::Diff { .. } => Tab::Diff,
            Self::PullRequest { .. } | Self::LeavePullRequest => Tab::PullRequest,
            Self::LookOn => Tab::Timeline,
            Self::Log { .. } | Self::LeaveLog | Self::Save { .. } | Self::Search(..) => Tab::Logs,
        }
    }
}

/// What the panel is told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Names and texts, in the order they are read.
    Documents(PathBuf, Vec<(String, String)>),
    Files(RunId, Result<Files, String>),
    /// The log comes from its first line on: what was told of it before is told again.
    LogBegins(RunId),
    /// Lines in the order they were written.
    Log(RunId, Vec<Item>),
    /// Everything there is has arrived, or why no more will.
    LogEnded(RunId, Option<String>),
    /// In unified form.
    Diff(RunId, Result<String, String>),
    PullRequest(RunId, Result<Box<PullRequestStatus>, String>),
    /// Whatever waited has been heard.
    LookOn,
    Searched(u64, Box<Errand>),
}

/// Something that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fetched<T> {
    #[default]
    Waiting,
    Ready(T),
    /// Why not, as a sentence.
    Failed(String),
}

impl<T> Fetched<T> {
    /// What came.
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
