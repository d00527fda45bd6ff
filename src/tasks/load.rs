//! Gets a plan's bytes from disk, whatever stands at its path: a pipe never blocks, a device is never read.

use std::{
    fs::{File, FileType, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::LARGEST;

/// Why a plan could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{} is {what}, not a file", .path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{}: the file has {} MB; plans are read up to {} MB", .path.display(), .size >> 20, LARGEST >> 20)]
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
    let failed = |source| LoadError::Io {
        path: path.to_owned(),
        source,
    };
    let not_a_file = |kind| LoadError::NotAFile {
        path: path.to_owned(),
        what: word(kind),
    };
    // Asked before it is opened, since a socket cannot be and opening a device may do something; asked again after, since it may have
    // been replaced. Not blocking, since a pipe that nobody writes into would.
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if !kind.is_file() {
        return Err(not_a_file(kind));
    }
    let mut file: File = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(not_a_file(metadata.file_type()));
    }
    let too_large = |size| LoadError::TooLarge {
        path: path.to_owned(),
        size,
    };
    if metadata.len() > LARGEST {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    let mut limited = (&mut file).take(LARGEST + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(bytes.len() as u64));
    }
    Ok((bytes, metadata))
}

fn word(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
