//! The end of a stream, in bounded memory.

/// Bytes that are kept.
const KEPT: usize = 256 << 10;

/// Keeps the last bytes of a stream: there a failing command says why. A remote can print without end.
#[derive(Debug, Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// Appends a piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.0
            .extend_from_slice(&piece[piece.len().saturating_sub(KEPT)..]);
        // Not at every piece, so that few bytes are moved.
        if self.0.len() > 2 * KEPT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.0.drain(..self.0.len().saturating_sub(KEPT));
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
        for number in 0..KEPT {
            tail.push(format!("{number}\n").as_bytes());
            assert!(tail.0.len() <= 2 * KEPT);
        }
        tail.push(&vec![b'x'; 3 * KEPT]);
        assert!(tail.0.len() <= 2 * KEPT);
        tail.push(b"end");
        let text = tail.into_text();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("xend"));
    }
}
