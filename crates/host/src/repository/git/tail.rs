//! Keeps the end of a stream in bounded memory.

/// Number of bytes kept.
const LIMIT: usize = 256 << 10;

/// The last bytes of a stream. A failing command prints the reason last, and a remote may print without end.
#[derive(Debug, Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// Appends a chunk.
    pub fn push(&mut self, piece: &[u8]) {
        self.0
            .extend_from_slice(&piece[piece.len().saturating_sub(LIMIT)..]);
        // Not for every chunk, to move fewer bytes.
        if self.0.len() > 2 * LIMIT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(LIMIT));
    }

    /// Returns what was kept as text; invalid UTF-8 is replaced.
    #[must_use]
    pub fn into_text(mut self) -> String {
        self.cut();
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_in_bounded_memory() {
        let mut tail = Tail::default();
        for number in 0..LIMIT {
            tail.push(format!("{number}\n").as_bytes());
            assert!(tail.0.len() <= 2 * LIMIT);
        }
        tail.push(&vec![b'x'; 3 * LIMIT]);
        assert!(tail.0.len() <= 2 * LIMIT);
        tail.push(b"end");
        let text = tail.into_text();
        assert_eq!(text.len(), LIMIT);
        assert!(text.ends_with("xend"));
    }
}
