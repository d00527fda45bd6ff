//! The file that lines are written away to when memory is full. It has no name, so that it goes with the program, and only
//! this program can read it; when it is full the oldest lines make room.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use super::{segment::Segment, store::LineId};

/// Bytes of the file.
const LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// Where a segment is in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first: LineId,
    lines: usize,
    /// When its first line came.
    pub(super) begins: Option<i64>,
    offset: u64,
    length: usize,
}

impl Place {
    /// Whether one of them must go for the other.
    pub(super) const fn overlaps(&self, other: &Self) -> bool {
        self.offset < other.offset + other.length as u64
            && other.offset < self.offset + self.length as u64
    }
}

/// The file, once there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Away {
    file: Option<Arc<File>>,
    /// Where the next segment goes.
    end: u64,
    failed: bool,
}

impl Away {
    /// Whether the disk did not obey: what has no room in memory falls out.
    pub(super) const fn failed(&self) -> bool {
        self.failed
    }

    pub(super) const fn fail(&mut self) {
        self.failed = true;
    }

    /// Takes in the file that was written to; `None` when that failed.
    pub(super) fn opened(&mut self, file: Option<Arc<File>>) {
        self.failed |= file.is_none();
        self.file = file.or(self.file.take());
    }

    /// The place of the next segment.
    pub(super) fn reserve(&mut self, segment: &Segment) -> Place {
        let length = segment.written();
        if self.end + length as u64 > LIMIT {
            self.end = 0;
        }
        let offset = self.end;
        self.end += length as u64;
        Place {
            first: segment.first(),
            lines: segment.lines(),
            begins: segment.begins(),
            offset,
            length,
        }
    }

    /// Writes segments to their places, in a new file if there is none yet. Blocks.
    pub(super) fn write(&self, segments: &[(Place, Arc<Segment>)]) -> io::Result<Arc<File>> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(unnamed()?),
        };
        for (place, segment) in segments {
            file.write_all_at(&segment.write(), place.offset)?;
        }
        Ok(file)
    }

    /// Reads a segment back; `None` if the file does not give it. Blocks.
    pub(super) fn read(&self, place: &Place) -> Option<Arc<Segment>> {
        let mut bytes = vec![0; place.length];
        self.file
            .as_ref()?
            .read_exact_at(&mut bytes, place.offset)
            .ok()?;
        Segment::read(place.first, place.lines, &bytes).map(Arc::new)
    }
}

/// A new file on a disk: the usual place for such files is often in memory.
fn unnamed() -> io::Result<File> {
    tempfile::tempfile_in(Path::new("/var/tmp")).or_else(|_| tempfile::tempfile())
}
