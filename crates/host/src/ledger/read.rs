//! Reads a log back, segment by segment, and states what is missing. Others may write it meanwhile: what is read is always
//! a whole beginning of what they wrote.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LedgerError,
    line::Line,
    segment::{self, Content, Segment},
    spool,
};
use flightdeck_core::{
    log::{LogEvent, LogSource, Notice},
    text,
};

/// The events of a log in their order.
pub(super) struct Reader {
    folder: PathBuf,
    segments: VecDeque<Segment>,
    /// Of the segment that is being read.
    lines: std::vec::IntoIter<Vec<u8>>,
    /// Said before the next line.
    pending: VecDeque<LogEvent>,
    sources: Vec<Arc<LogSource>>,
    /// Lines of text that were given or passed over.
    line: u64,
    /// Lines before this one are passed over.
    from: u64,
    /// Whether the segment before had unreadable lines.
    damaged: bool,
    /// The end of the last segment is unreadable, and that was not said yet.
    torn: bool,
}

impl Reader {
    /// From the segment on that holds the line number `from` (0 is the first).
    pub(super) fn open(run: &Path, from: u64) -> Result<Self, LedgerError> {
        let folder = run.join(spool::LOG);
        let mut segments: VecDeque<Segment> = segment::list(&folder)?.into();
        while segments.get(1).is_some_and(|next| next.line <= from) {
            segments.pop_front();
        }
        // What was asked to be passed over is not missing.
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

    /// Reads the next segment; `false` when there is none.
    fn turn(&mut self) -> bool {
        let Some(segment) = self.segments.pop_front() else {
            return false;
        };
        let last = self.segments.is_empty();
        let content = segment.read(&self.folder).unwrap_or_else(|error| {
            // One that went because the log grew too long, or that the disk no longer gives.
            tracing::warn!(%error, "a part of a log is left out");
            Content {
                torn: true,
                ..Content::default()
            }
        });
        if segment.line > self.line {
            let missing = text::count((segment.line - self.line) as usize, "line");
            let why = if self.damaged {
                "the ledger's copy is damaged"
            } else {
                "the ledger no longer keeps them"
            };
            self.remark(format!("{missing} missing here: {why}"));
        }
        self.line = segment.line;
        self.damaged = content.damaged > 0 || content.torn;
        if last && content.damaged > 0 {
            let damaged = text::count(content.damaged as usize, "line");
            self.remark(format!(
                "{damaged} missing below: the ledger's copy is damaged"
            ));
        }
        self.torn = last && content.torn && !segment.is_written(&self.folder);
        self.lines = content.lines.into_iter();
        true
    }

    fn remark(&mut self, words: String) {
        let ledger = Arc::new(LogSource::without_pod("ledger"));
        let notice = LogEvent::Notice(ledger, Notice::Server(words));
        self.pending.push_back(notice);
    }

    fn know(&mut self, source: LogSource) {
        let source = Arc::new(source);
        self.sources.push(Arc::clone(&source));
        self.pending.push_back(LogEvent::SourceStarted(source));
    }

    fn take(&mut self, line: Line<'static>) -> Option<LogEvent> {
        match line {
            Line::Head { head } => {
                for known in head.sources.into_iter().skip(self.sources.len()) {
                    self.know(known.source);
                }
            }
            Line::Source { s, source } if s == self.sources.len() => self.know(source.into_owned()),
            line => {
                let passed_over = self.line < self.from;
                let is_text = matches!(line, Line::Text { .. });
                // A line whose source was damaged is lost with it.
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
            } else if !self.turn() {
                if !std::mem::take(&mut self.torn) {
                    return None;
                }
                self.remark("the end is missing: the ledger's copy was cut off or damaged".into());
            }
        }
    }
}

/// The sources of a log, and whether each was read to its end. The last segment knows them all.
pub(super) fn sources(run: &Path) -> Result<Vec<(LogSource, bool)>, LedgerError> {
    let folder = run.join(spool::LOG);
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
        // One that is damaged knows less than the one before it.
        if headed {
            break;
        }
        sources.clear();
    }
    Ok(sources)
}

/// Lines of text that a log has had, with those that are no longer kept.
pub(super) fn count(run: &Path) -> Result<u64, LedgerError> {
    let folder = run.join(spool::LOG);
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
