//! A container's log as a stream of the bytes it wrote: from where it was asked to, and on until the container ends.
//!
//! Read as one are all files of the log that are kept, not only the newest as on a kubelet: what has rotated away is absent,
//! and nothing else.
//!
//! Follows by the file system's own notices, never by looking again and again. Knows nothing of pods.

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
use records::Reader;

const BUFFER: usize = 64 * 1024;

/// Which part of a log, in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Goes on until the container ends.
    pub follow: bool,
    /// Only the last lines.
    pub tail: Option<u64>,
    pub filter: LogFilter,
}

/// The log of `attempt`. Ends when all that was asked for has been read; an error ends it too.
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
    let mut ahead = VecDeque::from(opened);
    let first = ahead.pop_front().ok_or(io::ErrorKind::NotFound)?;
    let tailing = Tailing {
        file: File::from_std(first.file),
        number: first.number,
        ahead,
        full: false,
        reader: Reader::new(&options.filter),
        attempt,
        listener,
        over: false,
        done: false,
        buffer: vec![0; BUFFER],
    };
    Ok(stream::unfold(tailing, |mut tailing| async {
        if tailing.done {
            return None;
        }
        let item = tailing.next().await.transpose()?;
        tailing.done |= item.is_err();
        Some((item, tailing))
    }))
}

/// The files to read, from where what was asked for begins.
fn open(attempt: &Attempt, options: &LogOptions) -> io::Result<Vec<LogPart>> {
    let files = LogFiles::open(attempt)?;
    let since = options.filter.since.map(records::time);
    let since = since.map_or(Ok(0), |time| files.position_of(&time))?;
    let tail = options.tail;
    let tail = tail.map_or(Ok(0), |lines| files.position_of_tail(lines))?;
    files.from(since.max(tail))
}

struct Tailing {
    file: File,
    /// Number of that file.
    number: u32,
    /// Files that come after it.
    ahead: VecDeque<LogPart>,
    /// The next file has been begun, so nothing more comes into this one.
    full: bool,
    reader: Reader,
    attempt: Attempt,
    /// Present when following.
    listener: Option<Listener>,
    /// The container had ended before the last look at the file.
    over: bool,
    done: bool,
    buffer: Vec<u8>,
}

impl Tailing {
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
            if !self.go_on().await? {
                self.reader.finish(&mut out);
                self.done = true;
                return Ok((!out.is_empty()).then(|| out.into()));
            }
        }
    }

    /// The file has been read to its end: whether there is more, or may be, once there is.
    async fn go_on(&mut self) -> io::Result<bool> {
        if let Some(next) = self.ahead.pop_front() {
            self.turn_to(next.number, File::from_std(next.file));
            return Ok(true);
        }
        let Some(listener) = &self.listener else {
            return Ok(false);
        };
        if let Some(newer) = self.newer()? {
            if !self.full {
                // Something may have come into this one before the next was begun.
                self.full = true;
                return Ok(true);
            }
            match File::open(self.attempt.log_path(newer)).await {
                Ok(file) => self.turn_to(newer, file),
                // It went while it was opened: the reader is slower than the container by the whole log.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            return Ok(true);
        }
        if self.over {
            return Ok(false);
        }
        if self.attempt.is_over() {
            self.over = true;
        } else {
            listener.changed().await;
        }
        Ok(true)
    }

    /// The file after this one.
    fn newer(&self) -> io::Result<Option<u32>> {
        match self.attempt.log_files() {
            Ok(numbers) => Ok(numbers.into_iter().find(|number| *number > self.number)),
            // The pod is gone with all it had.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn turn_to(&mut self, number: u32, file: File) {
        (self.number, self.file, self.full) = (number, file, false);
        self.reader.next_file();
    }
}

/// The last of what a container wrote: at most `lines` lines and `bytes` bytes. Blocking.
pub fn last_lines(attempt: &Attempt, lines: usize, bytes: usize) -> io::Result<Vec<u8>> {
    // Records are longer than what they hold; the shortest line takes some forty bytes.
    let records = LogFiles::open(attempt)?.end(bytes as u64 * 32)?;
    let (mut reader, mut text) = (Reader::new(&LogFilter::default()), Vec::new());
    reader.push(&records, &mut text);
    reader.finish(&mut text);
    let body = text.strip_suffix(b"\n").unwrap_or(&text);
    let before = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(lines.saturating_sub(1));
    let by_lines = before.map_or(0, |(at, _)| at + 1);
    Ok(text.split_off(by_lines.max(text.len().saturating_sub(bytes))))
}
