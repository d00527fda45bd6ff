//! A segment of a store: some hundred newline-terminated lines in one string, with their ends, times and tags, and the
//! original bytes of lines that are not UTF-8. Can be serialised.

use super::line::{Line, LineId};

/// Bytes per line in addition to its text: end, time and tag.
const LINE_OVERHEAD: usize = size_of::<u32>() + size_of::<i64>() + size_of::<u16>();
/// Bytes before the original bytes of a line: its index, and their number.
const RAW_HEAD: usize = 2 * size_of::<u32>();
/// Bytes before the lines of a serialised segment: the id of the first line.
const HEAD: usize = size_of::<LineId>();

/// Consecutive lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    first: LineId,
    text: String,
    ends: Vec<u32>,
    /// `i64::MIN` for none.
    times: Vec<i64>,
    tags: Vec<u16>,
    /// Original bytes of lines that are not UTF-8, by index.
    raw: Vec<(u32, Box<[u8]>)>,
    raw_bytes: usize,
}

impl Segment {
    pub(super) fn new(first: LineId, bytes: usize) -> Self {
        Self {
            first,
            text: String::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        self.text.push('\n');
        self.times.push(at.unwrap_or(i64::MIN));
        self.tags.push(tag);
    }

    /// Keeps the original bytes of the last line.
    pub(super) fn keep_raw(&mut self, bytes: &[u8]) {
        if let Some(last) = self.ends.len().checked_sub(1) {
            self.raw.push((last as u32, bytes.into()));
            self.raw_bytes += RAW_HEAD + bytes.len();
        }
    }

    /// Returns the original bytes of a line that is not UTF-8.
    pub(super) fn raw(&self, index: usize) -> Option<&[u8]> {
        let found = self
            .raw
            .binary_search_by_key(&index, |(index, _)| *index as usize);
        found.ok().map(|found| &*self.raw[found].1)
    }

    /// Releases spare capacity once the segment is complete.
    pub(super) fn seal(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.times.shrink_to_fit();
        self.tags.shrink_to_fit();
    }

    pub(super) const fn first(&self) -> LineId {
        self.first
    }

    pub(super) const fn lines(&self) -> usize {
        self.ends.len()
    }

    /// Returns the newline-terminated lines.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the approximate size in memory.
    pub(super) const fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * LINE_OVERHEAD + self.raw_bytes
    }

    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<u32>()
            + self.times.capacity() * size_of::<i64>()
            + self.tags.capacity() * size_of::<u16>()
    }

    pub(super) fn line(&self, index: usize) -> Option<Line<'_>> {
        let end = *self.ends.get(index)? as usize;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize + 1);
        Some(Line {
            id: self.first + index as u64,
            text: &self.text[start..end],
            at: Some(self.times[index]).filter(|at| *at != i64::MIN),
            tag: self.tags[index],
        })
    }

    /// Returns the time of the first line.
    pub(super) fn start(&self) -> Option<i64> {
        self.times.first().copied().filter(|at| *at != i64::MIN)
    }

    /// Returns the index after the last line older than `at`.
    pub(super) fn since(&self, at: i64) -> usize {
        let old = |time: &i64| *time != i64::MIN && *time < at;
        self.times.iter().rposition(old).map_or(0, |last| last + 1)
    }

    /// Returns the serialised size.
    pub(super) const fn serialised_len(&self) -> usize {
        HEAD + self.bytes()
    }

    /// Serialises the segment.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.serialised_len());
        out.extend(self.first.to_le_bytes());
        out.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        out.extend(self.times.iter().flat_map(|time| time.to_le_bytes()));
        out.extend(self.tags.iter().flat_map(|tag| tag.to_le_bytes()));
        out.extend(self.text.as_bytes());
        for (index, bytes) in &self.raw {
            out.extend(index.to_le_bytes());
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
        }
        out
    }

    /// Deserialises the segment that starts with `first`. `None` if the bytes are invalid or of another segment.
    pub(super) fn read(first: LineId, lines: usize, bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        if head != first.to_le_bytes() {
            return None;
        }
        let (ends, rest) = rest.split_at_checked(lines * size_of::<u32>())?;
        let (times, rest) = rest.split_at_checked(lines * size_of::<i64>())?;
        let (tags, rest) = rest.split_at_checked(lines * size_of::<u16>())?;
        let ends: Vec<u32> = ends
            .as_chunks()
            .0
            .iter()
            .map(|end| u32::from_le_bytes(*end))
            .collect();
        let length = ends.last().map_or(0, |end| *end as usize + 1);
        let (text, rest) = rest.split_at_checked(length)?;
        let text = String::from_utf8(text.to_vec()).ok()?;
        let raw = read_raw(rest)?;
        // Every line must end with a line break.
        let broken = |end: &u32| text.as_bytes().get(*end as usize) == Some(&b'\n');
        let valid = ends.is_sorted_by(|before, after| before < after) && ends.iter().all(broken);
        valid.then(|| Self {
            first,
            text,
            ends,
            times: times
                .as_chunks()
                .0
                .iter()
                .map(|time| i64::from_le_bytes(*time))
                .collect(),
            tags: tags
                .as_chunks()
                .0
                .iter()
                .map(|tag| u16::from_le_bytes(*tag))
                .collect(),
            raw_bytes: rest.len(),
            raw,
        })
    }
}

/// Deserialises the original bytes of lines.
fn read_raw(mut bytes: &[u8]) -> Option<Vec<(u32, Box<[u8]>)>> {
    let mut raw = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<RAW_HEAD>()?;
        let (index, length) = head.split_first_chunk()?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (own, rest) = rest.split_at_checked(length as usize)?;
        raw.push((u32::from_le_bytes(*index), own.into()));
        bytes = rest;
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rejects_invalid_bytes_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), lines in 0usize..9, flips in prop::collection::vec((0usize..400, any::<u8>()), 0..4)) {
            let _ = Segment::read(0, lines, &bytes);
            let mut segment = Segment::new(7, 0);
            for line in ["one", "zwei é", "", "日本"] {
                segment.push(line, Some(3), 1);
            }
            segment.keep_raw(b"\xe6\x97\xa5\xff");
            let mut bytes = segment.write();
            prop_assert_eq!(bytes.len(), segment.serialised_len());
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let intact = Segment::read(7, 4, &segment.write()).unwrap();
            prop_assert_eq!((intact.raw(3), intact.raw(2)), (segment.raw(3), None));
            prop_assert_eq!(intact.serialised_len(), segment.serialised_len());
            if let Some(read) = Segment::read(7, 4, &bytes) {
                prop_assert_eq!((0..9).filter_map(|index| read.line(index)).count(), 4);
            }
            prop_assert!(Segment::read(8, 4, &segment.write()).is_none());
        }
    }
}
