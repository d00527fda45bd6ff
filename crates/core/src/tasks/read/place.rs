//! Byte offsets as lines and columns, at a cost that does not grow with the length of a line.

use std::cell::OnceCell;

/// Bytes between two known counts of characters.
const BLOCK: usize = 4096;

/// Counts lines and columns of a text.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// An offset whose line is known: what is asked for goes through the text in order, mostly.
    known: (usize, usize),
    index: OnceCell<Index>,
}

/// Made when the first finding needs a place; a plan without findings never does.
struct Index {
    /// Offsets of the lines, in bytes; the first is 0.
    lines: Vec<usize>,
    /// Characters before every block, and all of them.
    characters: Vec<usize>,
}

/// Characters that begin in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.iter().map(|&byte| usize::from(byte == b'\n')).sum()
}

impl<'a> Lines<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            known: (0, 1),
            index: OnceCell::new(),
        }
    }

    /// Line of an offset, from 1.
    pub(super) fn line(&mut self, offset: usize) -> usize {
        let (at, line) = self.known;
        let Some(between) = self.text.as_bytes().get(at..offset) else {
            return self.place(offset).0;
        };
        let line = line + line_breaks(between);
        self.known = (offset, line);
        line
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
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
