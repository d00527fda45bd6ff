//! The record of a run without its log.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LedgerError, file::failed, log_writer, segment};
use flightdeck_core::{
    resources::{CodeRun, DocsRun, Usage},
    runs::Run,
};

pub(super) const RUN: &str = "run.json";
pub(super) const REMOVED: &str = "removed.json";
pub(super) const TOTALS: &str = "totals.json";
pub(super) const FILES: &str = "files.json";

/// A record that a run was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub at: Timestamp,
    /// The user or program that deleted it.
    pub by: String,
}

/// Totals counted by a follower of the log. The run's status has the same once the stage has ended, unless the agent
/// was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub usage: Usage,
    /// Documents written, as reported by the agent.
    pub documents: usize,
}

/// A recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub run: Run,
    /// `None` unless it was deleted with flightdeck on this machine.
    pub removed: Option<Removed>,
    /// `None` if its log was not followed.
    pub totals: Option<Totals>,
    /// Size of its log on disk.
    pub log_bytes: u64,
    /// Size of the whole record on disk.
    pub bytes: u64,
    /// When the record was last written.
    pub written: Timestamp,
}

impl Entry {
    /// Returns the agent's usage from the run's status, or else from the follower's totals.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.run
            .status
            .usage
            .or(self.totals.map(|totals| totals.usage))
    }
}

/// The recorded object, by kind.
#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Object {
    DocsRun(DocsRun),
    CodeRun(CodeRun),
}

/// Reads a run's directory; `None` if it has no run.
pub(super) fn read(folder: &Path) -> Result<Option<Entry>, LedgerError> {
    let Some(object) = read_json::<Object>(&folder.join(RUN))? else {
        return Ok(None);
    };
    let size = size(folder)?;
    Ok(Some(Entry {
        run: match object {
            Object::DocsRun(run) => run.into(),
            Object::CodeRun(run) => run.into(),
        },
        removed: read_json(&folder.join(REMOVED))?,
        totals: read_json(&folder.join(TOTALS))?,
        log_bytes: size.log,
        bytes: size.all,
        written: size.written,
    }))
}

/// The size of a run's directory.
pub(super) struct Size {
    pub(super) log: u64,
    pub(super) all: u64,
    /// Modification time of its newest file.
    pub(super) written: Timestamp,
}

pub(super) fn size(folder: &Path) -> Result<Size, LedgerError> {
    let log = folder.join(log_writer::LOG);
    let segments = segment::list(&log)?;
    let mut size = Size {
        log: segments.iter().map(|segment| segment.bytes).sum::<u64>(),
        all: 0,
        written: Timestamp::MIN,
    };
    size.all = segments.iter().map(|segment| segment.bytes).sum();
    let newest = segments.last().map(|segment| segment.path(&log));
    let mut see = |path: &Path| {
        let Ok(metadata) = std::fs::metadata(path) else {
            return 0;
        };
        let written = metadata.modified().ok();
        let written = written.and_then(|time| Timestamp::try_from(time).ok());
        size.written = written.map_or(size.written, |time| time.max(size.written));
        metadata.len()
    };
    if let Some(newest) = newest {
        see(&newest);
    }
    let items = std::fs::read_dir(folder).map_err(failed(folder))?;
    let files = items
        .flatten()
        .filter(|item| item.file_name() != log_writer::LOG);
    let bytes: u64 = files.map(|item| see(&item.path())).sum();
    size.all += bytes;
    Ok(size)
}

/// Returns the directories of all runs.
pub(super) fn folders(directory: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let items = std::fs::read_dir(directory).map_err(failed(directory))?;
    let folders = items
        .flatten()
        .filter(|item| item.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(|item| item.path()).collect())
}

pub(super) fn list(directory: &Path) -> Result<Vec<Entry>, LedgerError> {
    let folders = folders(directory)?;
    let mut entries = Vec::new();
    for folder in folders {
        match read(&folder) {
            Ok(entry) => entries.extend(entry),
            Err(error) => tracing::warn!(%error, "skipping an unreadable ledger record"),
        }
    }
    let created = |entry: &Entry| entry.run.metadata.creation_timestamp.clone();
    entries.sort_by_key(|entry| std::cmp::Reverse((created(entry), entry.run.name().to_owned())));
    Ok(entries)
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(path)(error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| LedgerError::Unreadable {
            path: path.to_owned(),
            source,
        })
}
