//! Files and directories that only their owner can access.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::LedgerError;

/// Returns a function that adds `path` to an I/O error.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> LedgerError + use<> {
    let path = path.to_owned();
    move |source| LedgerError::Io {
        path: path.clone(),
        source,
    }
}

pub(super) fn make_directory(path: &Path) -> Result<(), LedgerError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed(path))
}

/// Opens a file for reading and writing without truncating it; creates it if it does not exist.
pub(super) fn open(path: &Path) -> Result<File, LedgerError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed(path))
}

/// Replaces a file atomically, also across a crash.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    // A unique name, because threads of one process may replace the same file concurrently.
    let beside = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| {
        // Do not leave a partial file on a full disk.
        drop(std::fs::remove_file(&beside));
        failed(path)(error)
    })
}
