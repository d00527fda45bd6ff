//! What outlives a run: its last object, its files and its log, on this machine's disk.
//!
//! ```text
//! <directory>/format                         version of all that follows
//!             <uid of the run>/run.json      the object as it was last seen
//!                              files.json    the files its agent was given
//!                              totals.json   what a follower of the log counted
//!                              log/          its log, in segments (see `ledger/segment.rs`)
//!                              removed.json  when and by whom the run was deleted
//!                              lock          held by the one process that writes the log
//! ```
//!
//! Folders are 0700 and files 0600: a log may hold what its agent saw. Everything here blocks on the disk, so it belongs
//! on a task that may wait. Nothing here knows a cluster's client; it takes what [`crate::cluster::logs`] gives.

mod entry;
mod file;
mod line;
mod old;
mod read;
mod retention;
mod segment;
mod spool;
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
pub use retention::{Prune, Pruned, Retention};
pub use spool::Spool;

use spool::Limits;

/// Bytes on disk kept of the log of one run, where the settings say nothing else.
pub const LOG_LIMIT: u64 = 256 * 1024 * 1024;

/// Bytes of an open segment at which it is sealed: what is read to see one line, and what is not compressed yet.
const SEGMENT: u64 = 1024 * 1024;

/// Version of the files. 1 had no file that says so, and its logs are brought over run by run.
const FORMAT: u32 = 2;
const FORMAT_FILE: &str = "format";

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
    /// Files of a version that this program does not know are not touched.
    #[error(
        "the ledger in {} was written by a newer flightdeck (its format is {found}, this one knows {FORMAT}): use that one, or move the folder away",
        path.display()
    )]
    Newer { path: PathBuf, found: String },
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
    limits: Limits,
}

impl Ledger {
    /// The ledger in `directory`, which is made when it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let directory = directory.into();
        file::make_directory(&directory)?;
        check_format(&directory)?;
        Ok(Self {
            directory,
            limits: Limits {
                log: LOG_LIMIT,
                segment: SEGMENT,
            },
        })
    }

    /// The same, keeping as much of the log of one run as the settings say.
    #[must_use]
    pub const fn with_settings(self, settings: &LedgerSettings) -> Self {
        self.with_log_limit(match settings.run_mib {
            0 => u64::MAX,
            mib => mib.saturating_mul(1024 * 1024),
        })
    }

    /// The same, keeping at most so many bytes on disk of the log of a run.
    #[must_use]
    pub const fn with_log_limit(mut self, bytes: u64) -> Self {
        self.limits.log = bytes;
        self
    }

    /// The same in smaller segments, so that a few lines fill several.
    #[cfg(test)]
    const fn with_segments_of(mut self, bytes: u64) -> Self {
        self.limits.segment = bytes;
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
        let removed = Removed {
            at,
            by: by.to_owned(),
        };
        self.write_json(uid, entry::REMOVED, &removed)
    }

    /// Keeps what a follower of the log counted.
    pub fn record_totals(&self, uid: &str, totals: &Totals) -> Result<(), LedgerError> {
        self.write_json(uid, entry::TOTALS, totals)
    }

    /// Keeps the files that the run's agent was given, by their names.
    pub fn record_files(
        &self,
        uid: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<(), LedgerError> {
        self.write_json(uid, entry::FILES, files)
    }

    /// The files that the run's agent was given; `None` where they were not kept.
    pub fn files(&self, uid: &str) -> Result<Option<BTreeMap<String, String>>, LedgerError> {
        entry::read_json(&self.folder(uid)?.join(entry::FILES))
    }

    fn write_json(
        &self,
        uid: &str,
        name: &str,
        value: &impl serde::Serialize,
    ) -> Result<(), LedgerError> {
        let path = self.folder_made(uid)?.join(name);
        let bytes = serde_json::to_vec_pretty(value).map_err(|source| LedgerError::Unreadable {
            path: path.clone(),
            source,
        })?;
        if std::fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        file::replace(&path, &bytes)
    }

    /// Where the log of the run is written; `None` while another process writes it.
    pub fn spool(&self, uid: &str) -> Result<Option<Spool>, LedgerError> {
        Spool::open(&self.folder_made(uid)?, self.limits)
    }

    /// Completes the log by what the cluster kept of the end of one source that is no more: lines in their order, of which
    /// those are taken that lie behind the last one stored. `truncated` says that there was more before them. Does nothing
    /// while another process writes the log.
    pub fn complete(&self, uid: &str, end: &[LogLine], truncated: bool) -> Result<(), LedgerError> {
        match self.spool(uid)? {
            Some(mut spool) => spool.complete(end, truncated),
            None => Ok(()),
        }
    }

    /// The log of the run as it was spooled, read as it is taken; empty when there is none. What cannot be read is left out,
    /// and a notice stands in its place.
    pub fn read_log(
        &self,
        uid: &str,
    ) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        self.read_log_from(uid, 0)
    }

    /// The same from the line number `from` on; 0 is the first. It takes no longer for a long log.
    pub fn read_log_from(
        &self,
        uid: &str,
        from: u64,
    ) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        let folder = self.folder(uid)?;
        let old = old::read(&folder)?.map(|events| {
            let mut line = 0;
            events.filter(move |event| {
                let passed_over = line < from;
                line += u64::from(matches!(event, LogEvent::Line(_)));
                !passed_over || matches!(event, LogEvent::SourceStarted(_))
            })
        });
        // What was brought over from the old file is in it still, as long as it is there.
        let new = match old {
            Some(_) => None,
            None => Some(read::Reader::open(&folder, from)?),
        };
        Ok(old.into_iter().flatten().chain(new.into_iter().flatten()))
    }

    /// The log in the order its sources began, where it was stored in another: what was kept elsewhere may have come late.
    /// Otherwise, and mostly, the same as [`Self::read_log`].
    pub fn read_in_order(
        &self,
        uid: &str,
    ) -> Result<Box<dyn Iterator<Item = LogEvent> + Send>, LedgerError> {
        let events = self.read_log(uid)?;
        if !self.folder(uid)?.join(spool::MIXED).exists() {
            return Ok(Box::new(events));
        }
        let mut begun: Vec<(Arc<LogSource>, Timestamp)> = Vec::new();
        for event in events {
            if let LogEvent::Line(line) = event
                && begun.iter().all(|(known, _)| *known != line.source)
            {
                begun.push((line.source, line.at));
            }
        }
        begun.sort_by_key(|(_, at)| *at);
        let sources: Vec<Arc<LogSource>> = begun.into_iter().map(|(source, _)| source).collect();
        let spoken = sources.clone();
        // Last, what is said of no source that has lines.
        let parts = sources.into_iter().map(Some).chain([None]);
        let (ledger, uid) = (self.clone(), uid.to_owned());
        Ok(Box::new(parts.flat_map(move |part| {
            let spoken = spoken.clone();
            let events = ledger.read_log(&uid).into_iter().flatten();
            events.filter(move |event| {
                let source = event.source();
                match &part {
                    Some(part) => source == Some(part),
                    None => source.is_none_or(|source| !spoken.contains(source)),
                }
            })
        })))
    }

    /// Where the lines of the log come from, and whether each was read to its end; in the order they ran.
    pub fn log_sources(&self, uid: &str) -> Result<Vec<(LogSource, bool)>, LedgerError> {
        let folder = self.folder(uid)?;
        match old::read(&folder)? {
            Some(events) => Ok(sources_of(events)),
            None => read::sources(&folder),
        }
    }

    /// Lines of text the log of the run has had, as it was spooled.
    pub fn log_lines(&self, uid: &str) -> Result<u64, LedgerError> {
        let folder = self.folder(uid)?;
        match old::read(&folder)? {
            Some(events) => Ok(events
                .filter(|event| matches!(event, LogEvent::Line(_)))
                .count() as u64),
            None => read::count(&folder),
        }
    }

    /// One run.
    pub fn entry(&self, uid: &str) -> Result<Option<Entry>, LedgerError> {
        entry::read(&self.folder(uid)?)
    }

    /// The newest run of that name.
    pub fn find(&self, name: &str) -> Result<Option<Entry>, LedgerError> {
        let mut entries = self.list()?.into_iter();
        Ok(entries.find(|entry| entry.run.name() == name))
    }

    /// Every run that was recorded, newest first, without their logs. A run that cannot be read is left out, with a warning
    /// in the program's log.
    pub fn list(&self) -> Result<Vec<Entry>, LedgerError> {
        entry::list(&self.directory)
    }

    /// What a retention would remove now, oldest first.
    pub fn plan_prune(&self, retention: &Retention, now: Timestamp) -> Result<Prune, LedgerError> {
        retention::plan(&self.directory, retention, now)
    }

    /// Removes what was planned, except what is being written; what was removed.
    pub fn prune(&self, plan: &Prune) -> Result<Vec<Pruned>, LedgerError> {
        let mut removed = Vec::new();
        for pruned in &plan.runs {
            if self.forget(&pruned.uid)? {
                removed.push(pruned.clone());
            }
        }
        Ok(removed)
    }

    /// Forgets the run and its log for good; `false` while somebody writes it.
    pub fn forget(&self, uid: &str) -> Result<bool, LedgerError> {
        retention::remove(&self.folder(uid)?)
    }

    /// Bytes that all records take on disk.
    pub fn size(&self) -> Result<u64, LedgerError> {
        let folders = entry::folders(&self.directory)?;
        Ok(folders
            .iter()
            // One that was removed meanwhile takes none.
            .filter_map(|folder| Some(entry::size(folder).ok()?.all))
            .sum())
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

fn sources_of(events: impl Iterator<Item = LogEvent>) -> Vec<(LogSource, bool)> {
    let mut sources: Vec<(LogSource, bool)> = Vec::new();
    for event in events {
        match event {
            LogEvent::SourceStarted(source) => sources.push((source.as_ref().clone(), false)),
            LogEvent::SourceEnded(source) => {
                let known = sources.iter_mut().find(|(known, _)| *known == *source);
                if let Some((_, ended)) = known {
                    *ended = true;
                }
            }
            _ => {}
        }
    }
    sources
}

/// Whether this program knows the version of the files; writes it down in a new directory.
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
