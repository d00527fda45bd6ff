//! A second word on the last revision that was written.
//!
//! redb answers a damaged last commit by going back to the one before, without a word. A number beside the file, written
//! after each commit and never waited for, shows that: the file may be ahead of it, never behind.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::DiskError;

pub struct Witness {
    path: PathBuf,
    file: File,
    /// The last revision it knows.
    written: u64,
}

impl Witness {
    /// Opens the one of `directory`, or makes it. One that cannot be read as a number says nothing.
    pub fn open(directory: &Path) -> Result<Self, DiskError> {
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

    /// Removes the one of `directory`.
    pub fn forget(directory: &Path) -> Result<(), DiskError> {
        let path = path(directory);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::unusable(&path, error))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a file at `path` that ends before what was written.
    pub fn check(&self, path: &Path, revision: u64) -> Result<(), DiskError> {
        if revision >= self.written {
            return Ok(());
        }
        Err(DiskError::Behind {
            path: path.to_owned(),
            witness: self.path.clone(),
            revision,
            written: self.written,
        })
    }

    /// Takes note of a commit.
    pub fn note(&mut self, revision: u64) {
        self.written = revision;
        // All of the same length: one write over the last. A number that is too low accuses nobody.
        if let Err(error) = self
            .file
            .write_all_at(format!("{revision:020}\n").as_bytes(), 0)
        {
            tracing::debug!(path = %self.path.display(), %error, "the last revision is not noted");
        }
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("objects.revision")
}
