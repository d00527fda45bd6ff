//! Streams a container's log, as the bytes the container wrote, from a requested position until the container ends.
//!
//! Reads all retained log files as one, not only the newest as a kubelet does.
//!
//! Follows by file system notifications, without polling. Knows nothing of pods.

mod files;
mod notifier;
mod records;

use std::{collections::VecDeque, io, sync::Arc};

use futures::{Stream, stream};
use hyper::body::Bytes;
use tokio::{fs::File, io::AsyncReadExt};

use super::attempt::Attempt;
use files::{LogFiles, LogPart};
use notifier::Listener;
pub use notifier::LogNotifier;
pub use records::LogFilter;
use records::RecordReader;

const BUFFER: usize = 64 * 1024;

/// Which part of a log to read, and in which format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to follow the log until the container ends.
    pub follow: bool,
    /// Number of lines from the end; `None` for all.
    pub tail: Option<u64>,
    pub filter: LogFilter,
}

/// Streams the log of `attempt`. The stream ends after everything requested has been read, or with an error.
pub async fn stream(
    attempt: Attempt,
    options: LogOptions,
    changes: &Arc<LogNotifier>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let listener = if options.follow && !attempt.is_over() {
        Some(changes.listen(attempt.directory())?)
    } else {
        None
    };
    let (opened, options) = tokio::task::spawn_blocking({
        let attempt = attempt.clone();
        move || open(&attempt, &options).map(|opened| (opened, options))
    })
    .await
    .map_err(io::Error::other)??;
    let mut pending = VecDeque::from(opened);
    let first = pending.pop_front().ok_or(io::ErrorKind::NotFound)?;
    let log = LogStream {
        file: File::from_std(first.file),
        number: first.number,
        pending,
        rotated: false,
        reader: RecordReader::new(&options.filter),
        attempt,
        listener,
        ended: false,
        done: false,
        buffer: vec![0; BUFFER],
    };
    Ok(stream::unfold(log, |mut log| async {
        if log.done {
            return None;
        }
        let item = log.next().await.transpose()?;
        log.done |= item.is_err();
        Some((item, log))
    }))
}

/// Opens the files to read, positioned where the requested part begins.
fn open(attempt: &Attempt, options: &LogOptions) -> io::Result<Vec<LogPart>> {
    let files = LogFiles::open(attempt)?;
    let since = options.filter.since.map(records::time);
    let since = since.map_or(Ok(0), |time| files.position_of(&time))?;
    let tail = options.tail;
    let tail = tail.map_or(Ok(0), |lines| files.position_of_tail(lines))?;
    files.from(since.max(tail))
}

struct LogStream {
    file: File,
    /// Number of `file`.
    number: u32,
    /// Files after `file` that are already open.
    pending: VecDeque<LogPart>,
    /// Whether the next file exists, so that this one no longer grows.
    rotated: bool,
    reader: RecordReader,
    attempt: Attempt,
    /// `None` unless following.
    listener: Option<Listener>,
    /// Whether the container had ended before the last read.
    ended: bool,
    done: bool,
    buffer: Vec<u8>,
}

impl LogStream {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut out = Vec::new();
        loop {
            let length = self.file.read(&mut self.buffer).await?;
            if length > 0 {
                self.reader.push(&self.buffer[..length], &mut out);
                self.done = self.reader.is_full();
                if !out.is_empty() || self.done {
                    return Ok((!out.is_empty()).then(|| out.into()));
                }
                continue;
            }
            if !self.advance().await? {
                self.reader.finish(&mut out);
                self.done = true;
                return Ok((!out.is_empty()).then(|| out.into()));
            }
        }
    }

    /// Moves on after the end of the file. Returns whether there may be more; waits for it when following.
    async fn advance(&mut self) -> io::Result<bool> {
        if let Some(next) = self.pending.pop_front() {
            self.switch_to(next.number, File::from_std(next.file));
            return Ok(true);
        }
        let Some(listener) = &self.listener else {
            return Ok(false);
        };
        if let Some(next_number) = self.next_number()? {
            if !self.rotated {
                // The shim may have written to this file before it started the next: read once more.
                self.rotated = true;
                return Ok(true);
            }
            match File::open(self.attempt.log_path(next_number)).await {
                Ok(file) => self.switch_to(next_number, file),
                // Removed since it was listed: the reader is a whole log behind.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        if self.attempt.is_over() {
            self.ended = true;
        } else {
            listener.changed().await;
        }
        Ok(true)
    }

    /// Returns the number of the file after this one.
    fn next_number(&self) -> io::Result<Option<u32>> {
        match self.attempt.log_files() {
            Ok(numbers) => Ok(numbers.into_iter().find(|number| *number > self.number)),
            // The pod and its directory are gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn switch_to(&mut self, number: u32, file: File) {
        (self.number, self.file, self.rotated) = (number, file, false);
        self.reader.next_file();
    }
}

/// Returns the end of a log: at most `lines` lines and `bytes` bytes. Blocking.
pub fn last_lines(attempt: &Attempt, lines: usize, bytes: usize) -> io::Result<Vec<u8>> {
    // Records are longer than their text: the shortest line takes about forty bytes.
    let records = LogFiles::open(attempt)?.end(bytes as u64 * 32)?;
    let (mut reader, mut text) = (RecordReader::new(&LogFilter::default()), Vec::new());
    reader.push(&records, &mut text);
    reader.finish(&mut text);
    let body = text.strip_suffix(b"\n").unwrap_or(&text);
    let before = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(lines.saturating_sub(1));
    let start = before.map_or(0, |(at, _)| at + 1);
    Ok(text.split_off(start.max(text.len().saturating_sub(bytes))))
}
