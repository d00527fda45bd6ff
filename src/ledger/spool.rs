//! The log of a run on disk: appended while it streams, each line once however often it is followed.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use super::{
    LedgerError,
    file::{self, failed},
    line::Line,
};
use crate::cluster::logs::{LogEvent, LogLine, LogSource, Notice};

pub(super) const LOG: &str = "log.jsonl";
const LOCK: &str = "lock";

/// Seconds behind the newest line in which a line may still be new: pipes are written down slightly out of order.
const SLACK: i64 = 1;

/// What is stored of one source. A log is always followed from its first line on, so that what is stored is a start of it.
#[derive(Debug, Default)]
struct Stored {
    newest: Option<i64>,
    /// Names of the lines of the last seconds.
    recent: HashSet<(Timestamp, u32)>,
    ended: bool,
}

/// The one writer of a run's log.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    file: File,
    /// Held as long as this lives.
    _lock: Flock<File>,
    numbers: HashMap<Arc<LogSource>, usize>,
    stored: Vec<Stored>,
    size: u64,
    limit: u64,
    full: bool,
    /// Bytes of lines that were taken and not written yet.
    buffer: Vec<u8>,
}

impl Spool {
    /// `None` when another process has it.
    pub(super) fn open(folder: &Path, limit: u64) -> Result<Option<Self>, LedgerError> {
        let lock = file::open(&folder.join(LOCK))?;
        let Ok(lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
            return Ok(None);
        };
        let path = folder.join(LOG);
        let mut spool = Self {
            file: file::open(&path)?,
            path,
            _lock: lock,
            numbers: HashMap::new(),
            stored: Vec::new(),
            size: 0,
            limit,
            full: false,
            buffer: Vec::new(),
        };
        spool.recall()?;
        Ok(Some(spool))
    }

    /// Learns what is stored, and takes away what a crash left half written.
    fn recall(&mut self) -> Result<(), LedgerError> {
        let failed = failed(&self.path);
        let mut whole = 0;
        let mut bytes = Vec::new();
        let mut reader = BufReader::new(&self.file);
        loop {
            bytes.clear();
            let length = reader.read_until(b'\n', &mut bytes).map_err(&failed)?;
            if length == 0 || bytes.last() != Some(&b'\n') {
                break;
            }
            whole += length as u64;
            match Line::read(&bytes) {
                Some(Line::Source { s, source }) if s <= self.stored.len() => {
                    self.numbers.insert(Arc::new(source.into_owned()), s);
                    if s == self.stored.len() {
                        self.stored.push(Stored::default());
                    }
                }
                Some(Line::Text { s, at, ordinal, .. }) => {
                    if let Some(stored) = self.stored.get_mut(s) {
                        stored.is_new(at, ordinal);
                    }
                }
                Some(Line::Ended { s, .. }) => {
                    if let Some(stored) = self.stored.get_mut(s) {
                        stored.ended = true;
                    }
                }
                Some(Line::Full { .. }) => self.full = true,
                Some(Line::Source { .. } | Line::Notice { .. }) | None => {}
            }
        }
        self.file.set_len(whole).map_err(&failed)?;
        self.file.seek(SeekFrom::End(0)).map_err(&failed)?;
        self.size = whole;
        Ok(())
    }

    /// Takes events in their order, leaves out what is stored already, and has written the rest when it returns. After an
    /// error the spool is of no further use: drop it; what was half written is mended when the next one is opened.
    pub fn append(&mut self, events: &[LogEvent]) -> Result<(), LedgerError> {
        for event in events {
            match event {
                LogEvent::Line(line) => self.take_line(line),
                LogEvent::Notice(source, notice) => {
                    let s = self.number(source);
                    // What was said while the lines were stored for the first time need not be said again.
                    if !self.stored[s].ended {
                        let notice = notice.to_string().into();
                        self.push(&Line::Notice { s, notice });
                    }
                }
                LogEvent::SourceEnded(source) => {
                    let s = self.number(source);
                    if !std::mem::replace(&mut self.stored[s].ended, true) {
                        self.push(&Line::Ended { s, ended: true });
                    }
                }
                LogEvent::SourceStarted(source) => {
                    self.number(source);
                }
                LogEvent::RunEnded => {}
            }
        }
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(failed(&self.path))
    }

    fn take_line(&mut self, line: &LogLine) {
        let s = self.number(&line.source);
        if self.stored[s].is_new(line.at, line.ordinal) {
            self.push(&Line::Text {
                s,
                at: line.at,
                ordinal: line.ordinal,
                text: line.text.as_str().into(),
                left_out: line.left_out,
            });
        }
    }

    /// The number of a source; a new one is written down.
    fn number(&mut self, source: &Arc<LogSource>) -> usize {
        if let Some(number) = self.numbers.get(source) {
            return *number;
        }
        let s = self.stored.len();
        self.stored.push(Stored::default());
        self.numbers.insert(Arc::clone(source), s);
        let source = std::borrow::Cow::Borrowed(source.as_ref());
        self.push(&Line::Source { s, source });
        s
    }

    fn push(&mut self, line: &Line<'_>) {
        if self.full {
            return;
        }
        let before = self.buffer.len();
        write_line(&mut self.buffer, line);
        let length = (self.buffer.len() - before) as u64;
        if self.size + length <= self.limit {
            self.size += length;
            return;
        }
        self.full = true;
        self.buffer.truncate(before);
        let kept = self.limit / (1024 * 1024);
        let full = format!("the ledger keeps {kept} MiB of a run's log; what follows is not kept");
        write_line(&mut self.buffer, &Line::Full { full: full.into() });
    }
}

/// Only a map with keys that are no text could fail to be written, and no line has one.
fn write_line(buffer: &mut Vec<u8>, line: &Line<'_>) {
    if serde_json::to_writer(&mut *buffer, line).is_ok() {
        buffer.push(b'\n');
    }
}

impl Stored {
    /// Whether a line is not stored yet; it is from now on.
    fn is_new(&mut self, at: Timestamp, ordinal: u32) -> bool {
        let second = at.as_second();
        let newest = self.newest.unwrap_or(second);
        if second < newest - SLACK || !self.recent.insert((at, ordinal)) {
            return false;
        }
        if second > newest || self.newest.is_none() {
            self.newest = Some(second);
            self.recent
                .retain(|(at, _)| at.as_second() >= second - SLACK);
        }
        true
    }
}

/// The events that were stored, in their order.
pub(super) fn read(folder: &Path) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
    let path = folder.join(LOG);
    let file = match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&path)(error)),
    };
    let mut sources: HashMap<usize, Arc<LogSource>> = HashMap::new();
    let lines = file.map(BufReader::new).into_iter().flat_map(|reader| {
        // Splitting bytes, not text: one bad byte must not end the log.
        reader.split(b'\n').map_while(Result::ok)
    });
    let mut last: Option<Arc<LogSource>> = None;
    Ok(lines.filter_map(move |bytes| {
        let mut known = |s: usize| {
            let source = sources.get(&s).cloned()?;
            last = Some(Arc::clone(&source));
            Some(source)
        };
        match Line::read(&bytes)? {
            Line::Source { s, source } => {
                let source = Arc::new(source.into_owned());
                sources.insert(s, Arc::clone(&source));
                last = Some(Arc::clone(&source));
                Some(LogEvent::SourceStarted(source))
            }
            Line::Text {
                s,
                at,
                ordinal,
                text,
                left_out,
            } => Some(LogEvent::Line(LogLine {
                source: known(s)?,
                at,
                ordinal,
                text: text.into_owned(),
                left_out,
            })),
            Line::Notice { s, notice } => Some(LogEvent::Notice(
                known(s)?,
                Notice::Server(notice.into_owned()),
            )),
            Line::Ended { s, .. } => Some(LogEvent::SourceEnded(known(s)?)),
            Line::Full { full } => Some(LogEvent::Notice(
                last.clone()?,
                Notice::Server(full.into_owned()),
            )),
        }
    }))
}
