//! Requests from `update` to the outside, as comparable values, and their outcomes.
//!
//! Effects are grouped by domain. Each domain has an enum here and a handler of the same name in `perform`.

use std::path::PathBuf;

use super::{detail_io::DetailRequest, world::RunId};
use flightdeck_core::{runs::RunKind, tasks::StatusChange};
use flightdeck_host::repository::merge::MergePlan;
use flightdeck_preflight::{
    ActiveRun, Fix,
    fix::{FixPlan, Progress},
};
use flightdeck_verbs::{
    AddContext, CleanReport, CleanSelection, Delete, Launch, Retry, SetStatus, Stop,
};

/// Declares [`Effect`]: a row per domain.
macro_rules! domains {
    ($($(#[$doc:meta])* $domain:ident($effect:ty);)*) => {
        /// Something to do outside the model.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Effect {
            $($(#[$doc])* $domain($effect),)*
        }

        $(impl From<$effect> for Effect {
            fn from(effect: $effect) -> Self {
                Self::$domain(effect)
            }
        })*
    };
}

domains! {
    /// Handled by the event loop, which owns the terminal.
    Terminal(TerminalEffect);
    Connection(ConnectionEffect);
    Preflight(PreflightEffect);
    Plan(PlanEffect);
    Repository(RepositoryEffect);
    Run(RunEffect);
    Cleanup(CleanupEffect);
    Ledger(LedgerEffect);
    Log(LogEffect);
    Desktop(DesktopEffect);
    /// Data for the Detail panel.
    Detail(DetailRequest);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalEffect {
    /// Leave the console.
    Quit,
    /// Stop the process until the shell continues it (`fg`).
    Suspend,
    /// Open a file in the user's editor, at a line.
    Edit(PathBuf, usize),
    /// Send a desktop notification.
    Notify(Notice),
    /// Restore the terminal title that a notification replaced.
    ClearNotice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEffect {
    /// Retry the connection to the cluster now.
    Retry,
}

/// `Run` and `PollRemote` share a lane: the newer one aborts the older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreflightEffect {
    /// Read the repository and the plan, and run the checks.
    Run(PreflightRequest),
    /// The same, after a background poll of the remote.
    PollRemote(PreflightRequest),
    /// Work out the commands of a fix.
    PlanFix(PreflightRequest, Fix),
    /// Run the commands of a fix.
    ApplyFix(Box<FixPlan>),
    /// Cancel the running fix.
    CancelFix,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanEffect {
    /// Set the status of tasks, one after the other.
    SetStatus(Vec<SetStatus>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryEffect {
    /// Fetch a branch and work out what merging it would change.
    PlanMerge(String),
    Merge(Box<MergePlan>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEffect {
    /// Check again with the remote, then launch.
    Launch(PreflightRequest, Box<Launch>),
    Stop(Stop),
    Retry(Retry),
    AddContext(AddContext),
    Delete(Delete),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanupEffect {
    /// Delete runs, one after the other.
    Delete(CleanSelection),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerEffect {
    /// Load durations and costs of finished runs.
    LoadFinishedRuns,
    /// Load runs that were deleted from the cluster.
    LoadArchivedRuns,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEffect {
    /// Report the progress of a run, and archive its log, until it finishes.
    Follow(FollowedRun),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DesktopEffect {
    /// Open a URL in the browser.
    Browse(String),
    /// Copy text to the clipboard.
    Copy(String),
}

/// The launch to check, as selected so far, and what the console knows about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreflightRequest {
    pub launch: flightdeck_preflight::PreflightRequest,
    /// Active runs of this repository.
    pub active: Vec<ActiveRun>,
    pub embedded: bool,
    /// Contact the remote instead of using the cached answer.
    pub contact_remote: bool,
}

/// A run whose log is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedRun {
    pub id: RunId,
    pub name: String,
    pub kind: RunKind,
}

/// A desktop notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The run and its state, such as `docs-1 failed`.
    pub title: String,
    pub body: String,
}

/// Why a fix was not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixFailure {
    /// One sentence, including which changes remain.
    pub why: String,
    /// Another fix that may help.
    pub offers: Option<Fix>,
}

/// The result of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Name of the launched run.
    Launched(String),
    Stopped(String),
    Retried(String),
    ContextAdded(String),
    Deleted(String),
    Copied(String),
    /// Path of the saved file.
    Saved(PathBuf),
    MergePlanned(Result<Box<MergePlan>, String>),
    /// A sentence about the merge, or why it failed.
    Merged(Result<String, String>),
    /// The next background poll of the remote is due.
    RemotePollDue,
    /// The repository or the plan changed on disk.
    LocalChanged,
    FixPlanned(Box<FixPlan>),
    /// A running fix started a command or printed a line.
    FixProgress(Progress),
    FixFinished(Result<(), FixFailure>),
    /// The changes written; empty if the tasks already had the status.
    StatusSet(Vec<StatusChange>),
    /// Cleanup is about to delete this run.
    CleanupDeleting(String),
    CleanupFinished(CleanReport),
    /// A warning, as one sentence.
    Warning(String),
    /// Why an effect failed, as one sentence.
    Failed(String),
}

/// What an update requests, and whether anything visible changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub list: Vec<Effect>,
    pub redraw: bool,
}

impl Effects {
    pub fn push(&mut self, effect: impl Into<Effect>) {
        self.list.push(effect.into());
    }
}
