//! What is known of a run without reading its log.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LedgerError, file::failed, spool};
use crate::{
    resources::{CodeRun, DocsRun},
    runs::Run,
};

pub(super) const RUN: &str = "run.json";
pub(super) const REMOVED: &str = "removed.json";

/// That a run was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub at: Timestamp,
    /// The person or program that did it.
    pub by: String,
}

/// A run as the ledger remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub run: Run,
    /// Absent while nobody here is known to have deleted it.
    pub removed: Option<Removed>,
    /// Bytes of its log.
    pub log_bytes: u64,
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
    let log = folder.join(spool::LOG);
    Ok(Some(Entry {
        run: match object {
            Object::DocsRun(run) => run.into(),
            Object::CodeRun(run) => run.into(),
        },
        removed: read_json(&folder.join(REMOVED))?,
        log_bytes: std::fs::metadata(log).map_or(0, |metadata| metadata.len()),
    }))
}

pub(super) fn list(directory: &Path) -> Result<Vec<Entry>, LedgerError> {
    let folders: Vec<PathBuf> = std::fs::read_dir(directory)
        .and_then(|items| items.map(|item| Ok(item?.path())).collect())
        .map_err(failed(directory))?;
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

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
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
