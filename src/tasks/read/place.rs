//! Byte offsets as lines and columns.

/// Where the lines of a text start.
pub(super) struct Lines {
    /// In bytes; the first is 0.
    starts: Vec<usize>,
    /// Offsets of bytes that continue a character, so that columns count characters.
    continuations: Vec<usize>,
}

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let mut lines = Self {
            starts: vec![0],
            continuations: Vec::new(),
        };
        for (at, byte) in text.bytes().enumerate() {
            if byte == b'\n' {
                lines.starts.push(at + 1);
            } else if byte & 0xc0 == 0x80 {
                lines.continuations.push(at);
            }
        }
        lines
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line - 1];
        let before = |at: usize| self.continuations.partition_point(|&other| other < at);
        let column = offset - start - (before(offset) - before(start)) + 1;
        (line, column)
    }
}
