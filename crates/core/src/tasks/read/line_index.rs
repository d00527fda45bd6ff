//! Maps byte offsets to lines and columns, at a cost independent of the line length.

use std::cell::OnceCell;

/// Bytes per block of the character index.
const BLOCK: usize = 4096;

/// Line and column lookup for a text.
pub(super) struct LineIndex<'a> {
    text: &'a str,
    /// The last offset looked up and its line; lookups are mostly in order.
    known: (usize, usize),
    index: OnceCell<Index>,
}

/// Built for the first finding; a plan without findings does not need it.
struct Index {
    /// Byte offsets of line starts; the first is 0.
    lines: Vec<usize>,
    /// Cumulative character counts per block.
    characters: Vec<usize>,
}

/// Counts the characters that start in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| usize::from(byte == b'\n')).sum()
}

impl<'a> LineIndex<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            known: (0, 1),
            index: OnceCell::new(),
        }
    }

    /// Returns the line of an offset, from 1.
    pub(super) fn line(&mut self, offset: usize) -> usize {
        let (at, line) = self.known;
        let Some(between) = self.text.as_bytes().get(at..offset) else {
            return self.line_column(offset).0;
        };
        let line = line + line_breaks(between);
        self.known = (offset, line);
        line
    }

    /// Returns line and column of an offset, both from 1, the column in characters.
    pub(super) fn line_column(&self, offset: usize) -> (usize, usize) {
        let index = self.index.get_or_init(|| Index::new(self.text));
        let line = index.lines.partition_point(|&start| start <= offset);
        let start = index.lines.get(line.wrapping_sub(1)).copied();
        let before = |offset| index.characters_before(self.text, offset);
        (line, before(offset) - before(start.unwrap_or_default()) + 1)
    }
}

impl Index {
    fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut sum = 0;
        let blocks = text.as_bytes().chunks(BLOCK).map(|block| {
            sum += characters(block);
            sum
        });
        let characters = std::iter::once(0).chain(blocks).collect();
        Self {
            lines: std::iter::once(0).chain(breaks).collect(),
            characters,
        }
    }

    fn characters_before(&self, text: &str, offset: usize) -> usize {
        let block = offset / BLOCK;
        let start = block * BLOCK;
        let rest = text.as_bytes().get(start..offset).unwrap_or_default();
        self.characters.get(block).copied().unwrap_or_default() + characters(rest)
    }
}
