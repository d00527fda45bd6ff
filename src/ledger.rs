//! What outlives a run: its last object and its log, on this machine's disk.
//!
//! ```text
//! <directory>/<uid of the run>/run.json      the object as it was last seen
//!                              log.jsonl     its log, as it streamed
//!                              removed.json  when and by whom the run was deleted
//!                              lock          held by the one process that writes the log
//! ```
//!
//! Folders are 0700 and files 0600: a log may hold what its agent saw. Everything here blocks on the disk, so it belongs
//! on a task that may wait. Nothing here knows a cluster's client; it takes what [`crate::cluster::logs`] gives.

mod entry;
mod file;
mod line;
mod spool;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::{cluster::logs::LogEvent, runs::Run};

pub use entry::{Entry, Removed};
pub use spool::Spool;

/// Bytes of log kept for one run.
pub const LOG_LIMIT: u64 = 256 * 1024 * 1024;

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the ledger cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the ledger cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// A run that was never created has no uid; one that is no uid could lead out of the directory.
    #[error(
        "the ledger cannot keep a run with the uid {0:?}: only runs that a cluster created can be kept"
    )]
    Uid(String),
}

/// The records of all runs that this machine has followed.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
    log_limit: u64,
}

impl Ledger {
    /// The ledger in `directory`, which is made when it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let directory = directory.into();
        file::make_directory(&directory)?;
        Ok(Self {
            directory,
            log_limit: LOG_LIMIT,
        })
    }

    /// The same, keeping at most `bytes` of log for a run.
    #[must_use]
    pub const fn with_log_limit(mut self, bytes: u64) -> Self {
        self.log_limit = bytes;
        self
    }

    /// Keeps the run as it is now. Writes only what changed.
    pub fn record(&self, run: &Run) -> Result<(), LedgerError> {
        let mut object = run.clone().into_resource();
        if let Some(metadata) = object.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            // Who wrote which field is of no use once the object is gone, and is most of its bytes.
            metadata.remove("managedFields");
        }
        let path = self.folder_made(run.uid())?.join(entry::RUN);
        let unreadable = |source| LedgerError::Unreadable {
            path: path.clone(),
            source,
        };
        object["status"] = serde_json::to_value(&run.status).map_err(unreadable)?;
        let bytes = serde_json::to_vec_pretty(&object).map_err(unreadable)?;
        if std::fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        file::replace(&path, &bytes)
    }

    /// Notes that the run was deleted.
    pub fn mark_removed(&self, uid: &str, by: &str, at: Timestamp) -> Result<(), LedgerError> {
        let path = self.folder_made(uid)?.join(entry::REMOVED);
        let removed = Removed {
            at,
            by: by.to_owned(),
        };
        let unreadable = |source| LedgerError::Unreadable {
            path: path.clone(),
            source,
        };
        let bytes = serde_json::to_vec_pretty(&removed).map_err(unreadable)?;
        file::replace(&path, &bytes)
    }

    /// Where the log of the run is written; `None` while another process writes it.
    pub fn spool(&self, uid: &str) -> Result<Option<Spool>, LedgerError> {
        Spool::open(&self.folder_made(uid)?, self.log_limit)
    }

    /// The log of the run as it was spooled, read as it is taken; empty when there is none. Lines that cannot be read are
    /// left out.
    pub fn read_log(
        &self,
        uid: &str,
    ) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        spool::read(&self.folder(uid)?)
    }

    /// One run.
    pub fn entry(&self, uid: &str) -> Result<Option<Entry>, LedgerError> {
        entry::read(&self.folder(uid)?)
    }

    /// Every run that was recorded, newest first, without their logs. A run that cannot be read is left out, with a warning
    /// in the program's log.
    pub fn list(&self) -> Result<Vec<Entry>, LedgerError> {
        entry::list(&self.directory)
    }

    /// Forgets the run and its log for good.
    pub fn forget(&self, uid: &str) -> Result<(), LedgerError> {
        let folder = self.folder(uid)?;
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(file::failed(&folder)(error))
            }
            _ => Ok(()),
        }
    }

    /// Where the records are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn folder(&self, uid: &str) -> Result<PathBuf, LedgerError> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if uid.is_empty() || uid.len() > 64 || !uid.chars().all(letters) {
            return Err(LedgerError::Uid(uid.to_owned()));
        }
        Ok(self.directory.join(uid))
    }

    fn folder_made(&self, uid: &str) -> Result<PathBuf, LedgerError> {
        let folder = self.folder(uid)?;
        file::make_directory(&folder)?;
        Ok(folder)
    }
}
