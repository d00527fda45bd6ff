//! Local records of runs that outlive the cluster's objects: the last version of the run, its files and its log.
//!
//! ```text
//! <directory>/format                         format version
//!             <uid of the run>/run.json      the last seen object
//!                              files.json    the files given to its agent
//!                              totals.json   totals counted by a follower of the log
//!                              log/          its log, in segments (see `ledger/segment.rs`)
//!                              removed.json  when and by whom the run was deleted
//!                              lock          lock of the process that writes the log
//! ```
//!
//! Directories have mode 0700 and files 0600, because a log may contain whatever its agent saw. All functions block
//! on disk I/O; call them from blocking tasks. This module does not use a cluster client; it takes the events of
//! [`crate::cluster::logs`].

mod entry;
mod file;
mod line;
mod log_writer;
mod reader;
mod retention;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use crate::settings::LedgerSettings;
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource},
    runs::Run,
};

pub use entry::{Entry, Removed, Totals};
pub use log_writer::LogWriter;
pub use retention::{PrunePlan, PrunedRun, Retention};

use log_writer::Limits;

/// Default limit of a run's log, in bytes on disk.
const LOG_LIMIT: u64 = 256 * 1024 * 1024;

/// Size at which an open segment is sealed. Open segments are not compressed, and reading one line reads a whole
/// segment.
const SEGMENT_SIZE: u64 = 1024 * 1024;

/// Version of the directory's format.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";

/// A ledger error.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("cannot access {} of the ledger: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot parse {} of the ledger: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// Files of an unknown version are left unchanged.
    #[error(
        "the ledger in {} was written by a newer flightdeck (format {found}, supported: {FORMAT}): upgrade flightdeck or move the directory away",
        path.display()
    )]
    Newer { path: PathBuf, found: String },
    /// A run that was not created has no UID; an invalid one could escape the directory.
    #[error(
        "cannot record a run with the UID {0:?}: only runs created on a cluster can be recorded"
    )]
    Uid(String),
}

/// The records of all runs followed on this machine.
#[derive(Clone, Debug)]
pub struct Ledger {
    directory: PathBuf,
    limits: Limits,
}

impl Ledger {
    /// Opens the ledger in `directory`; creates the directory if it does not exist.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let directory = directory.into();
        file::make_directory(&directory)?;
        check_format(&directory)?;
        Ok(Self {
            directory,
            limits: Limits {
                log: LOG_LIMIT,
                segment: SEGMENT_SIZE,
            },
        })
    }

    /// Sets the log limit of `settings`.
    #[must_use]
    pub const fn with_settings(self, settings: &LedgerSettings) -> Self {
        self.with_log_limit(match settings.run_mib {
            0 => u64::MAX,
            mib => mib.saturating_mul(1024 * 1024),
        })
    }

    /// Limits the log of a run to `bytes` on disk.
    #[must_use]
    pub const fn with_log_limit(mut self, bytes: u64) -> Self {
        self.limits.log = bytes;
        self
    }

    /// Sets the segment size, so that a test fills several segments with a few lines.
    #[cfg(test)]
    const fn with_segments_of(mut self, bytes: u64) -> Self {
        self.limits.segment = bytes;
        self
    }

    /// Records the current state of the run. Does not write if nothing changed.
    pub fn record(&self, run: &Run) -> Result<(), LedgerError> {
        let mut object = run.clone().into_resource();
        if let Some(metadata) = object.get_mut("metadata").and_then(|m| m.as_object_mut()) {
            // Field ownership is useless once the object is gone, and makes up most of its bytes.
            metadata.remove("managedFields");
        }
        let path = self.create_folder(run.uid())?.join(entry::RUN);
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

    /// Records that the run was deleted.
    pub fn mark_removed(&self, uid: &str, by: &str, at: Timestamp) -> Result<(), LedgerError> {
        let removed = Removed {
            at,
            by: by.to_owned(),
        };
        self.write_json(uid, entry::REMOVED, &removed)
    }

    /// Records the totals counted by a follower of the log.
    pub fn record_totals(&self, uid: &str, totals: &Totals) -> Result<(), LedgerError> {
        self.write_json(uid, entry::TOTALS, totals)
    }

    /// Records the files given to the run's agent, by name.
    pub fn record_files(
        &self,
        uid: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(), LedgerError> {
        self.write_json(uid, entry::FILES, files)
    }

    /// Returns the files given to the run's agent; `None` if they were not recorded.
    pub fn files(&self, uid: &str) -> Result<Option<BTreeMap<String, String>>, LedgerError> {
        entry::read_json(&self.folder(uid)?.join(entry::FILES))
    }

    fn write_json(
        &self,
        uid: &str,
        name: &str,
        value: &impl serde::Serialize,
    ) -> Result<(), LedgerError> {
        let path = self.create_folder(uid)?.join(name);
        let bytes = serde_json::to_vec_pretty(value).map_err(|source| LedgerError::Unreadable {
            path: path.clone(),
            source,
        })?;
        if std::fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        file::replace(&path, &bytes)
    }

    /// Opens the run's log for writing; `None` while another process is writing it.
    pub fn log_writer(&self, uid: &str) -> Result<Option<LogWriter>, LedgerError> {
        LogWriter::open(&self.create_folder(uid)?, self.limits)
    }

    /// Appends the archived end of a terminated source to the log. Of `end`, which is in order, only lines after the
    /// last stored one are added. `truncated` says that the archive is incomplete at its start. Does nothing while
    /// another process is writing the log.
    pub fn complete(&self, uid: &str, end: &[LogLine], truncated: bool) -> Result<(), LedgerError> {
        match self.log_writer(uid)? {
            Some(mut writer) => writer.complete(end, truncated),
            None => Ok(()),
        }
    }

    /// Returns the run's log, read lazily; empty if there is none. Unreadable parts are replaced by a notice.
    pub fn read_log(
        &self,
        uid: &str,
    ) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        self.read_log_from(uid, 0)
    }

    /// Returns the log from line `from` (0 is the first). Takes the same time for long logs.
    pub fn read_log_from(
        &self,
        uid: &str,
        from: u64,
    ) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        let folder = self.folder(uid)?;
        reader::Reader::open(&folder, from)
    }

    /// Returns the log with sources in the order they started. Differs from [`Self::read_log`] only if an archived
    /// source was added late.
    pub fn read_in_order(
        &self,
        uid: &str,
    ) -> Result<Box<dyn Iterator<Item = LogEvent> + Send>, LedgerError> {
        let events = self.read_log(uid)?;
        if !self.folder(uid)?.join(log_writer::OUT_OF_ORDER).exists() {
            return Ok(Box::new(events));
        }
        let mut started: Vec<(Arc<LogSource>, Timestamp)> = Vec::new();
        for event in events {
            if let LogEvent::Line(line) = event
                && started.iter().all(|(known, _)| *known != line.source)
            {
                started.push((line.source, line.at));
            }
        }
        started.sort_by_key(|(_, at)| *at);
        let sources: Vec<Arc<LogSource>> = started.into_iter().map(|(source, _)| source).collect();
        let with_lines = sources.clone();
        // Last, events of sources without lines.
        let parts = sources.into_iter().map(Some).chain([None]);
        let (ledger, uid) = (self.clone(), uid.to_owned());
        Ok(Box::new(parts.flat_map(move |part| {
            let with_lines = with_lines.clone();
            let events = ledger.read_log(&uid).into_iter().flatten();
            events.filter(move |event| {
                let source = event.source();
                match &part {
                    Some(part) => source == Some(part),
                    None => source.is_none_or(|source| !with_lines.contains(source)),
                }
            })
        })))
    }

    /// Returns the sources of the log in the order they ran, each with whether it was read to its end.
    pub fn log_sources(&self, uid: &str) -> Result<Vec<(LogSource, bool)>, LedgerError> {
        reader::sources(&self.folder(uid)?)
    }

    /// Returns the number of lines ever written to the run's log.
    pub fn log_lines(&self, uid: &str) -> Result<u64, LedgerError> {
        reader::count(&self.folder(uid)?)
    }

    /// Returns the record of a run.
    pub fn entry(&self, uid: &str) -> Result<Option<Entry>, LedgerError> {
        entry::read(&self.folder(uid)?)
    }

    /// Returns the newest run with this name.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, LedgerError> {
        let mut entries = self.list()?.into_iter();
        Ok(entries.find(|entry| entry.run.name() == name))
    }

    /// Returns all recorded runs, newest first, without their logs. Unreadable records are skipped with a warning.
    pub fn list(&self) -> Result<Vec<Entry>, LedgerError> {
        entry::list(&self.directory)
    }

    /// Returns what `retention` would remove, oldest first.
    pub fn plan_prune(
        &self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<PrunePlan, LedgerError> {
        retention::plan(&self.directory, retention, now)
    }

    /// Removes the planned runs, except those being written. Returns the removed runs.
    pub fn prune(&self, plan: &PrunePlan) -> Result<Vec<PrunedRun>, LedgerError> {
        let mut removed = Vec::new();
        for pruned in &plan.runs {
            if self.forget(&pruned.uid)? {
                removed.push(pruned.clone());
            }
        }
        Ok(removed)
    }

    /// Deletes the run's record and log; `false` while another process is writing it.
    pub fn forget(&self, uid: &str) -> Result<bool, LedgerError> {
        retention::remove(&self.folder(uid)?)
    }

    /// Returns the size of all records on disk, in bytes.
    pub fn size(&self) -> Result<u64, LedgerError> {
        let folders = entry::folders(&self.directory)?;
        Ok(folders
            .iter()
            // A directory that was removed meanwhile counts as 0.
            .filter_map(|folder| Some(entry::size(folder).ok()?.all))
            .sum())
    }

    /// Returns the ledger's directory.
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

    fn create_folder(&self, uid: &str) -> Result<PathBuf, LedgerError> {
        let folder = self.folder(uid)?;
        file::make_directory(&folder)?;
        Ok(folder)
    }
}

/// Checks the directory's format version, and writes it to a new directory.
fn check_format(directory: &Path) -> Result<(), LedgerError> {
    let path = directory.join(FORMAT_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found <= FORMAT => Ok(()),
            _ => Err(LedgerError::Newer {
                path: directory.to_owned(),
                found: text.trim().chars().take(20).collect(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            file::replace(&path, format!("{FORMAT}\n").as_bytes())
        }
        Err(error) => Err(file::failed(&path)(error)),
    }
}
