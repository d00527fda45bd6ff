//! A container's log as a stream of the bytes it wrote: from where it was asked to, and on until the container ends.
//!
//! Follows by the file system's own notices, never by looking again and again. Knows nothing of pods.

mod changes;
mod records;

use std::{
    io::{self, SeekFrom},
    sync::Arc,
};

use futures::{Stream, stream};
use hyper::body::Bytes;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};

use super::attempt::Attempt;
pub use changes::Changes;
use changes::Listener;
use records::Reader;
pub use records::Selection;

const BUFFER: usize = 64 * 1024;

/// Which part of a log, in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Goes on until the container ends.
    pub follow: bool,
    /// Only the last lines.
    pub tail: Option<u64>,
    pub selection: Selection,
}

/// The log of `attempt`. Ends when all that was asked for has been read; an error ends it too.
pub async fn stream(
    attempt: Attempt,
    options: LogOptions,
    changes: &Arc<Changes>,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let listener = if options.follow && !attempt.is_over() {
        Some(changes.listen(attempt.directory())?)
    } else {
        None
    };
    let mut file = File::open(attempt.log_path()).await?;
    if let Some(lines) = options.tail {
        seek_to_tail(&mut file, lines).await?;
    }
    let tailing = Tailing {
        file,
        reader: Reader::new(&options.selection),
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

struct Tailing {
    file: File,
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
            match &self.listener {
                Some(_) if !self.over && self.attempt.is_over() => self.over = true,
                Some(listener) if !self.over => listener.changed().await,
                _ => {
                    self.reader.finish(&mut out);
                    self.done = true;
                    return Ok((!out.is_empty()).then(|| out.into()));
                }
            }
        }
    }
}

/// Moves to where the last `lines` lines begin, looking at no more of the file than twice what they take.
async fn seek_to_tail(file: &mut File, lines: u64) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0)).await?;
    let mut window = BUFFER as u64;
    loop {
        let start = length.saturating_sub(window);
        file.seek(SeekFrom::Start(start)).await?;
        let mut bytes = vec![0; (length - start) as usize];
        file.read_exact(&mut bytes).await?;
        if let Some(at) = records::tail(&bytes, start == 0, lines) {
            file.seek(SeekFrom::Start(start + at as u64)).await?;
            return Ok(());
        }
        window *= 2;
    }
}
