//! Lines of text: appended at the end, found by number. The newest are in memory, older ones in a file without a name; the
//! oldest are dropped when that one is full.
//!
//! Lines are kept in segments, so that a line costs its bytes and fifteen more. A line's number is its identity for good:
//! it is never given to another line, whatever falls out. Segments are shared: a copy of a store costs a few pointers, and
//! is how a search looks at it from another thread. Nothing here waits for the disk but what says so.

use std::{collections::VecDeque, fs::File, io, sync::Arc};

use super::{
    away::{Away, Place},
    segment::Segment,
};

/// Number of a line, counted from the first that ever arrived.
pub type LineId = u64;

/// Bytes of text in a segment; a longer line has one of its own.
const SEGMENT: usize = 64 * 1024;
/// Segments that were read back and are kept at hand.
const AT_HAND: usize = 128;

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

/// Where a segment is.
#[derive(Clone, Debug)]
enum Slot {
    Here(Arc<Segment>),
    Away(Place),
}

impl Slot {
    fn first(&self) -> LineId {
        match self {
            Self::Here(segment) => segment.first(),
            Self::Away(place) => place.first,
        }
    }

    fn begins(&self) -> Option<i64> {
        match self {
            Self::Here(segment) => segment.begins(),
            Self::Away(place) => place.begins,
        }
    }
}

/// Lines, the newest ones in memory.
#[derive(Clone, Debug)]
pub struct Store {
    slots: VecDeque<Slot>,
    next: LineId,
    /// When the first line of all came that has a time.
    start: Option<i64>,
    /// Bytes in memory, and how many there may be.
    bytes: usize,
    limit: usize,
    away: Away,
    /// Read back from the file, the last one first.
    at_hand: VecDeque<Arc<Segment>>,
}

impl Store {
    /// An empty store that keeps about `limit` bytes in memory, the newest ones, and a quarter more until older ones are
    /// written away.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            next: 0,
            start: None,
            bytes: 0,
            limit,
            away: Away::default(),
            at_hand: VecDeque::new(),
        }
    }

    /// Adds one line, which holds no line break.
    pub fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        self.push_raw(text, None, at, tag);
    }

    /// The same of a line that came as bytes which are no UTF-8; `text` is what of them can be shown.
    pub fn push_raw(&mut self, text: &str, raw: Option<&[u8]>, at: Option<i64>, tag: u16) {
        let fits = matches!(self.slots.back(), Some(Slot::Here(last)) if last.text().len() + text.len() < SEGMENT);
        if !fits {
            if let Some(Slot::Here(last)) = self.slots.back_mut() {
                Arc::make_mut(last).seal();
            }
            let segment = Segment::new(self.next, SEGMENT.max(text.len() + 1));
            self.slots.push_back(Slot::Here(Arc::new(segment)));
        }
        // Copied only if a search still looks at it.
        if let Some(Slot::Here(last)) = self.slots.back_mut() {
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
            if let Some(Slot::Here(gone)) = self.slots.pop_front() {
                self.bytes -= gone.bytes();
            }
        }
    }

    /// The oldest line that is kept, which is also how many lines have fallen out.
    #[must_use]
    pub fn first(&self) -> LineId {
        self.slots.front().map_or(self.next, Slot::first)
    }

    /// The number that the next line will get, which is also how many lines ever arrived.
    #[must_use]
    pub const fn next(&self) -> LineId {
        self.next
    }

    /// When the first line of all came that has a time.
    #[must_use]
    pub const fn start(&self) -> Option<i64> {
        self.start
    }

    /// Bytes in memory, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn slot_of(&self, id: LineId) -> Option<&Slot> {
        let behind = self.slots.partition_point(|slot| slot.first() <= id);
        self.slots.get(behind.checked_sub(1)?)
    }

    /// The segment of a slot, without asking the disk.
    fn here(&self, slot: &Slot) -> Option<Arc<Segment>> {
        match slot {
            Slot::Here(segment) => Some(Arc::clone(segment)),
            Slot::Away(place) => {
                let mut known = self.at_hand.iter();
                known
                    .find(|segment| segment.first() == place.first)
                    .cloned()
            }
        }
    }

    /// Shows the line of that number, if it is at hand.
    pub fn with<T>(&self, id: LineId, show: impl FnOnce(&Line<'_>) -> T) -> Option<T> {
        let segment = self.here(self.slot_of(id)?)?;
        let line = segment.line((id - segment.first()) as usize)?;
        Some(show(&line))
    }

    /// Whether the line of that number is kept, and not at hand.
    #[must_use]
    pub fn is_away(&self, id: LineId) -> bool {
        let slot = self.slot_of(id);
        id < self.next && slot.is_some_and(|slot| self.here(slot).is_none())
    }

    /// The first line that is not older than `at`, going back from the newest; lines without a time count as their neighbours.
    #[must_use]
    pub fn since(&self, at: i64) -> LineId {
        let old = |slot: &&Slot| slot.begins().is_some_and(|time| time < at);
        let Some(slot) = self.slots.iter().rev().find(old) else {
            return self.first();
        };
        // Of lines that are not at hand the whole segment counts.
        let within = self.here(slot).map_or(0, |segment| segment.since(at));
        slot.first() + within as u64
    }

    /// Gives the lines from `from` on to `each`, in order, until it says `false`. With `reads` those in the file are read
    /// from it, which blocks; without it ends at the first that is not at hand.
    pub fn walk(&self, from: LineId, reads: bool, mut each: impl FnMut(&Line<'_>) -> bool) {
        self.walk_segments(from, reads, |segment| {
            let skip = from.saturating_sub(segment.first()) as usize;
            let mut lines = (skip..segment.lines()).filter_map(|index| segment.line(index));
            lines.all(|line| each(&line))
        });
    }

    /// The same by segments, beginning with the one that holds `from`.
    pub(super) fn walk_segments(
        &self,
        from: LineId,
        reads: bool,
        mut each: impl FnMut(&Segment) -> bool,
    ) {
        let behind = self.slots.partition_point(|slot| slot.first() <= from);
        for slot in self.slots.iter().skip(behind.saturating_sub(1)) {
            let segment = match (self.here(slot), slot) {
                (Some(segment), _) => segment,
                (None, Slot::Away(place)) if reads => match self.away.read(place) {
                    Some(segment) => segment,
                    // The file failed, or the lines have fallen out of it since.
                    None => continue,
                },
                (None, _) => return,
            };
            if !each(&segment) {
                return;
            }
        }
    }

    /// The segments to be written away next, each with its place; none while there is room in memory. What has no room in
    /// the file any more falls out.
    pub(super) fn written_next(&mut self) -> Vec<(Place, Arc<Segment>)> {
        if self.bytes <= self.limit || self.away.failed() {
            return Vec::new();
        }
        // A good part at once, so that this happens seldom.
        let mut left = self.bytes - self.limit + self.limit / 16;
        let last = self.slots.len().saturating_sub(1);
        let mut chosen = Vec::new();
        for slot in self.slots.range(..last) {
            let Slot::Here(segment) = slot else { continue };
            if left == 0 {
                break;
            }
            left = left.saturating_sub(segment.bytes());
            chosen.push((self.away.reserve(segment), Arc::clone(segment)));
        }
        for (place, _) in &chosen {
            while matches!(self.slots.front(), Some(Slot::Away(old)) if old.overlaps(place)) {
                self.slots.pop_front();
            }
        }
        chosen
    }

    /// Writes segments to their places. Blocks.
    pub(super) fn write(&self, segments: &[(Place, Arc<Segment>)]) -> io::Result<Arc<File>> {
        self.away.write(segments)
    }

    /// Takes in where segments were written, or that it failed.
    pub(super) fn written(&mut self, file: Option<Arc<File>>, places: Vec<Place>) {
        self.away.opened(file);
        if self.away.failed() {
            return;
        }
        for place in places {
            let at = self
                .slots
                .partition_point(|slot| slot.first() < place.first);
            if let Some(slot) = self.slots.get_mut(at)
                && let Slot::Here(segment) = slot
                && segment.first() == place.first
            {
                self.bytes -= segment.bytes();
                *slot = Slot::Away(place);
            }
        }
    }

    /// Whether a segment was written away.
    pub(super) fn has_away(&self) -> bool {
        !self.away.failed() && matches!(self.slots.front(), Some(Slot::Away(_)))
    }

    /// Whether something is to be written away.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes > self.limit && !self.away.failed()
    }

    /// The places of those of these lines that are not at hand, and of what comes before and after them.
    pub(super) fn missing(&self, lines: impl IntoIterator<Item = LineId>) -> Vec<Place> {
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
            .filter(|slot| self.here(slot).is_none())
            .filter_map(|slot| match slot {
                Slot::Away(place) => Some(place.clone()),
                Slot::Here(_) => None,
            })
            .collect()
    }

    /// Reads segments from the file. Blocks.
    pub(super) fn read(&self, places: &[Place]) -> Vec<Arc<Segment>> {
        places
            .iter()
            .filter_map(|place| self.away.read(place))
            .collect()
    }

    /// Takes in what was read back of `places`.
    pub(super) fn have_at_hand(&mut self, places: usize, segments: Vec<Arc<Segment>>) {
        if segments.len() < places {
            self.away.fail();
        }
        for segment in segments {
            self.at_hand.push_front(segment);
        }
        self.at_hand.truncate(AT_HAND);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines from one on, as far as they are at hand.
    fn numbers(store: &Store, from: LineId) -> Vec<LineId> {
        let mut numbers = Vec::new();
        store.walk(from, false, |line| {
            numbers.push(line.id);
            true
        });
        numbers
    }

    /// Writes away whatever is to be.
    fn write_away(store: &mut Store) {
        loop {
            let next = store.written_next();
            if next.is_empty() {
                return;
            }
            let file = store.write(&next).ok();
            store.written(file, next.into_iter().map(|(place, _)| place).collect());
        }
    }

    fn text(number: u64) -> String {
        format!("{number} é {}", "x".repeat((number % 97) as usize))
    }

    #[test]
    fn what_is_written_away_is_still_there_and_memory_stays_small() {
        let mut store = Store::new(300_000);
        for number in 0..20_000 {
            store.push(
                &text(number),
                (number % 3 > 0).then_some(number as i64),
                number as u16 % 5,
            );
            if number % 500 == 0 {
                write_away(&mut store);
                assert!(store.bytes() <= 300_000 + SEGMENT);
            }
        }
        assert_eq!(store.first(), 0, "nothing has fallen out");
        assert!(store.is_away(0) && !store.is_away(19_999) && !store.is_away(20_000));
        assert_eq!(store.with(10, |_| ()), None);
        let mut next = 0;
        store.walk(0, true, |line| {
            assert_eq!((line.id, line.text), (next, text(next).as_str()));
            assert_eq!(line.at, (next % 3 > 0).then_some(next as i64));
            assert_eq!(line.tag, next as u16 % 5);
            next += 1;
            true
        });
        assert_eq!(next, 20_000);
        let places = store.missing([10]);
        assert!(!places.is_empty());
        let read = store.read(&places);
        store.have_at_hand(places.len(), read);
        assert_eq!(store.with(10, |line| line.text.to_owned()), Some(text(10)));
        assert!(!numbers(&store, 10).is_empty() && numbers(&store, 10).len() < 20_000);
        assert_eq!(store.start(), Some(1), "the first that has a time");
        assert!(store.since(19_990) <= 19_990 && store.since(19_990) >= 19_980);
    }

    #[test]
    fn a_disk_that_fails_costs_the_oldest_lines_and_no_more() {
        let mut store = Store::new(300_000);
        for number in 0..3_000 {
            store.push(&text(number), None, 0);
        }
        let next = store.written_next();
        assert!(next.is_empty(), "there is room");
        for number in 3_000..6_000 {
            store.push(&text(number), None, 0);
        }
        let next = store.written_next();
        assert!(!next.is_empty());
        store.written(None, next.into_iter().map(|(place, _)| place).collect());
        assert!(store.written_next().is_empty(), "it is not tried again");
        for number in 6_000..20_000 {
            store.push(&text(number), None, 0);
        }
        assert!(store.first() > 0);
        assert_eq!(
            store.with(19_999, |line| line.text.to_owned()),
            Some(text(19_999))
        );
        assert_eq!(numbers(&store, 0).len() as u64, 20_000 - store.first());
    }

    #[test]
    fn lines_keep_their_numbers_when_old_ones_fall_out() {
        let mut store = Store::new(300_000);
        let text = "x".repeat(100);
        for _ in 0..10_000 {
            store.push(&text, Some(5), 1);
        }
        assert_eq!(store.next(), 10_000);
        assert!(store.first() > 5_000, "old lines fell out");
        assert!(store.bytes() <= 375_000 + SEGMENT);
        assert_eq!(store.with(store.first() - 1, |_| ()), None);
        let line = store.with(9_999, |line| (line.id, line.at, line.tag));
        assert_eq!(line, Some((9_999, Some(5), 1)));
        assert_eq!(numbers(&store, 0)[0], store.first());
    }

    #[test]
    fn memory_is_little_more_than_the_text() {
        let mut store = Store::new(usize::MAX);
        let text = "y".repeat(120);
        for _ in 0..50_000 {
            store.push(&text, None, 0);
        }
        let held = store.slots.iter().map(|slot| match slot {
            Slot::Here(segment) => segment.held(),
            Slot::Away(_) => 0,
        });
        let held: usize = held.sum();
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
                let (found, known) = store.with(index as u64, |line| (line.text.to_owned(), line.tag)).unwrap();
                prop_assert_eq!(known, *tag);
                if index != long { prop_assert_eq!(&found, text); }
            }
            prop_assert_eq!(numbers(&store, long as u64).len(), lines.len().saturating_sub(long));
        }
    }
}
