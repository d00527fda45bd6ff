//! Writes the log of a run: appended while it streams, each line once however often it is followed.

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

use super::{
    LedgerError,
    file::{self, failed},
    line::{Head, Known, Line},
    old,
    segment::{self, Segment},
};
use flightdeck_core::log::{LogEvent, LogLine, LogSource};

pub(super) const LOG: &str = "log";
pub(super) const LOCK: &str = "lock";
/// There where lines were stored behind later ones of other sources.
pub(super) const MIXED: &str = "mixed";

/// Seconds behind the newest line in which a line may still be new: pipes are written down slightly out of order.
const SLACK: i64 = 1;

/// How much is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes on disk of the whole log: with more, its oldest segments go.
    pub(super) log: u64,
    /// Bytes of an open segment at which it is sealed.
    pub(super) segment: u64,
}

/// What is stored of one source. A log is always followed from its first line on, so that what is stored is a start of it.
#[derive(Debug)]
struct Stored {
    source: Arc<LogSource>,
    newest: Option<Timestamp>,
    /// Name of the last line, where its segment was read: when that is heard again, what follows it is new.
    last: Option<(Timestamp, u32)>,
    /// Names of the lines of the last seconds.
    recent: HashSet<(Timestamp, u32)>,
    /// The log is heard again from its first line on, and no line of it was new yet. Only then is an old time a sign that a
    /// line is known: a clock may be set back.
    catching_up: bool,
    ended: bool,
}

/// The one writer of a run's log.
#[derive(Debug)]
pub struct Spool {
    /// Of the segments.
    folder: PathBuf,
    /// Held as long as this lives.
    _lock: Flock<File>,
    numbers: HashMap<Arc<LogSource>, usize>,
    stored: Vec<Stored>,
    segments: Vec<Segment>,
    /// The open one, which is the last of them.
    file: Option<Flock<File>>,
    /// Lines of text stored so far.
    lines: u64,
    limits: Limits,
    /// Bytes of lines that were taken and not written yet.
    buffer: Vec<u8>,
    json: Vec<u8>,
}

/// The right to write or remove what is in a run's folder; `None` while another process has it.
pub(super) fn lock(folder: &Path) -> Result<Option<Flock<File>>, LedgerError> {
    let path = folder.join(LOCK);
    let file = file::open(&path)?;
    let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return Ok(None);
    };
    // Whoever removed the run in between had the lock of a file that is no longer there.
    let same = || Some(lock.metadata().ok()?.ino() == std::fs::metadata(&path).ok()?.ino());
    Ok(same().unwrap_or(false).then_some(lock))
}

impl Spool {
    /// `None` when another process has it.
    pub(super) fn open(run: &Path, limits: Limits) -> Result<Option<Self>, LedgerError> {
        let Some(lock) = lock(run)? else {
            return Ok(None);
        };
        let folder = run.join(LOG);
        file::make_directory(&folder)?;
        let mut spool = Self {
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
        spool.recall()?;
        if let Some(events) = old::read(run)? {
            // Lines that were brought over before a crash are known by now.
            let events: Vec<LogEvent> = events.collect();
            spool.append(&events)?;
            spool.seal()?;
            old::remove(run)?;
        }
        Ok(Some(spool))
    }

    /// Learns what is stored from the last segments, as few as it takes, and takes away what a crash left half written.
    fn recall(&mut self) -> Result<(), LedgerError> {
        for segment in self.segments.iter().filter(|segment| segment.sealed) {
            let open = Segment {
                sealed: false,
                ..segment.clone()
            };
            // A crash while it was sealed may have left the open form.
            drop(open.remove(&self.folder));
        }
        let Some(mut first) = self.segments.len().checked_sub(1) else {
            return Ok(());
        };
        // The newest line of every source is known from the last head alone; the lines around it may lie further back.
        while !self.learn(first)? && first > 0 {
            first -= 1;
        }
        let learned = first;
        while first > 0 {
            let head = self.segments[first].head(&self.folder)?;
            if head.is_some_and(|head| self.reaches_back(&head)) {
                break;
            }
            first -= 1;
        }
        if first < learned {
            self.learn(first)?;
        }
        Ok(())
    }

    /// Whether what follows a head holds every line that could be taken for a new one.
    fn reaches_back(&self, head: &Head) -> bool {
        self.stored.iter().enumerate().all(|(s, stored)| {
            let before = head.sources.get(s).and_then(|known| known.newest);
            stored.ended || before.is_none_or(|before| stored.is_old(before))
        })
    }

    /// Takes in the segments from the one at `first` on; whether the head of that one can be read.
    fn learn(&mut self, first: usize) -> Result<bool, LedgerError> {
        self.numbers.clear();
        self.stored.clear();
        self.file = None;
        let mut first_headed = false;
        for index in first..self.segments.len() {
            let segment = self.segments[index].clone();
            let content = segment.read(&self.folder)?;
            self.lines = segment.line;
            let mut headed = false;
            for line in content.lines.iter().filter_map(|line| Line::read(line)) {
                match line {
                    Line::Head { head } => {
                        for (s, known) in head.sources.iter().enumerate() {
                            match self.stored.get_mut(s) {
                                // What the segment before has lost is known all the same.
                                Some(stored) => {
                                    stored.newest = stored.newest.max(known.newest);
                                    stored.ended |= known.ended;
                                }
                                None => self.know(known),
                            }
                        }
                        headed = true;
                    }
                    Line::Source { s, source } if s == self.stored.len() => {
                        self.know(&Known {
                            source: source.into_owned(),
                            newest: None,
                            ended: false,
                        });
                    }
                    Line::Text { s, at, ordinal, .. } => {
                        self.lines += 1;
                        if let Some(stored) = self.stored.get_mut(s) {
                            stored.note(at, ordinal);
                            stored.catching_up = true;
                        }
                    }
                    Line::Ended { s, .. } => {
                        if let Some(stored) = self.stored.get_mut(s) {
                            stored.ended = true;
                        }
                    }
                    Line::Source { .. } | Line::Notice { .. } => {}
                }
            }
            first_headed |= headed && index == first;
            let last = index + 1 == self.segments.len();
            // One without a readable head cannot be gone on with: a new one follows it.
            if last && headed && !segment.sealed {
                self.file = Some(segment.open(&self.folder, content.whole)?);
                self.segments[index].bytes = content.whole;
            }
        }
        Ok(first_headed)
    }

    fn know(&mut self, known: &Known) {
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

    /// Takes events in their order, leaves out what is stored already, and has written the rest when it returns. After an
    /// error the spool is of no further use: drop it; what was half written is mended when the next one is opened.
    pub fn append(&mut self, events: &[LogEvent]) -> Result<(), LedgerError> {
        for event in events {
            match event {
                LogEvent::Line(line) => self.take_line(line)?,
                LogEvent::Notice(source, notice) => {
                    let s = self.number(source)?;
                    // What was said while the lines were stored for the first time need not be said again.
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

    /// Takes in what somebody else kept of the end of a source that is no more: lines behind those that are stored.
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
        // Of the moment that the kept part begins in nobody knows which of its lines these are.
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
            drop(file::open(&self.folder.with_file_name(MIXED))?);
        }
        // What lies between is missing only if the kept part does not reach back to what is stored.
        if truncated && known.is_none_or(|known| first.at > known) {
            let notice = if known.is_some() {
                "lines are missing here: this log was not followed to its end, and only a part of that was kept"
            } else {
                "only the end of this log was kept; what was written before is gone"
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

    /// The last life of a container whose pod is known by its name alone.
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
        if stored.knows(line.at, line.ordinal) {
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

    /// The number of a source; a new one is written down.
    fn number(&mut self, source: &Arc<LogSource>) -> Result<usize, LedgerError> {
        if let Some(number) = self.numbers.get(source) {
            return Ok(*number);
        }
        let s = self.stored.len();
        // Before it is known: a head that is written now tells only what was before.
        self.push(&Line::Source {
            s,
            source: std::borrow::Cow::Borrowed(source.as_ref()),
        })?;
        self.know(&Known {
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
        // Only a map with keys that are no text could fail to be written, and no line has one.
        if serde_json::to_writer(&mut self.json, line).is_ok() {
            let before = self.buffer.len();
            segment::write_checked(&mut self.buffer, &self.json);
            if let Some(open) = self.segments.last_mut() {
                open.bytes += (self.buffer.len() - before) as u64;
            }
        }
    }

    /// Begins a new segment.
    fn begin(&mut self) -> Result<(), LedgerError> {
        let segment = Segment {
            serial: self.segments.last().map_or(0, |last| last.serial + 1),
            line: self.lines,
            sealed: false,
            bytes: 0,
        };
        self.file = Some(segment.open(&self.folder, 0)?);
        self.segments.push(segment);
        let known = |stored: &Stored| Known {
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

    /// Compresses what is open; with more on disk than the limit, the oldest segments go.
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

impl Stored {
    /// Whether a line is stored.
    fn knows(&self, at: Timestamp, ordinal: u32) -> bool {
        (self.catching_up && self.is_old(at)) || self.recent.contains(&(at, ordinal))
    }

    /// Remembers a line that is stored.
    fn note(&mut self, at: Timestamp, ordinal: u32) {
        self.last = Some((at, ordinal));
        if self.is_old(at) {
            return;
        }
        self.recent.insert((at, ordinal));
        let before = self.newest;
        if before.is_none_or(|newest| at > newest) {
            self.newest = Some(at);
            if before.is_none_or(|newest| at.as_second() > newest.as_second()) {
                let second = at.as_second();
                self.recent
                    .retain(|(at, _)| at.as_second() >= second - SLACK);
            }
        }
    }

    /// Whether a line of that time, heard while catching up, can only be one that is stored.
    fn is_old(&self, at: Timestamp) -> bool {
        self.newest
            .is_some_and(|newest| at.as_second() < newest.as_second() - SLACK)
    }
}
