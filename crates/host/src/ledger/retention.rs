//! Retention: removes runs that were not written for too long, then the oldest runs while the ledger is too large.
//! Only local records are removed.

use std::{io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

use super::{LedgerError, entry, file::failed, log_writer};
use crate::settings::LedgerSettings;
use flightdeck_core::text;

const DAY: i64 = 24 * 60 * 60;

/// Limits of the ledger; 0 means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days since a run was last written.
    pub days: u64,
    /// Size of all runs on disk.
    pub bytes: u64,
}

/// The runs to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PrunePlan {
    /// Oldest first.
    pub runs: Vec<PrunedRun>,
    /// Size of the remaining runs, in bytes.
    pub stays: u64,
}

/// A run to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrunedRun {
    /// Empty for the remains of a partly removed run.
    pub name: String,
    pub uid: String,
    /// Size on disk.
    pub bytes: u64,
    /// The reason, as a phrase.
    pub why: String,
}

/// A run that may be removed.
struct Candidate {
    uid: String,
    name: String,
    bytes: u64,
    written: Timestamp,
    /// It is active, or its end was not observed.
    open: bool,
}

pub(super) fn plan(
    directory: &Path,
    retention: &Retention,
    now: Timestamp,
) -> Result<PrunePlan, LedgerError> {
    let mut all = Vec::new();
    for folder in entry::folders(directory)? {
        let uid = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Ok(size) = entry::size(&folder) else {
            continue;
        };
        // Unreadable records age by the time of their files, and are kept until then.
        let entry = entry::read(&folder).ok().flatten();
        all.push(Candidate {
            uid,
            name: entry
                .as_ref()
                .map_or_else(String::new, |entry| entry.run.name().to_owned()),
            bytes: size.all,
            written: size.written,
            open: entry.is_none_or(|entry| !entry.run.ended() && entry.removed.is_none()),
        });
    }
    Ok(select(all, retention, now))
}

fn select(mut all: Vec<Candidate>, retention: &Retention, now: Timestamp) -> PrunePlan {
    all.sort_by(|a, b| (a.written, &a.uid).cmp(&(b.written, &b.uid)));
    let mut prune = PrunePlan {
        runs: Vec::new(),
        stays: all.iter().map(|candidate| candidate.bytes).sum(),
    };
    for candidate in all {
        let days = (now.as_second() - candidate.written.as_second()).div_euclid(DAY);
        let old = retention.days > 0 && days >= retention.days as i64;
        let much = retention.bytes > 0 && prune.stays > retention.bytes;
        // Keep runs that may be active, whatever their size.
        if !(old || much && !(candidate.open && days < 1)) {
            continue;
        }
        prune.stays -= candidate.bytes;
        let why = if old {
            format!("last written {} ago", text::count(days as usize, "day"))
        } else {
            format!("the ledger is larger than {}", text::bytes(retention.bytes))
        };
        prune.runs.push(PrunedRun {
            name: candidate.name,
            uid: candidate.uid,
            bytes: candidate.bytes,
            why,
        });
    }
    prune
}

/// Removes a run's directory unless it is being written. After a crash half-way, the rest is removed the next time.
pub(super) fn remove(folder: &Path) -> Result<bool, LedgerError> {
    if !folder.is_dir() {
        return Ok(true);
    }
    let Some(_lock) = log_writer::lock(folder)? else {
        return Ok(false);
    };
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder)(error)),
        _ => Ok(()),
    };
    gone(std::fs::remove_file(folder.join(entry::RUN)))?;
    gone(std::fs::remove_dir_all(folder))?;
    Ok(true)
}

impl Retention {
    /// Creates a retention of `days` and `mib` MiB.
    #[must_use]
    pub const fn new(days: u64, mib: u64) -> Self {
        Self {
            days,
            bytes: mib.saturating_mul(1024 * 1024),
        }
    }

    /// Returns the retention of `settings`.
    #[must_use]
    pub const fn of(settings: &LedgerSettings) -> Self {
        Self::new(settings.keep_days, settings.total_mib)
    }
}
