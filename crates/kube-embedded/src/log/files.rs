//! The files of one log as one: positions run over all of them. Blocking.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use super::records;
use crate::attempt::Attempt;

/// Bytes of a window that surely holds the start of a record: a piece of 16 KiB and what is around it, twice.
const WINDOW: u64 = 40 * 1024;
/// How near the search for a moment goes.
const NEAR: u64 = 64 * 1024;

/// One file, as it was when it was opened. Only the newest still grows.
pub struct LogPart {
    pub number: u32,
    pub file: File,
    /// Where it begins among all of them.
    start: u64,
    length: u64,
}

/// The files there were.
pub struct LogFiles(Vec<LogPart>);

impl LogFiles {
    /// Opens every file of the log, so that none goes while it is read.
    pub fn open(attempt: &Attempt) -> io::Result<Self> {
        let mut parts: Vec<LogPart> = Vec::new();
        let mut start = 0;
        for number in attempt.log_files()? {
            let file = match File::open(attempt.log_path(number)) {
                // Gone since it was listed: the oldest.
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

    /// The bytes from one position to another.
    pub fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
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

    /// A position with no record of `time` (as a record has it) or later before it, and not many older ones behind it.
    /// Looks at a few places only, however long the log is.
    pub fn position_of(&self, time: &str) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.length());
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            let window = self.read(middle, (middle + WINDOW).min(high))?;
            match records::first_time(&window) {
                Some((at, found)) if found < time.as_bytes() => low = middle + at as u64,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Where the last `lines` lines begin, looking at no more than twice what they take.
    pub fn position_of_tail(&self, lines: u64) -> io::Result<u64> {
        let length = self.length();
        let mut window = NEAR;
        loop {
            let start = length.saturating_sub(window);
            let bytes = self.read(start, length)?;
            if let Some(at) = records::tail(&bytes, start == 0, lines) {
                return Ok(start + at as u64);
            }
            window *= 2;
        }
    }

    /// At most the last `bytes` bytes, beginning with a record.
    pub fn end(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let length = self.length();
        let start = length.saturating_sub(bytes);
        let mut read = self.read(start, length)?;
        if start > 0 {
            let first = read.iter().position(|byte| *byte == b'\n');
            read.drain(..first.map_or(read.len(), |end| end + 1));
        }
        Ok(read)
    }

    /// The files from `position` on, the first of them set to it.
    pub fn from(self, position: u64) -> io::Result<Vec<LogPart>> {
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
    fn a_moment_is_found_across_files_without_reading_them() {
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
        assert!(files.length() - end <= NEAR);
    }

    #[test]
    fn the_last_lines_are_found_across_files() {
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
