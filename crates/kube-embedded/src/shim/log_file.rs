//! Writes the log of a container as whole records, in files of limited size, the oldest of which are removed.
//!
//! A full disk must not stop the container: records that cannot be written are dropped, and a note is written once
//! there is space.

use std::{
    fs::{self, File},
    io::{self, Write},
};

use jiff::Timestamp;

use crate::attempt::Attempt;

/// Writer of a log's files.
pub(super) struct LogFile {
    attempt: Attempt,
    number: u32,
    file: File,
    /// Size of the newest file, in bytes.
    length: u64,
    /// Maximum size of a file, in bytes.
    limit: u64,
    /// Maximum number of files.
    keep: u32,
    /// Bytes dropped since the last successful write, and the error.
    dropped: Option<(usize, io::Error)>,
}

impl LogFile {
    /// Continues after the newest file. `limit` is the maximum size of a file, `keep` the maximum number of files.
    pub(super) fn open(attempt: &Attempt, limit: u64, keep: u32) -> io::Result<Self> {
        let number = attempt.log_files()?.last().copied().unwrap_or(0);
        let file = File::options()
            .create(true)
            .append(true)
            .open(attempt.log_path(number))?;
        Ok(Self {
            length: file.metadata()?.len(),
            attempt: attempt.clone(),
            number,
            file,
            limit,
            keep: keep.max(1),
            dropped: None,
        })
    }

    /// Writes whole records at the time `now`.
    pub(super) fn write(&mut self, now: Timestamp, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        if let Some((bytes, error)) = &self.dropped {
            // The line break ends a partially written record.
            let note = format!(
                "\n{now:.9} stderr F {bytes} bytes of this log could not be written: {error}\n"
            );
            if self.file.write_all(note.as_bytes()).is_err() {
                return self.drop_bytes(records.len(), None);
            }
            self.length += note.len() as u64;
            self.dropped = None;
        }
        let mut rest = records;
        while !rest.is_empty() {
            let fitting = match fitting(rest, self.limit.saturating_sub(self.length)) {
                0 if self.length > 0 && self.rotate().is_ok() => continue,
                // A record longer than a file, or the next file cannot be created.
                0 => first_record(rest),
                fitting => fitting,
            };
            if let Err(error) = self.file.write_all(&rest[..fitting]) {
                return self.drop_bytes(rest.len(), Some(error));
            }
            self.length += fitting as u64;
            rest = &rest[fitting..];
        }
    }

    fn drop_bytes(&mut self, bytes: usize, error: Option<io::Error>) {
        match (&mut self.dropped, error) {
            (Some((dropped, _)), _) => *dropped += bytes,
            (None, Some(error)) => self.dropped = Some((bytes, error)),
            (None, None) => {}
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        self.file = File::options()
            .create(true)
            .append(true)
            .open(self.attempt.log_path(number))?;
        (self.number, self.length) = (number, 0);
        if let Some(old) = number.checked_sub(self.keep) {
            // Removed with the attempt, otherwise.
            let _ = fs::remove_file(self.attempt.log_path(old));
        }
        Ok(())
    }
}

/// Returns the length of the whole records at the start of `records` that fit into `space` bytes.
fn fitting(records: &[u8], space: u64) -> usize {
    let space = usize::try_from(space).unwrap_or(usize::MAX);
    if records.len() <= space {
        return records.len();
    }
    let end = records[..space].iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

/// Returns the length of the first record.
fn first_record(records: &[u8]) -> usize {
    let end = records.iter().position(|byte| *byte == b'\n');
    end.map_or(records.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(attempt: &Attempt) -> Vec<String> {
        let numbers = attempt.log_files().unwrap();
        numbers
            .into_iter()
            .map(|number| fs::read_to_string(attempt.log_path(number)).unwrap())
            .collect()
    }

    #[test]
    fn rotates_at_record_boundaries() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = Attempt::new(directory.path());
        let mut log = LogFile::open(&attempt, 8, 3).unwrap();
        log.write(Timestamp::UNIX_EPOCH, b"1\n22\n333\n4444444444\n5\n");
        assert_eq!(files(&attempt), ["333\n", "4444444444\n", "5\n"]);
        drop(log);
        let mut log = LogFile::open(&attempt, 8, 3).unwrap();
        log.write(Timestamp::UNIX_EPOCH, b"66\n");
        assert_eq!(files(&attempt), ["333\n", "4444444444\n", "5\n66\n"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn notes_dropped_bytes_when_disk_has_space() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = Attempt::new(directory.path());
        let mut log = LogFile::open(&attempt, 1000, 3).unwrap();
        log.write(Timestamp::UNIX_EPOCH, b"T stdout F one\n");
        let whole = std::mem::replace(
            &mut log.file,
            File::options().write(true).open("/dev/full").unwrap(),
        );
        log.write(Timestamp::UNIX_EPOCH, b"T stdout F two\n");
        log.write(Timestamp::UNIX_EPOCH, b"T stdout F three\n");
        log.file = whole;
        log.write(Timestamp::UNIX_EPOCH, b"T stdout F four\n");
        let text = files(&attempt).concat();
        let lines: Vec<&str> = text
            .lines()
            .filter(|first_record| !first_record.is_empty())
            .collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[1].starts_with("1970-01-01T00:00:00.000000000Z stderr F 32 bytes of this log could not be written: No space"),
            "{text}"
        );
        assert_eq!(lines[2], "T stdout F four");
    }
}
