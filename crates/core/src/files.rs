//! Reads untrusted files: of a repository, an agent or another container.
//!
//! The path may be a pipe, which blocks the reader forever, or a device or file of unlimited size, which fills the memory. The
//! size in the metadata is not reliable: that of `/dev/zero` is 0.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use crate::text;

/// Why a file was not read. Does not name the path: the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("it is {what}, not a file")]
    NotAFile { what: &'static str },
    #[error("the file has more than {limit} bytes")]
    TooLarge {
        /// In bytes; at least so many.
        size: u64,
        limit: u64,
    },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Reads a regular file of at most `limit` bytes. Follows symbolic links. Never blocks for longer than a disk does.
///
/// # Errors
/// When something else than a regular file is at `path`, it is larger, or it cannot be read.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    read_bounded_with_metadata(path, limit).map(|(bytes, _)| bytes)
}

/// The same with the metadata of the file that was read.
///
/// # Errors
/// As [`read_bounded`].
pub fn read_bounded_with_metadata(
    path: &Path,
    limit: u64,
) -> Result<(Vec<u8>, Metadata), ReadError> {
    let (mut file, metadata) = open_regular(path)?;
    let too_large = |size| ReadError::TooLarge { size, limit };
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // The file may have grown since.
    (&mut file).take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok((bytes, metadata))
}

/// Opens a regular file for reading.
///
/// # Errors
/// When something else than a regular file is at `path`, or it cannot be opened.
pub fn open_regular(path: &Path) -> Result<(File, Metadata), ReadError> {
    // Looked at before it is opened, since opening a device may have an effect and a socket cannot be opened at all; and again
    // after, since it may have been replaced in between.
    regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        // Without this, opening a pipe waits for a writer.
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata))
}

fn regular(metadata: &Metadata) -> Result<(), ReadError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        Ok(())
    } else {
        Err(ReadError::NotAFile { what: word(kind) })
    }
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

/// Most bytes of a log that are searched for its last line.
const TAIL: u64 = 4096;

/// Returns the last line that is not empty after the first `from` bytes, sanitised and without this program's name before it.
pub fn last_line(log: &mut File, from: u64) -> Option<String> {
    let end = log.seek(SeekFrom::End(0)).ok()?;
    log.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL))))
        .ok()?;
    let mut bytes = Vec::new();
    log.take(TAIL).read_to_end(&mut bytes).ok()?;
    let all = String::from_utf8_lossy(&bytes);
    let line = all.lines().rev().find(|line| !line.trim().is_empty())?;
    let line = line.strip_prefix("flightdeck: ").unwrap_or(line);
    Some(text::sanitize(line.trim()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use super::*;

    #[test]
    fn reads_only_regular_files_within_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("fits"), "12345").unwrap();
        fs::write(at("larger"), "123456").unwrap();
        fs::create_dir(at("folder")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink(at("fits"), at("link")).unwrap();
        symlink("/dev/zero", at("endless")).unwrap();
        symlink("round", at("round")).unwrap();
        for (name, expected) in [
            ("fits", "12345"),
            ("link", "12345"),
            ("larger", "the file has more than 5 bytes"),
            ("folder", "it is a directory, not a file"),
            ("pipe", "it is a pipe, not a file"),
            ("socket", "it is a socket, not a file"),
            ("endless", "it is a device, not a file"),
        ] {
            let read = match read_bounded(&at(name), 5) {
                Ok(bytes) => String::from_utf8(bytes).unwrap(),
                Err(error) => error.to_string(),
            };
            assert_eq!(read, expected, "{name}");
        }
        for name in ["missing", "round"] {
            let read = read_bounded(&at(name), 5);
            assert!(matches!(read, Err(ReadError::Io(_))), "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_with_reported_size_0_is_limited() {
        // A regular file whose reported size is 0, although it has content.
        let path = Path::new("/proc/self/environ");
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
        let read = read_bounded(path, 1);
        assert!(matches!(read, Err(ReadError::TooLarge { .. })), "{read:?}");
    }
}
