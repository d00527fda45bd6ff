//! Lines of text in memory: appended at the end, found by number, dropped at the front when there are too many bytes.
//!
//! Lines are kept in segments of one string each, with the ends of the lines beside it, so that a line costs its bytes
//! and fourteen more. A line's number is its identity for good: it is never given to another line, whatever falls out.
//! Segments are shared: a copy of a store costs a few pointers, and is how a search looks at it from another thread.

use std::{collections::VecDeque, sync::Arc};

/// Number of a line, counted from the first that ever arrived.
pub type LineId = u64;

/// Bytes of text in a segment; a longer line has one of its own.
const SEGMENT: usize = 64 * 1024;

/// One line as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub id: LineId,
    pub text: &'a str,
    /// Microseconds since 1970, if the line has a time.
    pub at: Option<i64>,
    /// Whatever the owner of the view sorts lines by: a source of a log, a kind of a paragraph.
    pub tag: u16,
}

#[derive(Clone, Debug, Default)]
struct Segment {
    first: LineId,
    text: String,
    ends: Vec<u32>,
    /// `i64::MIN` for none.
    times: Vec<i64>,
    tags: Vec<u16>,
}

impl Segment {
    fn line(&self, index: usize) -> Option<Line<'_>> {
        let end = *self.ends.get(index)? as usize;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        Some(Line {
            id: self.first + index as u64,
            text: &self.text[start..end],
            at: Some(self.times[index]).filter(|at| *at != i64::MIN),
            tag: self.tags[index],
        })
    }

    fn seal(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.times.shrink_to_fit();
        self.tags.shrink_to_fit();
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * (size_of::<u32>() + size_of::<i64>() + size_of::<u16>())
    }
}

/// Lines in memory.
#[derive(Clone, Debug)]
pub struct Store {
    segments: VecDeque<Arc<Segment>>,
    next: LineId,
    bytes: usize,
    limit: usize,
}

impl Store {
    /// An empty store that keeps about `limit` bytes, the newest ones.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            next: 0,
            bytes: 0,
            limit,
        }
    }

    /// Adds one line, which holds no line break.
    pub fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        let fits = self
            .segments
            .back()
            .is_some_and(|last| last.text.len() + text.len() <= SEGMENT);
        if !fits {
            if let Some(last) = self.segments.back_mut() {
                Arc::make_mut(last).seal();
            }
            let segment = Segment {
                first: self.next,
                text: String::with_capacity(SEGMENT.max(text.len())),
                ..Segment::default()
            };
            self.segments.push_back(Arc::new(segment));
        }
        // Copied only if a search still looks at it.
        let Some(last) = self.segments.back_mut().map(Arc::make_mut) else {
            return;
        };
        last.text.push_str(text);
        last.ends.push(last.text.len() as u32);
        last.times.push(at.unwrap_or(i64::MIN));
        last.tags.push(tag);
        self.next += 1;
        self.bytes += text.len() + 14;
        while self.bytes > self.limit && self.segments.len() > 1 {
            if let Some(gone) = self.segments.pop_front() {
                self.bytes -= gone.bytes();
            }
        }
    }

    /// The oldest line that is kept, which is also how many lines have fallen out.
    #[must_use]
    pub fn first(&self) -> LineId {
        self.segments
            .front()
            .map_or(self.next, |segment| segment.first)
    }

    /// The number that the next line will get, which is also how many lines ever arrived.
    #[must_use]
    pub const fn next(&self) -> LineId {
        self.next
    }

    /// Bytes in memory, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The line of that number, if it is kept.
    #[must_use]
    pub fn get(&self, id: LineId) -> Option<Line<'_>> {
        let segment = self
            .segments
            .partition_point(|segment| segment.first <= id)
            .checked_sub(1)?;
        let segment = &self.segments[segment];
        segment.line((id - segment.first) as usize)
    }

    /// The first line that is not older than `at`, going back from the newest; lines without a time count as their neighbours.
    #[must_use]
    pub fn since(&self, at: i64) -> LineId {
        let old = |time: &i64| *time != i64::MIN && *time < at;
        let mut segments = self.segments.iter().rev();
        let reaches = segments.find(|segment| segment.times.first().is_some_and(old));
        let Some(segment) = reaches else {
            return self.first();
        };
        let last = segment.times.iter().rposition(old);
        segment.first + last.map_or(0, |last| last as u64 + 1)
    }

    /// Lines from `from` on, in order.
    pub fn from(&self, from: LineId) -> impl Iterator<Item = Line<'_>> {
        let start = self
            .segments
            .partition_point(|segment| segment.first <= from)
            .saturating_sub(1);
        self.segments.iter().skip(start).flat_map(move |segment| {
            let skip = from.saturating_sub(segment.first) as usize;
            (skip..segment.ends.len()).filter_map(|index| segment.line(index))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_keep_their_numbers_when_old_ones_fall_out() {
        let mut store = Store::new(300_000);
        let text = "x".repeat(100);
        for _ in 0..10_000 {
            store.push(&text, Some(5), 1);
        }
        assert_eq!(store.next(), 10_000);
        assert!(store.first() > 5_000, "old lines fell out");
        assert!(store.bytes() <= 300_000 + SEGMENT);
        assert_eq!(store.get(store.first() - 1), None);
        let line = store.get(9_999).unwrap();
        assert_eq!((line.id, line.at, line.tag), (9_999, Some(5), 1));
        assert_eq!(
            store.from(0).next().map(|line| line.id),
            Some(store.first())
        );
    }

    #[test]
    fn memory_is_little_more_than_the_text() {
        let mut store = Store::new(usize::MAX);
        let text = "y".repeat(120);
        for _ in 0..50_000 {
            store.push(&text, None, 0);
        }
        let held: usize = store
            .segments
            .iter()
            .map(|segment| {
                segment.text.capacity()
                    + segment.ends.capacity() * 4
                    + segment.times.capacity() * 8
                    + segment.tags.capacity() * 2
            })
            .sum();
        assert!(held as f64 <= 50_000.0 * 120.0 * 1.3, "{held} bytes held");
    }

    proptest! {
        #[test]
        fn what_went_in_comes_out(lines in proptest::collection::vec(("[^\n]{0,40}", any::<u16>()), 0..200), long in 0usize..200) {
            let mut store = Store::new(usize::MAX);
            for (index, (text, tag)) in lines.iter().enumerate() {
                let text = if index == long { "z".repeat(SEGMENT + 1) } else { text.clone() };
                store.push(&text, None, *tag);
            }
            for (index, (text, tag)) in lines.iter().enumerate() {
                let line = store.get(index as u64).unwrap();
                prop_assert_eq!(line.tag, *tag);
                if index != long { prop_assert_eq!(line.text, text); }
            }
            prop_assert_eq!(store.from(long as u64).count(), lines.len().saturating_sub(long));
        }
    }
}
