//! Turns the bytes of a stream into the records of a log file: `<time> <stream> F|P <bytes>`, one a line.
//!
//! `F` ends a line, `P` is a piece of one. Pure: the time is handed in.

/// Longest piece of a line in one record, in bytes.
const PIECE: usize = 16 * 1024;

/// One stream's line under way.
#[derive(Debug)]
pub struct Lines {
    stream: &'static str,
    pending: Vec<u8>,
}

impl Lines {
    #[must_use]
    pub fn new(stream: &'static str) -> Self {
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Adds what came in at `now` (RFC 3339); whole records go to `out`.
    pub fn push(&mut self, now: &str, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = PIECE - self.pending.len();
            let line = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            if let Some(end) = line {
                self.record(now, b"F", &bytes[..end], out);
                bytes = &bytes[end + 1..];
            } else if bytes.len() > room {
                self.record(now, b"P", &bytes[..room], out);
                bytes = &bytes[room..];
            } else {
                self.pending.extend_from_slice(bytes);
                bytes = &[];
            }
        }
    }

    /// The stream has ended: an unfinished line goes out as the piece it is.
    pub fn finish(&mut self, now: &str, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.record(now, b"P", &[], out);
        }
    }

    fn record(&mut self, now: &str, tag: &[u8], rest: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(now.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.stream.as_bytes());
        out.push(b' ');
        out.extend_from_slice(tag);
        out.push(b' ');
        out.append(&mut self.pending);
        out.extend_from_slice(rest);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(chunks: &[&[u8]]) -> Vec<(char, usize)> {
        let (mut lines, mut out) = (Lines::new("stdout"), Vec::new());
        for chunk in chunks {
            lines.push("T", chunk, &mut out);
        }
        lines.finish("T", &mut out);
        out.split(|byte| *byte == b'\n')
            .filter(|record| !record.is_empty())
            .map(|record| {
                let body = record.strip_prefix(b"T stdout ").unwrap();
                (char::from(body[0]), body.len() - 2)
            })
            .collect()
    }

    #[test]
    fn lines_become_records_however_they_arrive() {
        let long = vec![b'x'; 3 * PIECE];
        let exact = [vec![b'x'; PIECE], vec![b'\n']].concat();
        for (chunks, expected) in [
            (vec![&b"a\nbb\n"[..]], vec![('F', 1), ('F', 2)]),
            (vec![&b"a"[..], b"b", b"\n"], vec![('F', 2)]),
            (vec![&b"\n\n"[..]], vec![('F', 0), ('F', 0)]),
            (vec![&b"no end"[..]], vec![('P', 6)]),
            (vec![], vec![]),
            (vec![&exact[..]], vec![('F', PIECE)]),
            (
                vec![&long[..], b"\n"],
                vec![('P', PIECE), ('P', PIECE), ('F', PIECE)],
            ),
            (
                vec![&long[..10], &long, b"!\n"],
                vec![('P', PIECE), ('P', PIECE), ('P', PIECE), ('F', 11)],
            ),
        ] {
            assert_eq!(records(&chunks), expected);
        }
    }
}
