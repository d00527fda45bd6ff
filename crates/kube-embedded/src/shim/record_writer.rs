//! Encodes the bytes of a stream as records of a log file: `<time> <stream> F|P <bytes>`, one per line.
//!
//! `F` marks the end of a line, `P` a partial line. Pure: the time is an argument.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};

/// Maximum length of a line's piece in one record, in bytes.
const MAX_PIECE: usize = 16 * 1024;

/// Generates distinct timestamps for the records of a log.
///
/// Many records arrive at once, and some followers take two lines with the same time for duplicates (kubetui 1.14
/// does). Therefore each record is at least a nanosecond later than the one before, unless the clock was set back.
#[derive(Debug)]
pub(super) struct Timestamps(Timestamp);

impl Timestamps {
    #[must_use]
    pub(super) const fn new() -> Self {
        Self(Timestamp::MIN)
    }

    /// Returns the time of a record written `now`.
    fn next(&mut self, now: Timestamp) -> Timestamp {
        let ahead = self.0.duration_since(now);
        let too_close = !ahead.is_negative() && ahead < SignedDuration::from_secs(1);
        self.0 = if too_close {
            self.0 + SignedDuration::from_nanos(1)
        } else {
            now
        };
        self.0
    }
}

/// Encoder of one stream, with its incomplete line.
#[derive(Debug)]
pub(super) struct RecordWriter {
    stream: &'static str,
    pending: Vec<u8>,
}

impl RecordWriter {
    #[must_use]
    pub(super) fn new(stream: &'static str) -> Self {
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Encodes bytes received at `now` into `out`.
    pub(super) fn push(
        &mut self,
        now: Timestamp,
        timestamps: &mut Timestamps,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) {
        while !bytes.is_empty() {
            let space = MAX_PIECE - self.pending.len();
            let line_end = bytes.iter().take(space + 1).position(|byte| *byte == b'\n');
            if let Some(end) = line_end {
                self.record(timestamps.next(now), b"F", &bytes[..end], out);
                bytes = &bytes[end + 1..];
            } else if bytes.len() > space {
                self.record(timestamps.next(now), b"P", &bytes[..space], out);
                bytes = &bytes[space..];
            } else {
                self.pending.extend_from_slice(bytes);
                bytes = &[];
            }
        }
    }

    /// Ends the stream: an incomplete line becomes a partial record.
    pub(super) fn finish(
        &mut self,
        now: Timestamp,
        timestamps: &mut Timestamps,
        out: &mut Vec<u8>,
    ) {
        if !self.pending.is_empty() {
            self.record(timestamps.next(now), b"P", &[], out);
        }
    }

    fn record(&mut self, at: Timestamp, tag: &[u8], rest: &[u8], out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{at:.9} ");
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
        let (mut writer, mut out) = (RecordWriter::new("stdout"), Vec::new());
        let mut timestamps = Timestamps::new();
        for chunk in chunks {
            writer.push(Timestamp::UNIX_EPOCH, &mut timestamps, chunk, &mut out);
        }
        writer.finish(Timestamp::UNIX_EPOCH, &mut timestamps, &mut out);
        out.split(|byte| *byte == b'\n')
            .filter(|record| !record.is_empty())
            .map(|record| {
                let body = &record[b"1970-01-01T00:00:00.000000000Z stdout ".len()..];
                (char::from(body[0]), body.len() - 2)
            })
            .collect()
    }

    #[test]
    fn record_times_are_unique_and_follow_the_clock() {
        let mut timestamps = Timestamps::new();
        let mut writer = RecordWriter::new("stdout");
        let mut out = Vec::new();
        for second in [7, 7, 8, 2] {
            let now = Timestamp::from_second(second).unwrap();
            writer.push(now, &mut timestamps, b"a\nb\n", &mut out);
        }
        let times: Vec<&str> = std::str::from_utf8(&out)
            .unwrap()
            .lines()
            .map(|record| &record[17..30])
            .collect();
        assert_eq!(
            times,
            [
                "07.000000000Z",
                "07.000000001Z",
                "07.000000002Z",
                "07.000000003Z",
                "08.000000000Z",
                "08.000000001Z",
                "02.000000000Z",
                "02.000000001Z",
            ]
        );
    }

    #[test]
    fn encodes_lines_from_any_chunks() {
        let long = vec![b'x'; 3 * MAX_PIECE];
        let exact = [vec![b'x'; MAX_PIECE], vec![b'\n']].concat();
        for (chunks, expected) in [
            (vec![&b"a\nbb\n"[..]], vec![('F', 1), ('F', 2)]),
            (vec![&b"a"[..], b"b", b"\n"], vec![('F', 2)]),
            (vec![&b"\n\n"[..]], vec![('F', 0), ('F', 0)]),
            (vec![&b"no end"[..]], vec![('P', 6)]),
            (vec![], vec![]),
            (vec![&exact[..]], vec![('F', MAX_PIECE)]),
            (
                vec![&long[..], b"\n"],
                vec![('P', MAX_PIECE), ('P', MAX_PIECE), ('F', MAX_PIECE)],
            ),
            (
                vec![&long[..10], &long, b"!\n"],
                vec![
                    ('P', MAX_PIECE),
                    ('P', MAX_PIECE),
                    ('P', MAX_PIECE),
                    ('F', 11),
                ],
            ),
        ] {
            assert_eq!(records(&chunks), expected);
        }
    }
}
