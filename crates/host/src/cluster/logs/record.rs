//! Parses the bytes of a log into records: splits off timestamps, joins the pieces of long lines, and limits their
//! size.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
};

use futures::{AsyncBufRead, AsyncBufReadExt};
use jiff::Timestamp;

/// Maximum length of a line, in bytes.
pub(super) const LINE_LIMIT: usize = 1024 * 1024;
/// Length of the pieces into which container runtimes split long lines.
const PIECE: usize = 16 * 1024;
/// Maximum length of a timestamp with the following space.
const STAMP_LIMIT: usize = 40;

/// The bytes of an incomplete record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unfinished {
    kept: Vec<u8>,
    left_out: u64,
}

/// A line from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// `None` if the line has no timestamp: it is then a message of the server.
    pub(super) at: Option<Timestamp>,
    pub(super) text: String,
    /// The raw bytes, if they are not valid UTF-8.
    pub(super) bytes: Option<Box<[u8]>>,
    pub(super) left_out: u64,
    /// Hash of the whole line with its timestamp.
    pub(super) hash: u64,
}

/// Reads the next line. Returns `None` at the end of the stream, and leaves an incomplete line in `unfinished`.
/// Cancel-safe.
pub(super) async fn next(
    reader: &mut (impl AsyncBufRead + Unpin),
    unfinished: &mut Unfinished,
) -> io::Result<Option<Record>> {
    loop {
        let bytes = reader.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        unfinished.push(&bytes[..end.unwrap_or(bytes.len())]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        reader.consume_unpin(used);
        if end.is_some() {
            return Ok(Some(unfinished.finish()));
        }
    }
}

impl Unfinished {
    /// Creates it from a line without its line break.
    pub(super) fn of(line: &[u8]) -> Self {
        let mut unfinished = Self::default();
        unfinished.push(line);
        unfinished
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the length in bytes, with the timestamp.
    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64 + self.left_out
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = (LINE_LIMIT + STAMP_LIMIT).saturating_sub(self.kept.len());
        let keep = room.min(bytes.len());
        self.kept.extend_from_slice(&bytes[..keep]);
        self.left_out += (bytes.len() - keep) as u64;
    }

    /// Returns the bytes so far as a record.
    pub(super) fn finish(&mut self) -> Record {
        let mut kept = std::mem::take(&mut self.kept);
        let mut left_out = std::mem::take(&mut self.left_out);
        let mut hasher = DefaultHasher::new();
        (&kept, left_out).hash(&mut hasher);
        let hash = hasher.finish();
        let at = stamp(&kept).map(|(at, length)| {
            kept.drain(..length);
            at
        });
        if at.is_some() {
            join_pieces(&mut kept);
        }
        left_out += kept.len().saturating_sub(LINE_LIMIT) as u64;
        kept.truncate(LINE_LIMIT);
        let (text, bytes) = match String::from_utf8(kept) {
            Ok(text) => (text, None),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                (text, Some(error.into_bytes().into()))
            }
        };
        Record {
            at,
            text,
            bytes,
            left_out,
            hash,
        }
    }
}

/// Returns the timestamp at the start of `bytes`, and its length with the following space.
fn stamp(bytes: &[u8]) -> Option<(Timestamp, usize)> {
    if !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let head = &bytes[..bytes.len().min(STAMP_LIMIT)];
    let end = head
        .iter()
        .position(|byte| *byte == b' ')
        // An empty line may lack the space.
        .or((head.len() == bytes.len()).then_some(head.len()))?;
    let at = std::str::from_utf8(&head[..end]).ok()?.parse().ok()?;
    Some((at, (end + 1).min(bytes.len())))
}

/// Removes the timestamps that older kubelets insert before each piece of a long line.
fn join_pieces(line: &mut Vec<u8>) {
    let mut at = PIECE;
    while let Some(piece) = line.get(at..).filter(|piece| !piece.is_empty()) {
        if let Some((_, length)) = stamp(piece) {
            line.drain(at..at + length);
        }
        at += PIECE;
    }
}

#[cfg(test)]
mod tests {
    use futures::io::BufReader;

    use super::*;

    async fn records(bytes: &[u8], buffer: usize) -> (Vec<Record>, Unfinished) {
        let mut reader = BufReader::with_capacity(buffer, bytes);
        let mut unfinished = Unfinished::default();
        let mut all = Vec::new();
        while let Some(record) = next(&mut reader, &mut unfinished).await.unwrap() {
            all.push(record);
        }
        (all, unfinished)
    }

    #[tokio::test]
    async fn splits_lines_and_timestamps() {
        let bytes = b"2030-01-01T00:00:00.5Z one\n2030-01-01T00:00:01Z  two\r\n2030-01-01T00:00:02Z \n2030-01-01T00:00:02Z\nfailed to watch\n2030-01-01T00:00:03Z \xff\nrest";
        for buffer in [1, 7, 4096] {
            let (all, mut unfinished) = records(bytes, buffer).await;
            let texts: Vec<&str> = all.iter().map(|record| record.text.as_str()).collect();
            assert_eq!(
                texts,
                ["one", " two\r", "", "", "failed to watch", "\u{fffd}"]
            );
            let stamped: Vec<bool> = all.iter().map(|record| record.at.is_some()).collect();
            assert_eq!(stamped, [true, true, true, true, false, true]);
            assert_eq!(unfinished.finish().text, "rest");
        }
    }

    #[tokio::test]
    async fn joins_pieces_of_long_line() {
        let piece = "x".repeat(PIECE);
        let stamp = "2030-01-01T00:00:00.123456789Z ";
        let old = format!("{stamp}{piece}{stamp}{piece}{stamp}{{end\n");
        let new = format!("{stamp}{piece}{piece}{{end\n");
        for line in [old, new] {
            let (all, _) = records(line.as_bytes(), 4096).await;
            assert_eq!(all[0].text, format!("{piece}{piece}{{end"));
        }
    }

    #[tokio::test]
    async fn truncates_long_line_and_counts_the_rest() {
        let line = format!("2030-01-01T00:00:00Z {}\n", "é".repeat(LINE_LIMIT));
        let (all, _) = records(line.as_bytes(), 4096).await;
        assert_eq!(all[0].text.len(), LINE_LIMIT);
        assert_eq!(all[0].left_out, LINE_LIMIT as u64);
    }
}
