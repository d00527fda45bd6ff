//! Reads files of a project safely: never blocks on a pipe, never reads a device, and bounds the size.

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
};

use crate::{
    files::{ReadError, read_bounded_with_metadata},
    tasks::read::MAX_FILE_SIZE,
};

/// Error from loading a plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{} is {what}, not a file", .path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{}: the file is {} MB; the limit is {} MB", .path.display(), .size >> 20, MAX_FILE_SIZE >> 20)]
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
        io::ErrorKind::NotFound => "file not found".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".into(),
        // `ErrorKind::FilesystemLoop` is unstable.
        _ if error.raw_os_error() == Some(nix::libc::ELOOP) => "symbolic link loop".into(),
        _ => error.to_string(),
    }
}

/// Reads the plan at `path`. Blocks on the disk only.
///
/// # Errors
/// If there is no regular file, it is too large, or it cannot be read. The message names the path.
pub fn load(path: &Path) -> Result<Vec<u8>, LoadError> {
    load_with_metadata(path).map(|(bytes, _)| bytes)
}

/// Like [`load`], also returns the metadata of the file read.
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
