//! The files of a log. A log is a sequence of segments. The last one is open and appended to; the others are sealed:
//! compressed and immutable.
//!
//! ```text
//! log/000000-0.jsonl.gz          sealed: gzip members, each of complete lines (readable with zcat)
//!     000001-6311.jsonl          open: "<CRC-32 of the line> <line>"
//!         |     '--------------- lines before this segment, so that names suffice to find a line
//!         '--------------------- number of the segment
//! ```
//!
//! The head of a segment declares all sources used in it, so that a damaged segment does not affect others.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, Crc, bufread::GzDecoder, write::GzEncoder};
use nix::fcntl::{Flock, FlockArg};

use super::{
    LedgerError, file,
    file::failed,
    line::{Head, Line},
};

/// Uncompressed size of a gzip member: what is lost when one is damaged, and what must be read to get the first line.
const MEMBER: usize = 128 * 1024;
/// Maximum uncompressed size of a sealed segment; a larger one is damaged. Open segments are sealed far below it.
const DECOMPRESSED_LIMIT: u64 = 64 * 1024 * 1024;
/// Length of a checksum in hex with the following space.
const CHECK: usize = 9;
const OPEN: &str = ".jsonl";
const SEALED: &str = ".jsonl.gz";

/// A segment on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) serial: u32,
    /// Lines of text before it.
    pub(super) line: u64,
    pub(super) sealed: bool,
    /// Size on disk.
    pub(super) bytes: u64,
}

/// The readable content of a segment.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Intact lines, without checksums.
    pub(super) lines: Vec<Vec<u8>>,
    /// Damaged lines between intact ones.
    pub(super) damaged: u64,
    /// The end is missing or unreadable.
    pub(super) torn: bool,
    /// Length of an open segment up to the end of its last intact line.
    pub(super) valid_len: u64,
}

impl Segment {
    fn parse(name: &str, bytes: u64) -> Option<Self> {
        let (stem, sealed) = match name.strip_suffix(SEALED) {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(OPEN)?, false),
        };
        let (serial, line) = stem.split_once('-')?;
        Some(Self {
            serial: serial.parse().ok()?,
            line: line.parse().ok()?,
            sealed,
            bytes,
        })
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        let end = if self.sealed { SEALED } else { OPEN };
        folder.join(format!("{:06}-{}{end}", self.serial, self.line))
    }

    /// Returns the same segment in the other state.
    fn other_form(&self) -> Self {
        Self {
            sealed: !self.sealed,
            ..self.clone()
        }
    }

    /// Reads the segment in its current state; a writer may seal it at any time.
    pub(super) fn read(&self, folder: &Path) -> Result<Content, LedgerError> {
        match self.read_current(folder) {
            Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.other_form().read_current(folder)
            }
            read => read,
        }
    }

    fn read_current(&self, folder: &Path) -> Result<Content, LedgerError> {
        let path = self.path(folder);
        let bytes = std::fs::read(&path).map_err(failed(&path))?;
        Ok(if self.sealed {
            decompress(&bytes)
        } else {
            parse_open(&bytes)
        })
    }

    /// Compresses the segment. Crash-safe: at least one form always exists, and if both exist the sealed one is
    /// complete.
    pub(super) fn seal(&self, folder: &Path) -> Result<Self, LedgerError> {
        let content = self.read_current(folder)?;
        let sealed = self.other_form();
        let path = sealed.path(folder);
        let compress = compress(&content.lines).map_err(failed(&path))?;
        file::replace(&path, &compress)?;
        let open = self.path(folder);
        std::fs::remove_file(&open).map_err(failed(&open))?;
        Ok(Self {
            bytes: compress.len() as u64,
            ..sealed
        })
    }

    pub(super) fn remove(&self, folder: &Path) -> Result<(), LedgerError> {
        let path = self.path(folder);
        std::fs::remove_file(&path).map_err(failed(&path))
    }

    /// Opens the segment for appending after its first `valid_len` bytes, and truncates the rest. The file is locked
    /// while it is written.
    pub(super) fn open(&self, folder: &Path, valid_len: u64) -> Result<Flock<File>, LedgerError> {
        let path = self.path(folder);
        let file = file::open(&path)?;
        // Waits at most for a reader in `is_written`.
        let locked = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into());
        let mut file = locked.map_err(failed(&path))?;
        let cut = file
            .set_len(valid_len)
            .and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(failed(&path))?;
        Ok(file)
    }

    /// Returns whether a process is writing the segment; its last line may then be incomplete.
    pub(super) fn is_written(&self, folder: &Path) -> bool {
        let file = File::open(self.path(folder));
        file.is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
    }

    /// Returns the segment's head; `None` if it is unreadable.
    pub(super) fn head(&self, folder: &Path) -> Result<Option<Head>, LedgerError> {
        let first = self.read(folder)?.lines.into_iter().next();
        Ok(match first.and_then(|line| Line::read(&line)) {
            Some(Line::Head { head }) => Some(head),
            _ => None,
        })
    }
}

/// Returns the segments of a log in order; empty if there is no log. If a crash left both forms of a segment, returns
/// the sealed one.
pub(super) fn list(folder: &Path) -> Result<Vec<Segment>, LedgerError> {
    let items = match std::fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut found = Vec::new();
    for item in items {
        let item = item.map_err(failed(folder))?;
        // If it was sealed meanwhile, the sealed form is listed too or is found on reading.
        let bytes = item.metadata().map_or(0, |metadata| metadata.len());
        found.extend(
            item.file_name()
                .to_str()
                .and_then(|name| Segment::parse(name, bytes)),
        );
    }
    found.sort_by_key(|segment| (segment.serial, !segment.sealed));
    found.dedup_by_key(|segment| segment.serial);
    Ok(found)
}

/// Appends a line in the format of an open segment.
pub(super) fn write_checked(out: &mut Vec<u8>, line: &[u8]) {
    let mut crc = Crc::new();
    crc.update(line);
    out.extend_from_slice(format!("{:08x} ", crc.sum()).as_bytes());
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Parses an open segment.
fn parse_open(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let mut at = 0_u64;
    // Unreadable lines since the last intact one.
    let mut bad = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += piece.len() as u64;
        if let Some(line) = check(piece) {
            content.damaged += std::mem::take(&mut bad);
            content.lines.push(line.to_vec());
            content.valid_len = at;
        } else {
            bad += 1;
        }
    }
    content.torn = bad > 0;
    content
}

fn check(piece: &[u8]) -> Option<&[u8]> {
    let piece = piece.strip_suffix(b"\n")?;
    let (digits, line) = piece.split_at_checked(CHECK)?;
    let digits = std::str::from_utf8(digits.strip_suffix(b" ")?).ok()?;
    let mut crc = Crc::new();
    crc.update(line);
    (format!("{:08x}", crc.sum()) == digits).then_some(line)
}

fn compress(lines: &[Vec<u8>]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut member = Vec::new();
    let flush = |member: &mut Vec<u8>, out: &mut Vec<u8>| {
        if member.is_empty() {
            return Ok(());
        }
        let mut encoder = GzEncoder::new(out, Compression::new(4));
        encoder.write_all(member)?;
        member.clear();
        encoder.finish().map(drop)
    };
    for line in lines {
        member.extend_from_slice(line);
        member.push(b'\n');
        if member.len() >= MEMBER {
            flush(&mut member, &mut out)?;
        }
    }
    flush(&mut member, &mut out)?;
    Ok(out)
}

/// Decompresses a sealed segment up to the first damaged member.
fn decompress(mut bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let mut left = DECOMPRESSED_LIMIT;
    let mut member = Vec::new();
    while !bytes.is_empty() {
        member.clear();
        let mut decoder = GzDecoder::new(bytes).take(left);
        // `read_to_end` fails on a bad checksum, so lines of a damaged member are never returned.
        if decoder.read_to_end(&mut member).is_err() || member.last() != Some(&b'\n') {
            content.torn = true;
            break;
        }
        left = decoder.limit();
        bytes = decoder.into_inner().into_inner();
        let lines = member[..member.len() - 1].split(|byte| *byte == b'\n');
        content.lines.extend(lines.map(<[u8]>::to_vec));
    }
    content.torn |= content.lines.is_empty();
    content
}
