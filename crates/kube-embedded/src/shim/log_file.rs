//! The log as a shim writes it: whole records, in files of bounded size, of which the oldest go.
//!
//! A full disk must not stop the container: what cannot be written is dropped, and a record says so once there is room.

use std::{
    fs::{self, File},
    io::{self, Write},
};

use jiff::Timestamp;

use crate::attempt::Attempt;

/// The files of one log.
pub struct LogFile {
    attempt: Attempt,
    number: u32,
    file: File,
    /// Bytes in the newest file.
    length: u64,
    /// Bytes a file may have.
    limit: u64,
    /// Files that are kept.
    keep: u32,
    /// What could not be written since something last could: bytes, and why.
    lost: Option<(usize, io::Error)>,
}

impl LogFile {
    /// Goes on where the newest file ends. `limit`: bytes of one file; `keep`: files, at least one.
    pub fn open(attempt: &Attempt, limit: u64, keep: u32) -> io::Result<Self> {
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
            lost: None,
        })
    }

    /// Writes whole records. `now` is when.
    pub fn write(&mut self, now: Timestamp, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        if let Some((bytes, error)) = &self.lost {
            // The line break ends the record that was cut off.
            let note = format!(
                "\n{now:.9} stderr F {bytes} bytes of this log could not be written: {error}\n"
            );
            if self.file.write_all(note.as_bytes()).is_err() {
                return self.lose(records.len(), None);
            }
            self.length += note.len() as u64;
            self.lost = None;
        }
        let mut rest = records;
        while !rest.is_empty() {
            let fitting = match fitting(rest, self.limit.saturating_sub(self.length)) {
                0 if self.length > 0 && self.begin_next().is_ok() => continue,
                // Longer than any file may be, or there can be no next file.
                0 => line(rest),
                fitting => fitting,
            };
            if let Err(error) = self.file.write_all(&rest[..fitting]) {
                return self.lose(rest.len(), Some(error));
            }
            self.length += fitting as u64;
            rest = &rest[fitting..];
        }
    }

    fn lose(&mut self, bytes: usize, error: Option<io::Error>) {
        match (&mut self.lost, error) {
            (Some((lost, _)), _) => *lost += bytes,
            (None, Some(error)) => self.lost = Some((bytes, error)),
            (None, None) => {}
        }
    }

    fn begin_next(&mut self) -> io::Result<()> {
        let number = self.number + 1;
        self.file = File::options()
            .create(true)
            .append(true)
            .open(self.attempt.log_path(number))?;
        (self.number, self.length) = (number, 0);
        if let Some(old) = number.checked_sub(self.keep) {
            // What cannot be removed now goes with the attempt.
            let _ = fs::remove_file(self.attempt.log_path(old));
        }
        Ok(())
    }
}

/// Length of the whole records at the start of `records` that `room` has place for.
fn fitting(records: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if records.len() <= room {
        return records.len();
    }
    let end = records[..room].iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

/// Length of the first record.
fn line(records: &[u8]) -> usize {
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
    fn files_hold_whole_records_up_to_their_size_and_the_oldest_go() {
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
    fn what_a_full_disk_swallowed_is_counted_once_there_is_room() {
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
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[1].starts_with("1970-01-01T00:00:00.000000000Z stderr F 32 bytes of this log could not be written: No space"),
            "{text}"
        );
        assert_eq!(lines[2], "T stdout F four");
    }
}
