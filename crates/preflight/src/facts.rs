//! The input of the checks. A `None` means unknown; no check guesses.

use std::fmt;

use jiff::Timestamp;

use super::ClusterFacts;
use flightdeck_core::{
    runs::{Run, RunKind},
    tasks::{DocumentSet, ReadError, Tag, Task, TaskFile},
};
use flightdeck_host::repository::{self, FactsError, RemoteAnswer, RemoteError, TrackingBranch};

/// A snapshot of everything known about one launch.
#[derive(Clone, Debug)]
pub struct Facts {
    pub repository: Result<repository::Facts, FactsError>,
    /// Answer of the remote; `None` if it was not contacted.
    pub remote: Option<Result<RemoteAnswer, RemoteError>>,
    /// The plan on disk; `None` if the file does not exist.
    pub plan: Option<Result<TaskFile, ReadError>>,
    /// The plan at the head of the remote branch, if it differs from the one on disk.
    pub remote_plan: Option<Result<TaskFile, ReadError>>,
    pub tag: String,
    pub kind: RunKind,
    /// IDs of the chosen top-level tasks; empty if none is chosen yet.
    pub tasks: Vec<String>,
    /// Code: documents of the chosen task, as a run would find them.
    pub documents: Option<TaskDocuments>,
    /// Whether runs are processes of this machine, which can clone local paths.
    pub embedded: bool,
    /// Runs of this repository that have not ended.
    pub active_runs: Option<Vec<ActiveRun>>,
    pub agent: Option<AgentFacts>,
    /// The cluster to launch on; `None` if it was not queried.
    pub cluster: Option<ClusterFacts>,
    /// GitHub account whose credentials prep and publish use on a real cluster.
    pub github_user: Option<String>,
    /// Code: where the task's documents are, if not in this repository.
    pub docs_location: Option<DocsLocation>,
    /// Code: the service, if not named after the repository.
    pub service: Option<String>,
    /// The branch to push to, if chosen.
    pub target_branch: Option<String>,
    /// When the facts were gathered.
    pub now: Timestamp,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRun {
    pub name: String,
    pub kind: RunKind,
    pub tag: String,
    pub tasks: Vec<String>,
    /// Code: service whose workspace the run uses.
    pub service: Option<String>,
}

impl From<&Run> for ActiveRun {
    fn from(run: &Run) -> Self {
        Self {
            name: run.name().to_owned(),
            kind: run.kind,
            tag: run.spec.tag.clone(),
            tasks: run.tasks.clone(),
            service: run.code.as_ref().map(|code| code.service.clone()),
        }
    }
}

/// A repository other than the run's that holds the documents of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocsLocation {
    pub repository: String,
    /// `None` for the default branch.
    pub branch: Option<String>,
    /// Directory of the Task Master project; `None` for the root.
    pub directory: Option<String>,
}

impl fmt::Display for DocsLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(branch) = &self.branch {
            write!(f, " branch {branch}")?;
        }
        if let Some(directory) = &self.directory {
            write!(f, " directory {directory}")?;
        }
        Ok(())
    }
}

/// The documents of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDocuments {
    /// Where they were looked up: `origin/feature/x`.
    pub place: String,
    /// The documents found, or why the place could not be read.
    pub found: Result<DocumentSet, String>,
}

/// The agent a run would use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFacts {
    pub name: String,
    /// Path of its program or name of its image; otherwise why it cannot be used.
    pub found: Result<String, String>,
}

/// The branch on the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteBranch<'a> {
    /// There is no remote, or HEAD is on no branch.
    Unknown,
    /// The remote has no such branch.
    Absent,
    Known(&'a TrackingBranch),
}

impl Facts {
    /// The repository, if there is one.
    pub(super) fn repository(&self) -> Option<&repository::Facts> {
        self.repository.as_ref().ok()
    }

    /// The branch on the remote, by its answer or by the last fetch or push, whichever is later.
    #[must_use]
    pub fn remote_branch(&self) -> RemoteBranch<'_> {
        let Some(remote) = self.repository().and_then(|facts| facts.remote.as_ref()) else {
            return RemoteBranch::Unknown;
        };
        if remote.branch.is_none() {
            return RemoteBranch::Unknown;
        }
        let known = remote
            .known
            .as_ref()
            .map_or(RemoteBranch::Absent, RemoteBranch::Known);
        match &self.remote {
            Some(Ok(answer)) if answer.commit.is_none() => {
                // A push after the answer creates the branch.
                let pushed_since = remote
                    .known
                    .as_ref()
                    .and_then(|known| known.seen)
                    .is_some_and(|seen| seen > answer.asked);
                if pushed_since {
                    known
                } else {
                    RemoteBranch::Absent
                }
            }
            _ => known,
        }
    }

    /// When [`Facts::remote_branch`] was last confirmed; `None` if nothing was ever fetched.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        let asked = match &self.remote {
            Some(Ok(answer)) => Some(answer.asked),
            _ => None,
        };
        asked.max(self.repository()?.remote.as_ref()?.fetched)
    }

    /// ` (as of 12m ago)`, or nothing if the remote was contacted within the last minute.
    pub(super) fn as_of_words(&self) -> String {
        let seconds = self
            .as_of()
            .map_or(0, |then| self.now.as_second() - then.as_second());
        if seconds < 60 {
            String::new()
        } else {
            format!(" (as of {} ago)", flightdeck_core::text::age(seconds))
        }
    }

    /// The selected tag of the plan on disk.
    pub(super) fn plan_tag(&self) -> Option<&Tag> {
        self.plan.as_ref()?.as_ref().ok()?.tag(&self.tag)
    }

    /// The chosen tasks that exist in the plan.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Task> {
        let tag = self.plan_tag();
        self.tasks.iter().filter_map(move |id| tag?.task(id))
    }
}
