//! Files and folders that only their owner may read.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::LedgerError;

/// The error of a path.
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

/// Opens for reading and writing, made when it is not there; what is in it stays.
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

/// Writes a whole file: there is always the old one or the new one, even after a crash.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    // Threads of one process may write the same file at the same time, too.
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
        // A full disk must not be filled further by what did not fit.
        drop(std::fs::remove_file(&beside));
        failed(path)(error)
    })
}
