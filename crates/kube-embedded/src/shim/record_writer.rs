//! Turns the bytes of a stream into the records of a log file: `<time> <stream> F|P <bytes>`, one a line.
//!
//! `F` ends a line, `P` is a piece of one. Pure: the time is handed in.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};

/// Longest piece of a line in one record, in bytes.
const PIECE: usize = 16 * 1024;

/// Tells the records of one log apart by their times.
///
/// A container runtime takes the time anew for every record. Here many come in at once, and followers may take two lines of one
/// time for one line seen twice (kubetui 1.14 does): each is therefore a nanosecond later than the one before.
#[derive(Debug)]
pub struct Stamps(Timestamp);

impl Stamps {
    #[must_use]
    pub const fn new() -> Self {
        Self(Timestamp::MIN)
    }

    /// The time of a record written `now`. A clock that was set back is followed.
    fn next(&mut self, now: Timestamp) -> Timestamp {
        let ahead = self.0.duration_since(now);
        let crowded = !ahead.is_negative() && ahead < SignedDuration::from_secs(1);
        self.0 = if crowded {
            self.0 + SignedDuration::from_nanos(1)
        } else {
            now
        };
        self.0
    }
}

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

    /// Adds what came in at `now`; whole records go to `out`.
    pub fn push(
        &mut self,
        now: Timestamp,
        stamps: &mut Stamps,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) {
        while !bytes.is_empty() {
            let room = PIECE - self.pending.len();
            let line = bytes.iter().take(room + 1).position(|byte| *byte == b'\n');
            if let Some(end) = line {
                self.record(stamps.next(now), b"F", &bytes[..end], out);
                bytes = &bytes[end + 1..];
            } else if bytes.len() > room {
                self.record(stamps.next(now), b"P", &bytes[..room], out);
                bytes = &bytes[room..];
            } else {
                self.pending.extend_from_slice(bytes);
                bytes = &[];
            }
        }
    }

    /// The stream has ended: an unfinished line goes out as the piece it is.
    pub fn finish(&mut self, now: Timestamp, stamps: &mut Stamps, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            self.record(stamps.next(now), b"P", &[], out);
        }
    }

    fn record(&mut self, at: Timestamp, tag: &[u8], rest: &[u8], out: &mut Vec<u8>) {
        // Memory takes whatever is written to it.
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
        let (mut lines, mut out) = (Lines::new("stdout"), Vec::new());
        let mut stamps = Stamps::new();
        for chunk in chunks {
            lines.push(Timestamp::UNIX_EPOCH, &mut stamps, chunk, &mut out);
        }
        lines.finish(Timestamp::UNIX_EPOCH, &mut stamps, &mut out);
        out.split(|byte| *byte == b'\n')
            .filter(|record| !record.is_empty())
            .map(|record| {
                let body = &record[b"1970-01-01T00:00:00.000000000Z stdout ".len()..];
                (char::from(body[0]), body.len() - 2)
            })
            .collect()
    }

    #[test]
    fn every_record_has_a_time_of_its_own_and_a_clock_set_back_is_followed() {
        let mut stamps = Stamps::new();
        let mut lines = Lines::new("stdout");
        let mut out = Vec::new();
        for second in [7, 7, 8, 2] {
            let now = Timestamp::from_second(second).unwrap();
            lines.push(now, &mut stamps, b"a\nb\n", &mut out);
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
