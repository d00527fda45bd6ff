//! Parses the records of a log file and joins partial lines. Pure.

use jiff::Timestamp;

/// Maximum bytes of one stream held back while the other has an unfinished line.
const MAX_HELD: usize = 1024 * 1024;

/// A record: `<time> <stream> F|P <bytes>`.
struct Record<'a> {
    time: &'a [u8],
    stream: &'a [u8],
    whole: bool,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let (time, stream) = (parts.next()?, parts.next()?);
        let whole = parts.next()? == b"F";
        Some(Self {
            time,
            stream,
            whole,
            body: parts.next()?,
        })
    }
}

/// Returns the time of the first record that starts after the first line break of `window`, and its offset.
#[must_use]
pub(super) fn first_time(window: &[u8]) -> Option<(usize, &[u8])> {
    let start = window.iter().position(|byte| *byte == b'\n')? + 1;
    let length = window[start..].iter().position(|byte| *byte == b' ')?;
    Some((start, &window[start..start + length]))
}

/// Formats a time as in a record.
#[must_use]
pub(super) fn time(moment: Timestamp) -> String {
    format!("{moment:.9}")
}

/// Which part of a log is wanted, and in which format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Skips records written before this time.
    pub since: Option<Timestamp>,
    /// Prefixes each line with its time.
    pub timestamps: bool,
    /// Maximum number of bytes.
    pub limit: Option<u64>,
}

/// Decodes the bytes of a log file into the bytes the container wrote.
#[derive(Debug)]
pub(super) struct RecordReader {
    since: Option<String>,
    timestamps: bool,
    remaining: Option<u64>,
    /// An incomplete record at the end of the input.
    incomplete: Vec<u8>,
    open: Option<OpenLine>,
    /// Records of the other stream that arrived within the open line.
    held: Vec<u8>,
}

/// A line without its end.
#[derive(Debug)]
struct OpenLine {
    stream: Vec<u8>,
    /// Whether part of it has been written.
    written: bool,
}

impl RecordReader {
    #[must_use]
    pub(super) fn new(selection: &LogFilter) -> Self {
        Self {
            since: selection.since.map(time),
            timestamps: selection.timestamps,
            remaining: selection.limit,
            incomplete: Vec::new(),
            open: None,
            held: Vec::new(),
        }
    }

    /// Returns whether the limit has been reached.
    #[must_use]
    pub(super) fn is_full(&self) -> bool {
        self.remaining == Some(0)
    }

    /// Starts the next file; an incomplete record of the last one is discarded.
    pub(super) fn next_file(&mut self) {
        self.incomplete.clear();
    }

    /// Decodes more of the file into `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if self.incomplete.is_empty() {
                self.record(&rest[..end], out);
            } else {
                let mut line = std::mem::take(&mut self.incomplete);
                line.extend_from_slice(&rest[..end]);
                self.record(&line, out);
            }
            rest = &rest[end + 1..];
        }
        self.incomplete.extend_from_slice(rest);
    }

    /// Ends the log: an unfinished line is written as it is.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        while !self.held.is_empty() {
            self.end_open_line(out);
        }
    }

    fn record(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(record) = Record::parse(line) else {
            return;
        };
        let is_late = |since: &String| record.time >= since.as_bytes();
        let wanted = self.since.as_ref().is_none_or(is_late);
        let opening = match &self.open {
            Some(open) if open.stream == record.stream => !open.written,
            Some(_) if self.held.len() + line.len() < MAX_HELD => {
                self.held.extend_from_slice(line);
                self.held.push(b'\n');
                return;
            }
            Some(_) => {
                self.end_open_line(out);
                return self.record(line, out);
            }
            None => true,
        };
        if wanted {
            if opening && self.timestamps {
                self.emit(record.time, out);
                self.emit(b" ", out);
            }
            self.emit(record.body, out);
            if record.whole {
                self.emit(b"\n", out);
            }
        }
        if record.whole {
            self.open = None;
            self.release_held(out);
        } else if let Some(open) = &mut self.open {
            open.written |= wanted;
        } else {
            self.open = Some(OpenLine {
                stream: record.stream.to_vec(),
                written: wanted,
            });
        }
    }

    /// Ends the open line early, so that the records held back get lines of their own.
    fn end_open_line(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some_and(|open| open.written) {
            self.emit(b"\n", out);
        }
        self.release_held(out);
    }

    fn release_held(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        for line in held.split(|byte| *byte == b'\n') {
            self.record(line, out);
        }
    }

    fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let take = match &mut self.remaining {
            None => bytes.len(),
            Some(remaining) => {
                let take = bytes
                    .len()
                    .min(usize::try_from(*remaining).unwrap_or(usize::MAX));
                *remaining -= take as u64;
                take
            }
        };
        out.extend_from_slice(&bytes[..take]);
    }
}

/// Returns where the last `lines` lines begin in `window`, the end of a log file (`whole`: all of it). `None`: the
/// window is too small.
#[must_use]
pub(super) fn tail(window: &[u8], whole: bool, lines: u64) -> Option<usize> {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let first = if whole {
        0
    } else {
        window.iter().position(|byte| *byte == b'\n')? + 1
    };
    let mut starts = Vec::new();
    let mut open: Vec<&[u8]> = Vec::new();
    let mut at = first;
    for line in window[first..].split_inclusive(|byte| *byte == b'\n') {
        if let Some(record) = Record::parse(line) {
            let known = open.iter().position(|stream| *stream == record.stream);
            if known.is_none() {
                starts.push(at);
            }
            match (known, record.whole) {
                (Some(index), true) => {
                    open.remove(index);
                }
                (None, false) => open.push(record.stream),
                _ => {}
            }
        }
        at += line.len();
    }
    if lines == 0 {
        Some(window.len())
    } else if starts.len() > lines {
        Some(starts[starts.len() - lines])
    } else {
        whole.then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01T00:00:01.000000000Z stdout F one\n\
                       2026-01-01T00:00:02.000000000Z stdout P tw\n\
                       2026-01-01T00:00:02.500000000Z stderr F oh\n\
                       2026-01-01T00:00:03.000000000Z stdout F o\n\
                       2026-01-01T00:00:04.000000000Z stdout P thr";

    fn read(log: &str, selection: &LogFilter, step: usize) -> String {
        let (mut reader, mut out) = (RecordReader::new(selection), Vec::new());
        for chunk in log.as_bytes().chunks(step) {
            reader.push(chunk, &mut out);
        }
        reader.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn joins_pieces_without_mixing_streams() {
        let log = format!("{LOG}\n");
        for step in [1, 7, 1000] {
            assert_eq!(
                read(&log, &LogFilter::default(), step),
                "one\ntwo\noh\nthr",
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn waits_for_incomplete_record() {
        assert_eq!(read(LOG, &LogFilter::default(), 9), "one\ntwo\noh\n");
    }

    #[test]
    fn applies_filter() {
        let log = format!("{LOG}\n");
        let since = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let plain = LogFilter::default();
        for (selection, expected) in [
            (
                LogFilter {
                    since: since("2026-01-01T00:00:02.1Z"),
                    ..plain.clone()
                },
                "o\noh\nthr",
            ),
            (
                LogFilter {
                    limit: Some(6),
                    ..plain.clone()
                },
                "one\ntw",
            ),
            (
                LogFilter {
                    timestamps: true,
                    since: since("2026-01-01T00:00:02Z"),
                    ..plain
                },
                "2026-01-01T00:00:02.000000000Z two\n2026-01-01T00:00:02.500000000Z oh\n\
                 2026-01-01T00:00:04.000000000Z thr",
            ),
        ] {
            assert_eq!(read(&log, &selection, 11), expected);
        }
    }

    #[test]
    fn endless_line_does_not_block_other_stream() {
        let line = format!("T stderr F {}\n", "e".repeat(1024));
        let log = format!("T stdout P begun\n{}", line.repeat(MAX_HELD / 1024 + 2));
        let (mut reader, mut out) = (RecordReader::new(&LogFilter::default()), Vec::new());
        reader.push(log.as_bytes(), &mut out);
        assert!(out.starts_with(b"begun\neee"));
    }

    #[test]
    fn finds_last_lines() {
        let log = format!("{LOG}\n");
        let at = |text: &str| log.find(text).unwrap();
        for (lines, expected) in [
            (0, log.len()),
            (1, at("2026-01-01T00:00:04")),
            (2, at("2026-01-01T00:00:02.5")),
            (3, at("2026-01-01T00:00:02.0")),
            (4, 0),
            (99, 0),
        ] {
            assert_eq!(tail(log.as_bytes(), true, lines), Some(expected), "{lines}");
        }
        let window = &log.as_bytes()[50..];
        assert_eq!(
            tail(window, false, 1).map(|at| at + 50),
            Some(at("2026-01-01T00:00:04"))
        );
        assert_eq!(tail(window, false, 4), None);
    }
}
