//! Errors of the store's file, with what to do about them.

use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
};

use super::CURRENT_FORMAT;

/// Reasons why the store cannot be used. Each names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot use the object store {path}: {source}")]
    Unusable { path: PathBuf, source: io::Error },
    #[error("cannot write the object store {path}: {source}; free some disk space and try again")]
    Full { path: PathBuf, source: io::Error },
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    #[error(
        "{path} is damaged or not an object store ({what}); restore a backup, or move it aside to start with an empty cluster"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} has format {found}, but this version reads format {CURRENT_FORMAT}; use the version that wrote it, or move it aside to start with an empty cluster"
    )]
    Format { path: PathBuf, found: u64 },
    #[error(
        "{path} has lost writes: it ends at revision {revision}, but revision {written} was written; restore a backup, or remove {guard} to continue without them"
    )]
    Behind {
        path: PathBuf,
        guard: PathBuf,
        revision: u64,
        written: u64,
    },
    #[error("cannot start the store's thread: {0}")]
    Thread(#[source] io::Error),
}

impl DiskError {
    /// Returns the error for a system error at `path`.
    pub(super) fn unusable(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { path, source },
            _ => Self::Unusable { path, source },
        }
    }
}

/// An error of the file, without its path.
pub(super) enum FileError {
    Damaged(String),
    Format(u64),
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for FileError {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl FileError {
    pub(super) fn at(self, path: &Path) -> DiskError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) => DiskError::Damaged { path, what },
            Self::Format(found) => DiskError::Format { path, found },
            Self::Redb(redb::Error::DatabaseAlreadyOpen) => DiskError::InUse { path },
            // redb reports a foreign or truncated file with these kinds.
            Self::Redb(redb::Error::Io(error))
                if !matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                DiskError::unusable(&path, error)
            }
            Self::Redb(other) => DiskError::Damaged {
                path,
                what: other.to_string(),
            },
        }
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked".to_owned())
}
