//! The spill file: takes the oldest segments when memory is full. It has no name, so that it disappears with the process
//! and no other process can open it. A full file overwrites its oldest segments.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use super::{line::LineId, segment::Segment};

/// Size limit of the file in bytes.
const LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// The location of a segment in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpilledSegment {
    pub(super) first: LineId,
    lines: usize,
    /// Time of the first line.
    pub(super) start: Option<i64>,
    offset: u64,
    length: usize,
}

impl SpilledSegment {
    /// Whether the two share bytes of the file.
    pub(super) const fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.offset + other.length as u64
            && other.offset < self.offset + self.length as u64
    }
}

/// The file, created on first use.
#[derive(Clone, Debug, Default)]
pub(super) struct Spill {
    file: Option<Arc<File>>,
    /// Where the next segment goes.
    end: u64,
    failed: bool,
}

impl Spill {
    /// Whether reading or writing failed. Lines that do not fit in memory are dropped then.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }

    pub(super) const fn fail(&mut self) {
        self.failed = true;
    }

    /// Stores the file after a write; `None` if the write failed.
    pub(super) fn opened(&mut self, file: Option<Arc<File>>) {
        self.failed |= file.is_none();
        self.file = file.or(self.file.take());
    }

    /// Allocates the location of a segment.
    pub(super) fn reserve(&mut self, segment: &Segment) -> SpilledSegment {
        let length = segment.serialised_len();
        if self.end + length as u64 > LIMIT {
            self.end = 0;
        }
        let offset = self.end;
        self.end += length as u64;
        SpilledSegment {
            first: segment.first(),
            lines: segment.lines(),
            start: segment.start(),
            offset,
            length,
        }
    }

    /// Writes segments to their locations, and creates the file if needed. Blocks.
    pub(super) fn write(
        &self,
        segments: &[(SpilledSegment, Arc<Segment>)],
    ) -> io::Result<Arc<File>> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(unnamed()?),
        };
        for (location, segment) in segments {
            file.write_all_at(&segment.write(), location.offset)?;
        }
        Ok(file)
    }

    /// Reads a segment back. `None` on failure. Blocks.
    pub(super) fn read(&self, location: &SpilledSegment) -> Option<Arc<Segment>> {
        let mut bytes = vec![0; location.length];
        self.file
            .as_ref()?
            .read_exact_at(&mut bytes, location.offset)
            .ok()?;
        Segment::read(location.first, location.lines, &bytes).map(Arc::new)
    }
}

/// Creates an unnamed file, preferably not on a RAM disk as `/tmp` often is.
fn unnamed() -> io::Result<File> {
    tempfile::tempfile_in(Path::new("/var/tmp")).or_else(|_| tempfile::tempfile())
}
