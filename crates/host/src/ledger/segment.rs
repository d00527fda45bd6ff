//! The files a log is kept in. A log is a row of segments: the last one is open and written line by line, the others are
//! sealed, which compresses them and never changes them again.
//!
//! ```text
//! log/000000-0.jsonl.gz          sealed: gzip members, each of whole lines (zcat reads it)
//!     000001-6311.jsonl          open: "<CRC-32 of the line> <line>"
//!         |     '--------------- lines of text before this segment: with the names alone any line is found
//!         '--------------------- counts the segments
//! ```
//!
//! The first line of a segment tells all that its lines refer to, so that one that is damaged takes no other with it.

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

/// Bytes of text of one gzip member: what is lost when one is damaged, and what must be read to see the first line.
const MEMBER: usize = 128 * 1024;
/// Most bytes that a sealed segment may unpack to; one that claims more is damaged. An open one is sealed far below.
const UNPACKED_LIMIT: u64 = 64 * 1024 * 1024;
/// Hex digits of a checksum, and the space behind.
const CHECK: usize = 9;
const OPEN: &str = ".jsonl";
const SEALED: &str = ".jsonl.gz";

/// One segment on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) serial: u32,
    /// Lines of text before it.
    pub(super) line: u64,
    pub(super) sealed: bool,
    /// On disk.
    pub(super) bytes: u64,
}

/// What could be read of a segment.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Whole lines, without checksums; a line that was damaged is not among them.
    pub(super) lines: Vec<Vec<u8>>,
    /// Lines left out in the middle.
    pub(super) damaged: u64,
    /// The end is missing or unreadable.
    pub(super) torn: bool,
    /// Bytes of an open segment up to the end of its last good line.
    pub(super) whole: u64,
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

    /// The same segment in its other form.
    fn other(&self) -> Self {
        Self {
            sealed: !self.sealed,
            ..self.clone()
        }
    }

    /// Reads it, in whichever form it is by now: a writer may seal it at any time.
    pub(super) fn read(&self, folder: &Path) -> Result<Content, LedgerError> {
        match self.read_as_it_is(folder) {
            Err(LedgerError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.other().read_as_it_is(folder)
            }
            read => read,
        }
    }

    fn read_as_it_is(&self, folder: &Path) -> Result<Content, LedgerError> {
        let path = self.path(folder);
        let bytes = std::fs::read(&path).map_err(failed(&path))?;
        Ok(if self.sealed {
            unpacked(&bytes)
        } else {
            checked(&bytes)
        })
    }

    /// Compresses it. There is always one form or the other, even after a crash; with both, the sealed one is whole.
    pub(super) fn seal(&self, folder: &Path) -> Result<Self, LedgerError> {
        let content = self.read_as_it_is(folder)?;
        let sealed = self.other();
        let path = sealed.path(folder);
        let packed = packed(&content.lines).map_err(failed(&path))?;
        file::replace(&path, &packed)?;
        let open = self.path(folder);
        std::fs::remove_file(&open).map_err(failed(&open))?;
        Ok(Self {
            bytes: packed.len() as u64,
            ..sealed
        })
    }

    /// Removes it.
    pub(super) fn remove(&self, folder: &Path) -> Result<(), LedgerError> {
        let path = self.path(folder);
        std::fs::remove_file(&path).map_err(failed(&path))
    }

    /// Opens it to go on writing after its first `whole` bytes; what is behind them goes. It is locked while it is written.
    pub(super) fn open(&self, folder: &Path, whole: u64) -> Result<Flock<File>, LedgerError> {
        let path = self.path(folder);
        let file = file::open(&path)?;
        // Waits at most for a reader that asks whether somebody writes.
        let locked = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into());
        let mut file = locked.map_err(failed(&path))?;
        let cut = file
            .set_len(whole)
            .and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(failed(&path))?;
        Ok(file)
    }

    /// Whether somebody writes it: its last line may be half there, and nothing is wrong.
    pub(super) fn is_written(&self, folder: &Path) -> bool {
        let file = File::open(self.path(folder));
        file.is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
    }

    /// What stands at its head; `None` when that cannot be read.
    pub(super) fn head(&self, folder: &Path) -> Result<Option<Head>, LedgerError> {
        let first = self.read(folder)?.lines.into_iter().next();
        Ok(match first.and_then(|line| Line::read(&line)) {
            Some(Line::Head { head }) => Some(head),
            _ => None,
        })
    }
}

/// The segments of a log in their order, none when there is no log. Of one that a crash left in both forms the sealed one.
pub(super) fn list(folder: &Path) -> Result<Vec<Segment>, LedgerError> {
    let items = match std::fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder)(error)),
    };
    let mut found = Vec::new();
    for item in items {
        let item = item.map_err(failed(folder))?;
        // One that was sealed since has been listed in its other form, or will be found when it is read.
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

/// A line as an open segment has it.
pub(super) fn write_checked(out: &mut Vec<u8>, line: &[u8]) {
    let mut crc = Crc::new();
    crc.update(line);
    out.extend_from_slice(format!("{:08x} ", crc.sum()).as_bytes());
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// The lines of an open segment.
fn checked(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let mut at = 0_u64;
    // Unreadable ones since the last good one.
    let mut bad = 0;
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += piece.len() as u64;
        if let Some(line) = check(piece) {
            content.damaged += std::mem::take(&mut bad);
            content.lines.push(line.to_vec());
            content.whole = at;
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

fn packed(lines: &[Vec<u8>]) -> io::Result<Vec<u8>> {
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

/// The lines of a sealed segment, up to the first member that is damaged.
fn unpacked(mut bytes: &[u8]) -> Content {
    let mut content = Content::default();
    let mut left = UNPACKED_LIMIT;
    let mut member = Vec::new();
    while !bytes.is_empty() {
        member.clear();
        let mut decoder = GzDecoder::new(bytes).take(left);
        // The checksum is compared at the end: nothing of a member is taken before.
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
