//! Writes the log of a run while it is followed. Lines are stored once, however often the log is followed.

mod restore;
mod stored;

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use self::stored::Stored;
use super::{
    LedgerError,
    file::{self, failed},
    line::{Head, Line, SourceState},
    segment::{self, Segment},
};
use flightdeck_core::log::{LogEvent, LogLine, LogSource};

pub(super) const LOG: &str = "log";
pub(super) const LOCK: &str = "lock";
/// Marker file: lines were stored after later lines of other sources.
pub(super) const OUT_OF_ORDER: &str = "out-of-order";

/// Size limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Size of the log on disk; above it, the oldest segments are removed.
    pub(super) log: u64,
    /// Size at which an open segment is sealed.
    pub(super) segment: u64,
}

/// The exclusive writer of a run's log.
#[derive(Debug)]
pub struct LogWriter {
    /// The directory of the segments.
    folder: PathBuf,
    /// Held for the writer's lifetime.
    _lock: Flock<File>,
    numbers: HashMap<Arc<LogSource>, usize>,
    stored: Vec<Stored>,
    segments: Vec<Segment>,
    /// The open segment, which is the last one.
    file: Option<Flock<File>>,
    /// Lines stored so far.
    lines: u64,
    limits: Limits,
    /// Lines not written to the file yet.
    buffer: Vec<u8>,
    json: Vec<u8>,
}

/// Locks a run's directory for writing or removal; `None` while another process holds the lock.
pub(super) fn lock(folder: &Path) -> Result<Option<Flock<File>>, LedgerError> {
    let path = folder.join(LOCK);
    let file = file::open(&path)?;
    let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return Ok(None);
    };
    // If the run was removed meanwhile, this is the lock of a deleted file.
    let same = || Some(lock.metadata().ok()?.ino() == std::fs::metadata(&path).ok()?.ino());
    Ok(same().unwrap_or(false).then_some(lock))
}

impl LogWriter {
    /// Opens the log; `None` while another process is writing it.
    pub(super) fn open(run: &Path, limits: Limits) -> Result<Option<Self>, LedgerError> {
        let Some(lock) = lock(run)? else {
            return Ok(None);
        };
        let folder = run.join(LOG);
        file::make_directory(&folder)?;
        let mut writer = Self {
            segments: segment::list(&folder)?,
            folder,
            _lock: lock,
            numbers: HashMap::new(),
            stored: Vec::new(),
            file: None,
            lines: 0,
            limits,
            buffer: Vec::new(),
            json: Vec::new(),
        };
        writer.restore()?;
        Ok(Some(writer))
    }

    fn add_source(&mut self, known: &SourceState) {
        let source = Arc::new(known.source.clone());
        self.numbers.insert(Arc::clone(&source), self.stored.len());
        self.stored.push(Stored {
            source,
            newest: known.newest,
            last: None,
            recent: HashSet::new(),
            catching_up: known.newest.is_some(),
            ended: known.ended,
        });
    }

    /// Appends events in order, skipping stored ones, and flushes. After an error drop the writer; the next one
    /// repairs the log.
    pub fn append(&mut self, events: &[LogEvent]) -> Result<(), LedgerError> {
        for event in events {
            match event {
                LogEvent::Line(line) => self.take_line(line)?,
                LogEvent::Notice(source, notice) => {
                    let s = self.number(source)?;
                    // Notices of an ended source were stored the first time.
                    if !self.stored[s].ended {
                        let notice = notice.to_string().into();
                        self.push(&Line::Notice { s, notice })?;
                    }
                }
                LogEvent::SourceEnded(source) => {
                    let s = self.number(source)?;
                    if !std::mem::replace(&mut self.stored[s].ended, true) {
                        self.push(&Line::Ended { s, ended: true })?;
                    }
                }
                LogEvent::SourceStarted(source) => {
                    let s = self.number(source)?;
                    self.stored[s].catching_up = self.stored[s].newest.is_some();
                }
                LogEvent::RunEnded => self.seal()?,
            }
        }
        self.write()
    }

    /// Appends the archived end of a terminated source, skipping stored lines.
    pub(super) fn complete(
        &mut self,
        lines: &[LogLine],
        truncated: bool,
    ) -> Result<(), LedgerError> {
        let Some(first) = lines.first() else {
            return Ok(());
        };
        let s = match self.same_container(&first.source) {
            Some(s) => s,
            None => self.number(&first.source)?,
        };
        let stored = &self.stored[s];
        let known = stored.newest;
        // If truncated, the ordinals of the first timestamp are unknown.
        let named = |at: Timestamp| !truncated || at > first.at;
        let is_new = |line: &&LogLine| {
            let later = known.is_none_or(|known| line.at > known);
            later
                || named(line.at)
                    && !stored.is_old(line.at)
                    && !stored.recent.contains(&(line.at, line.ordinal))
        };
        let new: Vec<&LogLine> = lines.iter().filter(is_new).collect();
        let late = |first: &&LogLine| {
            let others = self.stored.iter().enumerate();
            others
                .filter(|(other, _)| *other != s)
                .any(|(_, other)| other.newest.is_some_and(|newest| newest > first.at))
        };
        if new.first().is_some_and(late) {
            drop(file::open(&self.folder.with_file_name(OUT_OF_ORDER))?);
        }
        // Lines are missing only if the archive does not reach back to the stored lines.
        if truncated && known.is_none_or(|known| first.at > known) {
            let notice = if known.is_some() {
                "lines missing here: the log was not followed to its end, and the archive is incomplete"
            } else {
                "earlier lines are missing: only the end of this log was archived"
            };
            let notice = notice.into();
            self.push(&Line::Notice { s, notice })?;
        }
        for line in new {
            self.stored[s].note(line.at, line.ordinal);
            self.store(s, line)?;
        }
        if !std::mem::replace(&mut self.stored[s].ended, true) {
            self.push(&Line::Ended { s, ended: true })?;
        }
        self.write()
    }

    /// Returns the last instance of the container, for a source whose pod UID is unknown.
    fn same_container(&self, source: &LogSource) -> Option<usize> {
        let same =
            |known: &LogSource| known.pod == source.pod && known.container == source.container;
        let known = self.stored.iter().map(|stored| &stored.source).enumerate();
        let last = known
            .filter(|(_, known)| same(known))
            .max_by_key(|(_, known)| known.restart);
        last.map(|(s, _)| s)
    }

    fn take_line(&mut self, line: &LogLine) -> Result<(), LedgerError> {
        let s = self.number(&line.source)?;
        let stored = &mut self.stored[s];
        if stored.ended {
            return Ok(());
        }
        if stored.contains(line.at, line.ordinal) {
            stored.catching_up &= stored.last != Some((line.at, line.ordinal));
            return Ok(());
        }
        stored.catching_up = false;
        stored.note(line.at, line.ordinal);
        self.store(s, line)
    }

    fn store(&mut self, s: usize, line: &LogLine) -> Result<(), LedgerError> {
        self.push(&Line::Text {
            s,
            at: line.at,
            ordinal: line.ordinal,
            text: line.text.as_str().into(),
            bytes: line.bytes.as_ref().map(|bytes| STANDARD.encode(bytes)),
            left_out: line.left_out,
        })?;
        self.lines += 1;
        Ok(())
    }

    /// Returns the number of a source; declares a new source.
    fn number(&mut self, source: &Arc<LogSource>) -> Result<usize, LedgerError> {
        if let Some(number) = self.numbers.get(source) {
            return Ok(*number);
        }
        let s = self.stored.len();
        // Push first: a new segment's head must not contain the source yet.
        self.push(&Line::Source {
            s,
            source: std::borrow::Cow::Borrowed(source.as_ref()),
        })?;
        self.add_source(&SourceState {
            source: source.as_ref().clone(),
            newest: None,
            ended: false,
        });
        Ok(s)
    }

    fn push(&mut self, line: &Line<'_>) -> Result<(), LedgerError> {
        let full = |segment: &Segment| segment.bytes >= self.limits.segment;
        if self.file.is_some() && self.segments.last().is_none_or(full) {
            self.seal()?;
        }
        if self.file.is_none() {
            self.begin()?;
        }
        self.put(line);
        Ok(())
    }

    fn put(&mut self, line: &Line<'_>) {
        self.json.clear();
        // Serialization fails only for maps with non-string keys; lines have none.
        if serde_json::to_writer(&mut self.json, line).is_ok() {
            let before = self.buffer.len();
            segment::write_checked(&mut self.buffer, &self.json);
            if let Some(open) = self.segments.last_mut() {
                open.bytes += (self.buffer.len() - before) as u64;
            }
        }
    }

    /// Starts a new segment.
    fn begin(&mut self) -> Result<(), LedgerError> {
        let segment = Segment {
            serial: self.segments.last().map_or(0, |last| last.serial + 1),
            line: self.lines,
            sealed: false,
            bytes: 0,
        };
        self.file = Some(segment.open(&self.folder, 0)?);
        self.segments.push(segment);
        let known = |stored: &Stored| SourceState {
            source: stored.source.as_ref().clone(),
            newest: stored.newest,
            ended: stored.ended,
        };
        let sources = self.stored.iter().map(known).collect();
        self.put(&Line::Head {
            head: Head { sources },
        });
        Ok(())
    }

    fn write(&mut self) -> Result<(), LedgerError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(failed(&self.folder))
    }

    /// Seals the open segment, and removes the oldest segments above the limit.
    fn seal(&mut self) -> Result<(), LedgerError> {
        self.write()?;
        if self.file.take().is_none() {
            return Ok(());
        }
        if let Some(open) = self.segments.last_mut() {
            *open = open.seal(&self.folder)?;
        }
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        while bytes > self.limits.log && self.segments.len() > 1 {
            let oldest = self.segments.remove(0);
            bytes -= oldest.bytes;
            oldest.remove(&self.folder)?;
        }
        Ok(())
    }
}
