//! Everything the checks may look at. What is `None` is not known, and no check guesses it.

use jiff::Timestamp;

use super::ClusterFacts;
use flightdeck_core::{
    runs::RunKind,
    tasks::{DocumentSet, ReadError, Tag, Task, TaskFile},
};
use flightdeck_host::repository::{self, FactsError, Known, RemoteAnswer, RemoteError};

/// The facts of one moment, for one launch as it is chosen so far.
#[derive(Clone, Debug)]
pub struct Facts {
    pub repository: Result<repository::Facts, FactsError>,
    /// What the remote said; `None` when it was not asked.
    pub remote: Option<Result<RemoteAnswer, RemoteError>>,
    /// The plan on disk; `None` when there is no such file.
    pub plan: Option<Result<TaskFile, ReadError>>,
    /// The plan at the remote's branch head, where it is another file than the one on disk.
    pub their_plan: Option<Result<TaskFile, ReadError>>,
    pub tag: String,
    pub kind: RunKind,
    /// Ids of the chosen top-level tasks; empty while none is chosen.
    pub tasks: Vec<String>,
    /// Code: which documents of the chosen task the remote's branch has.
    pub documents: Option<DocumentSet>,
    /// Whether runs are processes of this machine, which can clone what only this machine has.
    pub embedded: bool,
    /// Runs of this repository that have not ended.
    pub active_runs: Option<Vec<ActiveRun>>,
    pub agent: Option<AgentFacts>,
    /// The cluster the run would be created on; `None` when it was not asked.
    pub cluster: Option<ClusterFacts>,
    /// Whose Git credentials prep and publish would use on a real cluster.
    pub github_user: Option<String>,
    /// Code: a repository that holds the task's documents, when it is not this one.
    pub docs_repository: Option<String>,
    /// Code: the service, where it is not the repository's name.
    pub service: Option<String>,
    /// When these facts were gathered.
    pub now: Timestamp,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRun {
    pub name: String,
    pub kind: RunKind,
    pub tag: String,
    pub tasks: Vec<String>,
    /// Code: the service whose workspace it works in.
    pub service: Option<String>,
}

/// The agent a run would use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFacts {
    pub name: String,
    /// Where its program or image is, or why it cannot be used.
    pub found: Result<String, String>,
}

/// What is known of the remote's branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There<'a> {
    /// There is no remote, or no branch to look for.
    Unknown,
    /// The remote has no such branch.
    Absent,
    Known(&'a Known),
}

impl Facts {
    /// The repository; `None` when there is none to look at.
    pub(super) fn repository(&self) -> Option<&repository::Facts> {
        self.repository.as_ref().ok()
    }

    /// The remote's branch, by its answer or by the last known state, whichever is the later one.
    #[must_use]
    pub fn there(&self) -> There<'_> {
        let Some(remote) = self.repository().and_then(|facts| facts.remote.as_ref()) else {
            return There::Unknown;
        };
        if remote.branch.is_none() {
            return There::Unknown;
        }
        let known = remote.known.as_ref().map_or(There::Absent, There::Known);
        match &self.remote {
            Some(Ok(answer)) if answer.commit.is_none() => {
                let pushed_since = remote
                    .known
                    .as_ref()
                    .and_then(|known| known.seen)
                    .is_some_and(|seen| seen > answer.asked);
                if pushed_since { known } else { There::Absent }
            }
            _ => known,
        }
    }

    /// When the state of [`Facts::there`] was true, at the latest; `None` when nothing was ever fetched.
    #[must_use]
    pub fn as_of(&self) -> Option<Timestamp> {
        let asked = match &self.remote {
            Some(Ok(answer)) => Some(answer.asked),
            _ => None,
        };
        asked.max(self.repository()?.remote.as_ref()?.fetched)
    }

    /// ` (as of 12m ago)` where the remote was not asked just now, else nothing.
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

    /// The tag in use of the plan on disk.
    pub(super) fn plan_tag(&self) -> Option<&Tag> {
        self.plan.as_ref()?.as_ref().ok()?.tag(&self.tag)
    }

    /// The chosen tasks that the plan has.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Task> {
        let tag = self.plan_tag();
        self.tasks.iter().filter_map(move |id| tag?.task(id))
    }
}
