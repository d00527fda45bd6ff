//! Why the store's file cannot be used, in words that say what to do about it.

use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
};

use super::CURRENT_FORMAT;

/// Why the store cannot be used. Each names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("{path}: {source}; the embedded cluster keeps its objects there")]
    Unusable { path: PathBuf, source: io::Error },
    #[error("{path} is full, or may not grow ({source}); free some space and try again")]
    Full { path: PathBuf, source: io::Error },
    #[error("{path} is in use by another process")]
    InUse { path: PathBuf },
    #[error(
        "{path} is damaged or no store of objects ({what}); put back a copy of it, or move it aside to begin with an empty cluster"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "{path} is of format {found}, and this version reads format {CURRENT_FORMAT}; use the version that wrote it, or move it aside to begin with an empty cluster"
    )]
    Format { path: PathBuf, found: u64 },
    #[error(
        "{path} has lost writes: it ends at revision {revision}, but {written} was reached; put back a copy of it, or remove {witness} to go on without them"
    )]
    Behind {
        path: PathBuf,
        witness: PathBuf,
        revision: u64,
        written: u64,
    },
    #[error("cannot start the store's thread: {0}")]
    Thread(#[source] io::Error),
}

impl DiskError {
    /// An error of the system at `path`.
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

/// What went wrong with a file whose name the caller knows.
pub(super) enum Broken {
    Damaged(String),
    Format(u64),
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Broken {
    pub(super) fn at(self, path: &Path) -> DiskError {
        let path = path.to_owned();
        match self {
            Self::Damaged(what) => DiskError::Damaged { path, what },
            Self::Format(found) => DiskError::Format { path, found },
            Self::Redb(redb::Error::DatabaseAlreadyOpen) => DiskError::InUse { path },
            // redb says so of a file that is none of its own, or ends too early.
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

/// What a panic said.
pub fn spoken(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".to_owned())
}
