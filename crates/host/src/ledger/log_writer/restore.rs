//! Restores the state of a writer from the segments on disk.

use super::LogWriter;
use crate::ledger::{
    LedgerError,
    line::{Head, Line, SourceState},
    segment::Segment,
};

impl LogWriter {
    /// Restores the state from as few of the last segments as needed, and removes what a crash left incomplete.
    pub(super) fn restore(&mut self) -> Result<(), LedgerError> {
        for segment in self.segments.iter().filter(|segment| segment.sealed) {
            let open = Segment {
                sealed: false,
                ..segment.clone()
            };
            // Left by a crash during sealing.
            drop(open.remove(&self.folder));
        }
        let Some(mut first) = self.segments.len().checked_sub(1) else {
            return Ok(());
        };
        // The last head has the newest line of every source, but the recent lines may be in earlier segments.
        while !self.load(first)? && first > 0 {
            first -= 1;
        }
        let loaded = first;
        while first > 0 {
            let head = self.segments[first].head(&self.folder)?;
            if head.is_some_and(|head| self.reaches_back(&head)) {
                break;
            }
            first -= 1;
        }
        if first < loaded {
            self.load(first)?;
        }
        Ok(())
    }

    /// Returns whether the segments after `head` contain every line that could be mistaken for a new one.
    fn reaches_back(&self, head: &Head) -> bool {
        self.stored.iter().enumerate().all(|(s, stored)| {
            let before = head.sources.get(s).and_then(|known| known.newest);
            stored.ended || before.is_none_or(|before| stored.is_old(before))
        })
    }

    /// Loads the segments from index `first`. Returns whether the head of that segment is readable.
    fn load(&mut self, first: usize) -> Result<bool, LedgerError> {
        self.numbers.clear();
        self.stored.clear();
        self.file = None;
        let mut first_headed = false;
        for index in first..self.segments.len() {
            let segment = self.segments[index].clone();
            let content = segment.read(&self.folder)?;
            self.lines = segment.line;
            let mut headed = false;
            for line in content.lines.iter().filter_map(|line| Line::read(line)) {
                match line {
                    Line::Head { head } => {
                        for (s, known) in head.sources.iter().enumerate() {
                            match self.stored.get_mut(s) {
                                // Also known if the segment before is damaged.
                                Some(stored) => {
                                    stored.newest = stored.newest.max(known.newest);
                                    stored.ended |= known.ended;
                                }
                                None => self.add_source(known),
                            }
                        }
                        headed = true;
                    }
                    Line::Source { s, source } if s == self.stored.len() => {
                        self.add_source(&SourceState {
                            source: source.into_owned(),
                            newest: None,
                            ended: false,
                        });
                    }
                    Line::Text { s, at, ordinal, .. } => {
                        self.lines += 1;
                        if let Some(stored) = self.stored.get_mut(s) {
                            stored.note(at, ordinal);
                            stored.catching_up = true;
                        }
                    }
                    Line::Ended { s, .. } => {
                        if let Some(stored) = self.stored.get_mut(s) {
                            stored.ended = true;
                        }
                    }
                    Line::Source { .. } | Line::Notice { .. } => {}
                }
            }
            first_headed |= headed && index == first;
            let last = index + 1 == self.segments.len();
            // Without a readable head, start a new segment instead.
            if last && headed && !segment.sealed {
                self.file = Some(segment.open(&self.folder, content.valid_len)?);
                self.segments[index].bytes = content.valid_len;
            }
        }
        Ok(first_headed)
    }
}
