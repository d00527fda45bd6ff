//! What is known of a run without reading its log.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LedgerError, file::failed, old, segment, spool};
use flightdeck_core::{
    resources::{CodeRun, DocsRun, Usage},
    runs::Run,
};

pub(super) const RUN: &str = "run.json";
pub(super) const REMOVED: &str = "removed.json";
pub(super) const TOTALS: &str = "totals.json";
pub(super) const FILES: &str = "files.json";

/// That a run was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub at: Timestamp,
    /// The person or program that did it.
    pub by: String,
}

/// What a follower of the log counted. The status has the same once the stage has ended, unless the agent was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub usage: Usage,
    /// Written by the agent, as it said itself.
    pub documents: usize,
}

/// A run as the ledger remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub run: Run,
    /// Absent while nobody here is known to have deleted it.
    pub removed: Option<Removed>,
    /// Absent where nobody followed it.
    pub totals: Option<Totals>,
    /// Bytes of its log on disk, compressed as it is.
    pub log_bytes: u64,
    /// Bytes of all that is kept of it on disk.
    pub bytes: u64,
    /// When something of it was last written.
    pub written: Timestamp,
}

impl Entry {
    /// What the agent used: as the status says, else as a follower counted.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.run
            .status
            .usage
            .or(self.totals.map(|totals| totals.usage))
    }
}

/// The kind decides how the rest is read.
#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Object {
    DocsRun(DocsRun),
    CodeRun(CodeRun),
}

/// Reads a run's folder; `None` when no run was recorded in it.
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

/// What a folder takes on disk.
pub(super) struct Size {
    pub(super) log: u64,
    pub(super) all: u64,
    /// When the newest of its files was written.
    pub(super) written: Timestamp,
}

pub(super) fn size(folder: &Path) -> Result<Size, LedgerError> {
    let log = folder.join(spool::LOG);
    let segments = segment::list(&log)?;
    let mut size = Size {
        log: segments.iter().map(|segment| segment.bytes).sum::<u64>() + old::bytes(folder),
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
        .filter(|item| item.file_name() != spool::LOG);
    let bytes: u64 = files.map(|item| see(&item.path())).sum();
    size.all += bytes;
    Ok(size)
}

/// The folders of all runs.
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
            Err(error) => tracing::warn!(%error, "a record of the ledger is left out"),
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
