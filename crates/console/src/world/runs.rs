//! The runs of the cluster, each with its progress and problems.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::RunId;
use flightdeck_core::{
    resources::Usage,
    runs::{Phase, Run, health::Signals, naming},
    transcript::Transcript,
};
use flightdeck_host::cluster::Kind;

/// All known runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    pub(super) by_id: HashMap<RunId, RunEntry>,
    /// The kinds whose first list was received.
    pub(super) listed: BTreeSet<Kind>,
}

/// A run with its progress and problems.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEntry {
    pub run: Run,
    /// Why its pod waits, such as a missing Secret; a sentence.
    pub trouble: Option<String>,
    /// Progress of an active run, from its log.
    pub progress: Progress,
    /// Deleted from the cluster; only the ledger has it.
    pub removed: bool,
}

/// Progress of a run, read from its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub documents: usize,
    pub usage: Usage,
    /// Tokens in the agent's context.
    pub context: i64,
    /// Size of the context window, once the agent has reported it.
    pub context_window: Option<i64>,
    pub model: Option<String>,
    /// The last action of the agent, on one line; untrusted text.
    pub doing: Option<String>,
    pub signals: Signals,
}

impl Progress {
    /// Summarizes a transcript.
    #[must_use]
    pub fn of(transcript: &Transcript) -> Self {
        Self {
            documents: transcript.documents().len(),
            usage: transcript.usage(),
            context: transcript.context_tokens,
            context_window: transcript.context_window,
            model: transcript.model.clone(),
            doing: transcript.last.as_ref().map(|last| last.what.clone()),
            signals: transcript.signals.clone(),
        }
    }
}

impl RunEntry {
    /// Creates an entry without progress or problems.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            trouble: None,
            progress: Progress::default(),
            removed: false,
        }
    }

    /// Whether the run is active.
    pub fn active(&self) -> bool {
        !self.removed && !self.run.ended()
    }

    /// Documents written and expected.
    pub fn documents(&self) -> Option<(usize, usize)> {
        let expected = self.run.expected_documents().len();
        if expected == 0 {
            return None;
        }
        let logged = self.progress.documents;
        let status = self.run.status.documents.as_ref();
        Some(status.map_or((logged, expected), |counted| {
            let written = counted.written as usize;
            // While the run is active, its log may be ahead of the status. The final status is authoritative.
            let written = if self.active() {
                written.max(logged)
            } else {
                written
            };
            (written, counted.expected as usize)
        }))
    }

    /// The usage of the agent so far: from the status, or from the log while that is ahead.
    pub fn usage(&self) -> Usage {
        let read = self.progress.usage;
        match self.run.status.usage {
            Some(usage) if !self.active() || usage.turns >= read.turns => usage,
            _ => read,
        }
    }

    /// Duration in seconds, until now for an active run; `None` before the start.
    pub fn elapsed(&self, now: Timestamp) -> Option<i64> {
        let time = |at: &Option<String>| at.as_deref()?.parse::<Timestamp>().ok();
        let began = time(&self.run.status.started_at)?;
        let until = if self.active() {
            now
        } else {
            time(&self.run.status.finished_at)?
        };
        Some(until.duration_since(began).as_secs().max(0))
    }

    /// The creation time.
    pub fn created(&self) -> Option<Timestamp> {
        let at = self.run.metadata.creation_timestamp.as_ref();
        at.map(|time| time.0)
    }

    /// Whether the run belongs to the repository with this label.
    pub fn of_repository(&self, label: &str) -> bool {
        self.run.label(naming::LABEL_REPOSITORY) == Some(label)
    }

    /// Whether the run pushed a branch.
    pub fn pushed(&self) -> bool {
        self.run.status.commit.is_some()
            && matches!(self.run.phase(), Phase::Succeeded | Phase::Failed)
    }
}

impl Runs {
    /// Looks up a run by uid.
    pub fn get(&self, id: &str) -> Option<&RunEntry> {
        self.by_id.get(id)
    }

    /// All runs, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&RunId, &RunEntry)> {
        self.by_id.iter()
    }

    /// Whether the first list of every kind was received.
    pub fn complete(&self) -> bool {
        [Kind::DocsRun, Kind::CodeRun]
            .iter()
            .all(|kind| self.listed.contains(kind))
    }

    /// The creation time of a run.
    pub fn created(&self, id: &str) -> Option<Timestamp> {
        self.get(id).and_then(RunEntry::created)
    }

    /// Looks up a run by name.
    pub fn named(&self, name: &str) -> Option<(&RunId, &RunEntry)> {
        self.by_id
            .iter()
            .find(|(_, entry)| entry.run.name() == name)
    }

    pub(super) fn put(&mut self, run: Run) {
        match self.by_id.get_mut(run.uid()) {
            Some(entry) => {
                entry.run = run;
                entry.removed = false;
            }
            None => {
                self.by_id.insert(run.uid().to_owned(), RunEntry::new(run));
            }
        }
    }
}
