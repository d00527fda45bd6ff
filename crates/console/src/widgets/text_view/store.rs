//! Append-only lines, addressed by number. The newest lines are in memory, older ones in the spill file; the oldest are
//! dropped when the file is full.
//!
//! Lines are grouped in segments, so that a line has an overhead of fifteen bytes. A number is never reused. Segments are
//! shared: a clone of a store is cheap, for searching on another thread. Only functions documented as blocking use the disk.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use super::{
    line::{Line, LineId},
    segment::Segment,
    spill::{Spill, SpilledSegment},
};

/// Bytes of text in a segment. A longer line has its own segment.
const SEGMENT: usize = 64 * 1024;
/// Maximum number of cached segments from the file.
const CACHED: usize = 128;

/// A segment in memory or in the file.
#[derive(Clone, Debug)]
enum Slot {
    InMemory(Arc<Segment>),
    Spilled(SpilledSegment),
}

impl Slot {
    fn first(&self) -> LineId {
        match self {
            Self::InMemory(segment) => segment.first(),
            Self::Spilled(location) => location.first,
        }
    }

    fn start(&self) -> Option<i64> {
        match self {
            Self::InMemory(segment) => segment.start(),
            Self::Spilled(location) => location.start,
        }
    }
}

/// The lines.
#[derive(Clone, Debug)]
pub struct Store {
    slots: VecDeque<Slot>,
    next: LineId,
    /// Time of the first line that has one.
    start: Option<i64>,
    /// Bytes in memory, and their limit.
    bytes: usize,
    limit: usize,
    spill: Spill,
    /// Segments read back from the file, newest read first.
    cached: VecDeque<Arc<Segment>>,
}

impl Store {
    /// Returns an empty store that keeps about `limit` bytes in memory, and up to a quarter more before they are spilled.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            next: 0,
            start: None,
            bytes: 0,
            limit,
            spill: Spill::default(),
            cached: VecDeque::new(),
        }
    }

    /// Appends a line, which must not contain a line break.
    pub fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        self.push_raw(text, None, at, tag);
    }

    /// Appends a line with its original bytes if they are not UTF-8. `text` is the lossy conversion.
    pub fn push_raw(&mut self, text: &str, raw: Option<&[u8]>, at: Option<i64>, tag: u16) {
        let fits = matches!(self.slots.back(), Some(Slot::InMemory(last)) if last.text().len() + text.len() < SEGMENT);
        if !fits {
            if let Some(Slot::InMemory(last)) = self.slots.back_mut() {
                Arc::make_mut(last).seal();
            }
            let segment = Segment::new(self.next, SEGMENT.max(text.len() + 1));
            self.slots.push_back(Slot::InMemory(Arc::new(segment)));
        }
        // Clones the segment only if a background task shares it.
        if let Some(Slot::InMemory(last)) = self.slots.back_mut() {
            let last = Arc::make_mut(last);
            let before = last.bytes();
            last.push(text, at, tag);
            if let Some(raw) = raw {
                last.keep_raw(raw);
            }
            self.bytes += last.bytes() - before;
        }
        self.start = self.start.or(at);
        self.next += 1;
        while self.bytes > self.limit.saturating_add(self.limit / 4) && self.slots.len() > 1 {
            if let Some(Slot::InMemory(gone)) = self.slots.pop_front() {
                self.bytes -= gone.bytes();
            }
        }
    }

    /// Returns the oldest line, which is also the number of dropped lines.
    #[must_use]
    pub fn first(&self) -> LineId {
        self.slots.front().map_or(self.next, Slot::first)
    }

    /// Returns the number of the next line, which is also the number of lines ever added.
    #[must_use]
    pub const fn next(&self) -> LineId {
        self.next
    }

    /// Returns the time of the first line that has one.
    #[must_use]
    pub const fn start(&self) -> Option<i64> {
        self.start
    }

    /// Returns the approximate bytes in memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot_of(&self, id: LineId) -> Option<&Slot> {
        let behind = self.slots.partition_point(|slot| slot.first() <= id);
        self.slots.get(behind.checked_sub(1)?)
    }

    /// Returns the segment of a slot if it is in memory or cached.
    fn loaded(&self, slot: &Slot) -> Option<Arc<Segment>> {
        match slot {
            Slot::InMemory(segment) => Some(Arc::clone(segment)),
            Slot::Spilled(location) => {
                let mut known = self.cached.iter();
                known
                    .find(|segment| segment.first() == location.first)
                    .cloned()
            }
        }
    }

    /// Calls `show` with a line, if it is loaded.
    pub fn with<T>(&self, id: LineId, show: impl FnOnce(&Line<'_>) -> T) -> Option<T> {
        let segment = self.loaded(self.slot_of(id)?)?;
        let line = segment.line((id - segment.first()) as usize)?;
        Some(show(&line))
    }

    /// Whether a line is in the file and not cached.
    #[must_use]
    pub fn is_spilled(&self, id: LineId) -> bool {
        let slot = self.slot_of(id);
        id < self.next && slot.is_some_and(|slot| self.loaded(slot).is_none())
    }

    /// Returns the first line not older than `at`. Lines without a time count as their neighbours.
    #[must_use]
    pub fn since(&self, at: i64) -> LineId {
        let old = |slot: &&Slot| slot.start().is_some_and(|time| time < at);
        let Some(slot) = self.slots.iter().rev().find(old) else {
            return self.first();
        };
        // A segment that is not loaded counts as a whole.
        let within = self.loaded(slot).map_or(0, |segment| segment.since(at));
        slot.first() + within as u64
    }

    /// Calls `each` with the lines from `from` on, until it returns `false`. With `reads`, spilled lines are read from the
    /// file, which blocks; without, it stops at the first line that is not loaded.
    pub fn walk(&self, from: LineId, reads: bool, mut each: impl FnMut(&Line<'_>) -> bool) {
        self.walk_segments(from, reads, |segment| {
            let skip = from.saturating_sub(segment.first()) as usize;
            let mut lines = (skip..segment.lines()).filter_map(|index| segment.line(index));
            lines.all(|line| each(&line))
        });
    }

    /// Like [`Self::walk`], by segments, starting with the one that contains `from`.
    pub(super) fn walk_segments(
        &self,
        from: LineId,
        reads: bool,
        mut each: impl FnMut(&Segment) -> bool,
    ) {
        let behind = self.slots.partition_point(|slot| slot.first() <= from);
        for slot in self.slots.iter().skip(behind.saturating_sub(1)) {
            let segment = match (self.loaded(slot), slot) {
                (Some(segment), _) => segment,
                (None, Slot::Spilled(location)) if reads => match self.spill.read(location) {
                    Some(segment) => segment,
                    // The file failed, or the segment was overwritten.
                    None => continue,
                },
                (None, _) => return,
            };
            if !each(&segment) {
                return;
            }
        }
    }

    /// Returns the segments to spill next, with their locations; none while there is room in memory. Drops the segments
    /// that they overwrite.
    pub(super) fn next_to_spill(&mut self) -> Vec<(SpilledSegment, Arc<Segment>)> {
        if self.bytes <= self.limit || self.spill.failed() {
            return Vec::new();
        }
        // Spill a little more, so that it happens less often.
        let mut left = self.bytes - self.limit + self.limit / 16;
        let last = self.slots.len().saturating_sub(1);
        let mut chosen = Vec::new();
        for slot in self.slots.range(..last) {
            let Slot::InMemory(segment) = slot else {
                continue;
            };
            if left == 0 {
                break;
            }
            left = left.saturating_sub(segment.bytes());
            chosen.push((self.spill.reserve(segment), Arc::clone(segment)));
        }
        for (location, _) in &chosen {
            while matches!(self.slots.front(), Some(Slot::Spilled(old)) if old.overlaps(location)) {
                self.slots.pop_front();
            }
        }
        chosen
    }

    /// Writes segments to the file. Blocks.
    pub(super) fn write(
        &self,
        segments: &[(SpilledSegment, Arc<Segment>)],
    ) -> io::Result<Arc<File>> {
        self.spill.write(segments)
    }

    /// Replaces segments by their locations after a write; `file` is `None` if the write failed.
    pub(super) fn spilled(&mut self, file: Option<Arc<File>>, locations: Vec<SpilledSegment>) {
        self.spill.opened(file);
        if self.spill.failed() {
            return;
        }
        for location in locations {
            let at = self
                .slots
                .partition_point(|slot| slot.first() < location.first);
            if let Some(slot) = self.slots.get_mut(at)
                && let Slot::InMemory(segment) = slot
                && segment.first() == location.first
            {
                self.bytes -= segment.bytes();
                *slot = Slot::Spilled(location);
            }
        }
    }

    /// Whether a segment is in the file.
    pub(super) fn has_spilled(&self) -> bool {
        !self.spill.failed() && matches!(self.slots.front(), Some(Slot::Spilled(_)))
    }

    /// Whether segments have to be spilled.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes > self.limit && !self.spill.failed()
    }

    /// Returns the locations of the segments of `lines`, and of their neighbours, that are not loaded.
    pub(super) fn missing(&self, lines: impl IntoIterator<Item = LineId>) -> Vec<SpilledSegment> {
        let behind = |id: LineId| self.slots.partition_point(|slot| slot.first() <= id);
        let mut wanted: Vec<usize> = lines.into_iter().map(behind).collect();
        wanted.extend(wanted.last().map(|last| last + 1));
        wanted.extend(wanted.first().and_then(|first| first.checked_sub(1)));
        wanted.sort_unstable();
        wanted.dedup();
        let slots = wanted
            .into_iter()
            .filter_map(|behind| self.slots.get(behind.checked_sub(1)?));
        slots
            .filter(|slot| self.loaded(slot).is_none())
            .filter_map(|slot| match slot {
                Slot::Spilled(location) => Some(location.clone()),
                Slot::InMemory(_) => None,
            })
            .collect()
    }

    /// Reads segments from the file. Blocks.
    pub(super) fn read(&self, locations: &[SpilledSegment]) -> Vec<Arc<Segment>> {
        locations
            .iter()
            .filter_map(|location| self.spill.read(location))
            .collect()
    }

    /// Caches segments that were read back. Fewer than `requested` mean that the file failed.
    pub(super) fn cache(&mut self, requested: usize, segments: Vec<Arc<Segment>>) {
        if segments.len() < requested {
            self.spill.fail();
        }
        for segment in segments {
            self.cached.push_front(segment);
        }
        self.cached.truncate(CACHED);
    }
}

#[cfg(test)]
mod tests;
