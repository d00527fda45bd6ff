//! Detects lost commits.
//!
//! redb silently rolls a damaged last commit back. A number in a second file, written after each commit without
//! syncing, reveals that: the store may be ahead of the number, but never behind.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::DiskError;

pub(super) struct RevisionGuard {
    path: PathBuf,
    file: File,
    /// The last revision written.
    written: u64,
}

impl RevisionGuard {
    /// Opens or creates the guard of `directory`. An unreadable number counts as 0.
    pub(super) fn open(directory: &Path) -> Result<Self, DiskError> {
        let path = path(directory);
        let failed = |error| DiskError::unusable(&path, error);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(failed)?;
        let written = String::from_utf8_lossy(&text).trim().parse().unwrap_or(0);
        Ok(Self {
            path,
            file,
            written,
        })
    }

    /// Removes the guard of `directory`.
    pub(super) fn remove(directory: &Path) -> Result<(), DiskError> {
        let path = path(directory);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::unusable(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if the store at `path` is behind the last revision written.
    pub(super) fn check(&self, path: &Path, revision: u64) -> Result<(), DiskError> {
        if revision >= self.written {
            return Ok(());
        }
        Err(DiskError::Behind {
            path: path.to_owned(),
            guard: self.path.clone(),
            revision,
            written: self.written,
        })
    }

    /// Records a commit.
    pub(super) fn record(&mut self, revision: u64) {
        self.written = revision;
        // Fixed width, so that each write overwrites the last. A stale (lower) number is harmless.
        if let Err(error) = self
            .file
            .write_all_at(format!("{revision:020}\n").as_bytes(), 0)
        {
            tracing::debug!(path = %self.path.display(), %error, "cannot record the last revision");
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("objects.revision")
}
