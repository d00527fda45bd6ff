//! The files of one log, addressed as one. Blocking.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::records;
use crate::attempt::Attempt;

/// Size of a window that contains the start of a record: twice a 16 KiB piece with its header.
const WINDOW: u64 = 40 * 1024;
/// Distance at which the binary search for a time stops.
const SEARCH_STEP: u64 = 64 * 1024;

/// One open file. Only the newest still grows.
pub(super) struct LogPart {
    pub number: u32,
    pub file: File,
    /// Position of its first byte in the whole log.
    start: u64,
    length: u64,
}

/// The open files of a log.
pub(super) struct LogFiles(Vec<LogPart>);

impl LogFiles {
    /// Opens all files of the log, so that rotation cannot remove one while it is read.
    pub(super) fn open(attempt: &Attempt) -> io::Result<Self> {
        let mut parts: Vec<LogPart> = Vec::new();
        let mut start = 0;
        for number in attempt.log_files()? {
            let file = match File::open(attempt.log_path(number)) {
                // The oldest file may have been removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let length = file.metadata()?.len();
            parts.push(LogPart {
                number,
                file,
                start,
                length,
            });
            start += length;
        }
        if parts.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self(parts))
    }

    fn length(&self) -> u64 {
        self.0.last().map_or(0, |last| last.start + last.length)
    }

    /// Reads the bytes between two positions.
    pub(super) fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            let first = from.max(part.start);
            let end = to.min(part.start + part.length);
            if first < end {
                let mut file = &part.file;
                file.seek(SeekFrom::Start(first - part.start))?;
                file.take(end - first).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }

    /// Returns a position shortly before the first record at or after `time` (in the format of a record). Binary
    /// search: reads only a few windows.
    pub(super) fn position_of(&self, time: &str) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.length());
        while high - low > SEARCH_STEP {
            let middle = low + (high - low) / 2;
            let window = self.read(middle, (middle + WINDOW).min(high))?;
            match records::first_time(&window) {
                Some((at, found)) if found < time.as_bytes() => low = middle + at as u64,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Returns where the last `lines` lines begin, reading at most twice their size.
    pub(super) fn position_of_tail(&self, lines: u64) -> io::Result<u64> {
        let length = self.length();
        let mut window = SEARCH_STEP;
        loop {
            let start = length.saturating_sub(window);
            let bytes = self.read(start, length)?;
            if let Some(at) = records::tail(&bytes, start == 0, lines) {
                return Ok(start + at as u64);
            }
            window *= 2;
        }
    }

    /// Reads at most the last `bytes` bytes, starting at a record.
    pub(super) fn end(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let length = self.length();
        let start = length.saturating_sub(bytes);
        let mut read = self.read(start, length)?;
        if start > 0 {
            let first = read.iter().position(|byte| *byte == b'\n');
            read.drain(..first.map_or(read.len(), |end| end + 1));
        }
        Ok(read)
    }

    /// Returns the files from `position` on, the first one positioned there.
    pub(super) fn from(self, position: u64) -> io::Result<Vec<LogPart>> {
        let last = self.0.last().map(|part| part.number);
        let mut rest: Vec<LogPart> = self
            .0
            .into_iter()
            .filter(|part| part.start + part.length > position || Some(part.number) == last)
            .collect();
        for part in &mut rest {
            let inside = position.saturating_sub(part.start);
            part.file.seek(SeekFrom::Start(inside))?;
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn log(directory: &std::path::Path, files: u32, records: u32) -> Attempt {
        let attempt = Attempt::new(directory);
        for number in 0..files {
            let mut text = String::new();
            for record in 0..records {
                let second = number * records + record;
                writeln!(text, "{second:08} stdout F {}", "x".repeat(200)).unwrap();
            }
            std::fs::write(attempt.log_path(number), text).unwrap();
        }
        attempt
    }

    #[test]
    fn finds_time_across_files() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = log(directory.path(), 3, 2000);
        let files = LogFiles::open(&attempt).unwrap();
        for second in [0, 1, 1999, 2000, 3456, 5999] {
            let time = format!("{second:08}");
            let at = files.position_of(&time).unwrap();
            let read = files.read(at, files.length()).unwrap();
            let text = String::from_utf8(read).unwrap();
            let first: u32 = text[..8].parse().unwrap();
            assert!(first <= second, "{second} lies before {first}");
            assert!(second - first < 400, "{second} is far behind {first}");
        }
        let end = files.position_of("99999999").unwrap();
        assert!(files.length() - end <= SEARCH_STEP);
    }

    #[test]
    fn finds_last_lines_across_files() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = log(directory.path(), 3, 10);
        let files = LogFiles::open(&attempt).unwrap();
        let at = files.position_of_tail(12).unwrap();
        let mut parts = files.from(at).unwrap();
        let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [1, 2]);
        let mut text = String::new();
        parts[0].file.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("00000018 "), "{text}");
    }
}
