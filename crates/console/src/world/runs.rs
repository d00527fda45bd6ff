//! The runs of the cluster, each with what is known beside it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::RunId;
use flightdeck_core::{
    resources::Usage,
    runs::{Phase, Run, health::Signals, naming},
    transcript::Transcript,
};
use flightdeck_host::cluster::Kind;

/// Every run that is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    pub(super) by_id: HashMap<RunId, Entry>,
    /// Kinds of run whose first list has come.
    pub(super) listed: BTreeSet<Kind>,
}

/// A run with what is known beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub run: Run,
    /// Why nothing moves: a waiting pod, a missing Secret; one sentence.
    pub trouble: Option<String>,
    /// What the log of a run under way says.
    pub progress: Progress,
    /// Deleted from the cluster; what is left is the ledger's.
    pub removed: bool,
}

/// What is read from a log while the run is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub documents: usize,
    pub usage: Usage,
    /// Tokens in the agent's context.
    pub context: i64,
    /// How many fit, once the stream has said so.
    pub context_window: Option<i64>,
    pub model: Option<String>,
    /// What the agent did last, on one line; remote text.
    pub doing: Option<String>,
    pub signals: Signals,
}

impl Progress {
    /// What a transcript says so far.
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

impl Entry {
    /// A run of which nothing more is known.
    pub fn new(run: Run) -> Self {
        Self {
            run,
            trouble: None,
            progress: Progress::default(),
            removed: false,
        }
    }

    /// Whether it has not ended.
    pub fn active(&self) -> bool {
        !self.removed && !self.run.ended()
    }

    /// Documents written and expected. While the run is under way the log may know of more than the status; in the end the
    /// status has counted them.
    pub fn documents(&self) -> Option<(usize, usize)> {
        let expected = self.run.expected_documents().len();
        if expected == 0 {
            return None;
        }
        let promised = self.progress.documents;
        let status = self.run.status.documents.as_ref();
        Some(status.map_or((promised, expected), |counted| {
            let written = counted.written as usize;
            let written = if self.active() {
                written.max(promised)
            } else {
                written
            };
            (written, counted.expected as usize)
        }))
    }

    /// What the agent used so far: of an ended stage the status knows, of one under way the log may know more.
    pub fn usage(&self) -> Usage {
        let read = self.progress.usage;
        match self.run.status.usage {
            Some(usage) if !self.active() || usage.turns >= read.turns => usage,
            _ => read,
        }
    }

    /// Seconds it has taken, until now where it is under way; `None` before it has begun.
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

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        let at = self.run.metadata.creation_timestamp.as_ref();
        at.map(|time| time.0)
    }

    /// Whether the run belongs to a repository.
    pub fn of_repository(&self, label: &str) -> bool {
        self.run.label(naming::LABEL_REPOSITORY) == Some(label)
    }

    /// Whether there is work on a branch that could be brought home.
    pub fn pushed(&self) -> bool {
        self.run.status.commit.is_some()
            && matches!(self.run.phase(), Phase::Succeeded | Phase::Failed)
    }
}

impl Runs {
    /// The run of that uid.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id)
    }

    /// Every run, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&RunId, &Entry)> {
        self.by_id.iter()
    }

    /// Whether the first list of each kind has come.
    pub fn complete(&self) -> bool {
        [Kind::DocsRun, Kind::CodeRun]
            .iter()
            .all(|kind| self.listed.contains(kind))
    }

    /// When a run was created.
    pub fn created(&self, id: &str) -> Option<Timestamp> {
        self.get(id).and_then(Entry::created)
    }

    /// The run of that name.
    pub fn named(&self, name: &str) -> Option<(&RunId, &Entry)> {
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
                self.by_id.insert(run.uid().to_owned(), Entry::new(run));
            }
        }
    }
}
