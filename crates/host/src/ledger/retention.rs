//! What is kept for how long: runs that were not written for too long go, then the oldest ones while all together take too
//! much. What a run still does on its cluster is not touched.

use std::{io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

use super::{LedgerError, entry, file::failed, spool};
use crate::settings::LedgerSettings;
use flightdeck_core::text;

const DAY: i64 = 24 * 60 * 60;

/// What is kept. 0 is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days since a run was last written.
    pub days: u64,
    /// Bytes on disk of all runs together.
    pub bytes: u64,
}

/// What a retention would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prune {
    /// Oldest first.
    pub runs: Vec<Pruned>,
    /// Bytes of what stays.
    pub stays: u64,
}

/// A run that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Empty for what a crash left of a run.
    pub name: String,
    pub uid: String,
    /// On disk.
    pub bytes: u64,
    /// One phrase.
    pub why: String,
}

/// What is in a folder, as far as it matters here.
struct Kept {
    uid: String,
    name: String,
    bytes: u64,
    written: Timestamp,
    /// It goes on, or nobody saw its end.
    open: bool,
}

pub(super) fn plan(
    directory: &Path,
    retention: &Retention,
    now: Timestamp,
) -> Result<Prune, LedgerError> {
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
        // Unreadable records are as old as their files: they go in time, and are left alone until then.
        let entry = entry::read(&folder).ok().flatten();
        all.push(Kept {
            uid,
            name: entry
                .as_ref()
                .map_or_else(String::new, |entry| entry.run.name().to_owned()),
            bytes: size.all,
            written: size.written,
            open: entry.is_none_or(|entry| !entry.run.ended() && entry.removed.is_none()),
        });
    }
    Ok(choose(all, retention, now))
}

fn choose(mut all: Vec<Kept>, retention: &Retention, now: Timestamp) -> Prune {
    all.sort_by(|a, b| (a.written, &a.uid).cmp(&(b.written, &b.uid)));
    let mut prune = Prune {
        runs: Vec::new(),
        stays: all.iter().map(|kept| kept.bytes).sum(),
    };
    for kept in all {
        let days = (now.as_second() - kept.written.as_second()).div_euclid(DAY);
        let old = retention.days > 0 && days >= retention.days as i64;
        let much = retention.bytes > 0 && prune.stays > retention.bytes;
        // What may be under way stays, however much it is.
        if !(old || much && !(kept.open && days < 1)) {
            continue;
        }
        prune.stays -= kept.bytes;
        let why = if old {
            format!("not written for {}", text::count(days as usize, "day"))
        } else {
            format!(
                "the ledger takes more than {}",
                text::bytes(retention.bytes)
            )
        };
        prune.runs.push(Pruned {
            name: kept.name,
            uid: kept.uid,
            bytes: kept.bytes,
            why,
        });
    }
    prune
}

/// Removes a run's folder unless somebody writes in it. After a crash half-way it is no run any more, and goes the next time.
pub(super) fn remove(folder: &Path) -> Result<bool, LedgerError> {
    if !folder.is_dir() {
        return Ok(true);
    }
    let Some(_lock) = spool::lock(folder)? else {
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
    /// So many days, and so many MiB.
    #[must_use]
    pub const fn new(days: u64, mib: u64) -> Self {
        Self {
            days,
            bytes: mib.saturating_mul(1024 * 1024),
        }
    }

    /// What the settings say.
    #[must_use]
    pub const fn of(settings: &LedgerSettings) -> Self {
        Self::new(settings.keep_days, settings.total_mib)
    }
}
