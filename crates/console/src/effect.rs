//! What the console wants done, as values: `update` answers with them, [`super::perform`] does them.

use std::path::PathBuf;

use super::{
    panels::detail,
    world::{RunId, TaskId},
};
use flightdeck_core::{runs::RunKind, tasks::StatusChange};
use flightdeck_host::repository::merge::MergePlan;
use flightdeck_preflight::{
    ActiveRun, Fix,
    fix::{FixSheet, Progress},
};

/// What pre-flight is asked: for which launch, as it is chosen so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    pub kind: RunKind,
    pub tasks: Vec<TaskId>,
    /// `None` for the tag in use.
    pub tag: Option<String>,
    pub agent: String,
    /// Runs of this repository that have not ended.
    pub active: Vec<ActiveRun>,
    pub embedded: bool,
    /// Whose Git credentials the pods would use.
    pub github_user: Option<String>,
    /// Code: the service, where it is not the repository's name.
    pub service: Option<String>,
    /// Ask the remote, instead of taking what it said last.
    pub ask: bool,
}

/// A run whose log is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub run: RunId,
    pub name: String,
    pub kind: RunKind,
}

/// What a person is told who does not look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which run, and in a word what of it.
    pub title: String,
    pub body: String,
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leave the console.
    Quit,
    /// Back to the shell until it says `fg`.
    Suspend,
    /// Tell the person who does not look.
    Notify(Notice),
    /// The person looks again.
    Seen,
    /// Try the cluster again now.
    Connect,
    /// Read the repository and the plan, and run the pre-flight checks. Lane "preflight".
    Inspect(Inquiry),
    /// The same after a quiet look at the remote that nobody asked for. Lane "preflight".
    Glance(Inquiry),
    /// What a fix would do.
    PlanFix(Inquiry, Fix),
    /// Do what a sheet says.
    ApplyFix(Box<FixSheet>),
    /// End the fix under way.
    CancelFix,
    /// Give tasks another status, one after the other.
    SetStatus(Vec<flightdeck_verbs::SetStatus>),
    /// Launch after asking the remote once more.
    Launch(Inquiry, Box<flightdeck_verbs::Launch>),
    Stop(flightdeck_verbs::Stop),
    Retry(flightdeck_verbs::Retry),
    AddContext(flightdeck_verbs::AddContext),
    Delete(flightdeck_verbs::Delete),
    /// Delete these, one after the other.
    Clean(flightdeck_verbs::CleanPlan),
    /// What bringing a branch home would change.
    PlanMerge(String),
    Merge(Box<MergePlan>),
    /// What earlier runs took and cost, from the ledger.
    Tally,
    /// Bring back what the ledger knows of deleted runs.
    Remember,
    /// Tell how far a run is until it has ended.
    Follow(Followed),
    /// Open a file in the person's editor, at a line.
    Edit(PathBuf, usize),
    /// Open an address in the browser.
    Browse(String),
    /// Put text on the clipboard.
    Copy(String),
    /// What the Detail panel needs.
    Detail(detail::Want),
}

/// Why a fix is not through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixFailure {
    /// One sentence, with what stays done.
    pub why: String,
    /// What may help instead.
    pub offers: Option<Fix>,
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Name of the run that was launched.
    Launched(String),
    Stopped(String),
    Retried(String),
    /// A new attempt of a run has what a person wrote for it.
    ContextAdded(String),
    Deleted(String),
    Copied(String),
    MergePlanned(Result<Box<MergePlan>, String>),
    Merged(Result<(), String>),
    /// It is time for another quiet look at the remote.
    RemoteDue,
    /// The repository or the plan changed on disk.
    DeskChanged,
    /// Where a text was saved.
    Saved(PathBuf),
    /// Pre-flight or the cluster refused a launch, as a sentence.
    Refused(String),
    FixPlanned(Box<FixSheet>),
    /// What is heard of a fix while it runs.
    FixSaid(Progress),
    /// A fix is through, or why not.
    Fixed(Result<(), FixFailure>),
    /// What was written; empty when the tasks had the status already.
    StatusSet(Vec<StatusChange>),
    /// A run is about to be deleted by clean-up.
    Cleaning(String),
    Cleaned(flightdeck_verbs::CleanReport),
    /// Something to know: one sentence.
    Noted(String),
    /// It did not work: one sentence.
    Failed(String),
}

/// What an update asks for, and whether anything visible changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub list: Vec<Effect>,
    pub redraw: bool,
}

impl Effects {
    /// Asks for one thing more.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
}
