//! Reads a log from its segments and reports missing parts. Safe while another process writes: a reader sees a prefix
//! of what was written.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LedgerError,
    line::Line,
    log_writer,
    segment::{self, Content, Segment},
};
use flightdeck_core::{
    log::{LogEvent, LogSource, Notice},
    text,
};

/// Iterator over the events of a log.
pub(super) struct Reader {
    folder: PathBuf,
    segments: VecDeque<Segment>,
    /// Remaining lines of the current segment.
    lines: std::vec::IntoIter<Vec<u8>>,
    /// Events to return before the next line.
    pending: VecDeque<LogEvent>,
    sources: Vec<Arc<LogSource>>,
    /// Lines returned or skipped so far.
    line: u64,
    /// The first line to return.
    from: u64,
    /// Whether the previous segment was damaged.
    damaged: bool,
    /// The end of the last segment is unreadable, and this was not reported yet.
    torn: bool,
}

impl Reader {
    /// Starts at the segment that contains line `from` (0 is the first).
    pub(super) fn open(run: &Path, from: u64) -> Result<Self, LedgerError> {
        let folder = run.join(log_writer::LOG);
        let mut segments: VecDeque<Segment> = segment::list(&folder)?.into();
        while segments.get(1).is_some_and(|next| next.line <= from) {
            segments.pop_front();
        }
        // Skipped lines are not missing.
        let line = segments.front().map_or(0, |first| first.line.min(from));
        Ok(Self {
            folder,
            segments,
            lines: Vec::new().into_iter(),
            pending: VecDeque::new(),
            sources: Vec::new(),
            line,
            from,
            damaged: false,
            torn: false,
        })
    }

    /// Loads the next segment; `false` at the end.
    fn next_segment(&mut self) -> bool {
        let Some(segment) = self.segments.pop_front() else {
            return false;
        };
        let last = self.segments.is_empty();
        let content = segment.read(&self.folder).unwrap_or_else(|error| {
            // The segment was removed because of the log limit, or the disk has an error.
            tracing::warn!(%error, "skipping an unreadable part of a log");
            Content {
                torn: true,
                ..Content::default()
            }
        });
        if segment.line > self.line {
            let missing = text::count((segment.line - self.line) as usize, "line");
            let why = if self.damaged {
                "the ledger is damaged"
            } else {
                "over the ledger's log limit"
            };
            self.push_notice(format!("{missing} missing here: {why}"));
        }
        self.line = segment.line;
        self.damaged = content.damaged > 0 || content.torn;
        if last && content.damaged > 0 {
            let damaged = text::count(content.damaged as usize, "line");
            self.push_notice(format!("{damaged} missing below: the ledger is damaged"));
        }
        self.torn = last && content.torn && !segment.is_written(&self.folder);
        self.lines = content.lines.into_iter();
        true
    }

    fn push_notice(&mut self, words: String) {
        let ledger = Arc::new(LogSource::without_pod("ledger"));
        let notice = LogEvent::Notice(ledger, Notice::Server(words));
        self.pending.push_back(notice);
    }

    fn add_source(&mut self, source: LogSource) {
        let source = Arc::new(source);
        self.sources.push(Arc::clone(&source));
        self.pending.push_back(LogEvent::SourceStarted(source));
    }

    fn take(&mut self, line: Line<'static>) -> Option<LogEvent> {
        match line {
            Line::Head { head } => {
                for known in head.sources.into_iter().skip(self.sources.len()) {
                    self.add_source(known.source);
                }
            }
            Line::Source { s, source } if s == self.sources.len() => {
                self.add_source(source.into_owned());
            }
            line => {
                let passed_over = self.line < self.from;
                let is_text = matches!(line, Line::Text { .. });
                // A line whose source declaration was damaged is lost, too.
                let event = line.event(|s| self.sources.get(s).cloned())?;
                self.line += u64::from(is_text);
                return (!passed_over).then_some(event);
            }
        }
        None
    }
}

impl Iterator for Reader {
    type Item = LogEvent;

    fn next(&mut self) -> Option<LogEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if let Some(bytes) = self.lines.next() {
                let event = Line::read(&bytes).and_then(|line| self.take(line));
                if event.is_some() {
                    return event;
                }
            } else if !self.next_segment() {
                if !std::mem::take(&mut self.torn) {
                    return None;
                }
                self.push_notice("the end is missing: the ledger is truncated or damaged".into());
            }
        }
    }
}

/// Returns the sources of a log, each with whether it was read to its end. The head of the last segment lists them
/// all.
pub(super) fn sources(run: &Path) -> Result<Vec<(LogSource, bool)>, LedgerError> {
    let folder = run.join(log_writer::LOG);
    let mut sources = Vec::new();
    for segment in segment::list(&folder)?.into_iter().rev() {
        let content = segment.read(&folder)?;
        let mut headed = false;
        for line in content.lines.iter().filter_map(|line| Line::read(line)) {
            match line {
                Line::Head { head } => {
                    headed = true;
                    let known = head.sources.into_iter();
                    sources = known.map(|known| (known.source, known.ended)).collect();
                }
                Line::Source { s, source } if s == sources.len() => {
                    sources.push((source.into_owned(), false));
                }
                Line::Ended { s, .. } => {
                    if let Some((_, ended)) = sources.get_mut(s) {
                        *ended = true;
                    }
                }
                _ => {}
            }
        }
        // Without a readable head, use the segment before.
        if headed {
            break;
        }
        sources.clear();
    }
    Ok(sources)
}

/// Returns the number of lines ever written to a log, including those no longer stored.
pub(super) fn count(run: &Path) -> Result<u64, LedgerError> {
    let folder = run.join(log_writer::LOG);
    let Some(last) = segment::list(&folder)?.pop() else {
        return Ok(0);
    };
    let content = last.read(&folder)?;
    let texts = content
        .lines
        .iter()
        .filter(|line| matches!(Line::read(line), Some(Line::Text { .. })));
    Ok(last.line + texts.count() as u64)
}
