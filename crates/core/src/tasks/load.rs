//! Gets a plan's bytes from disk, whatever stands at its path: a pipe never blocks, a device is never read.

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
};

use super::MAX_FILE_SIZE;
use crate::files::{ReadError, read_bounded_with_metadata};

/// Why a plan could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{} is {what}, not a file", .path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{}: the file has {} MB; plans are read up to {} MB", .path.display(), .size >> 20, MAX_FILE_SIZE >> 20)]
    TooLarge {
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
    #[error("{}: {}", .path.display(), reason(.source))]
    Io { path: PathBuf, source: io::Error },
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        io::ErrorKind::PermissionDenied => "it may not be read".into(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".into(),
        // `FilesystemLoop` is not stable yet.
        _ if error.raw_os_error() == Some(nix::libc::ELOOP) => {
            "its symbolic links lead in a circle".into()
        }
        _ => error.to_string(),
    }
}

/// The bytes of the plan at `path`. Blocks, but for no longer than a disk does.
///
/// # Errors
/// When there is no regular file, or it cannot be read. Each names the path.
pub fn load(path: &Path) -> Result<Vec<u8>, LoadError> {
    load_with_metadata(path).map(|(bytes, _)| bytes)
}

/// The same with the metadata of the file that was read.
pub(super) fn load_with_metadata(path: &Path) -> Result<(Vec<u8>, Metadata), LoadError> {
    let owned = || path.to_owned();
    read_bounded_with_metadata(path, MAX_FILE_SIZE).map_err(|error| match error {
        ReadError::NotAFile { what } => LoadError::NotAFile {
            path: owned(),
            what,
        },
        ReadError::TooLarge { size, .. } => LoadError::TooLarge {
            path: owned(),
            size,
        },
        ReadError::Io(source) => LoadError::Io {
            path: owned(),
            source,
        },
    })
}
