//! Text of any length, perhaps still growing: a log, a diff, a document.
//!
//! The scroll position is anchored to a line number, so that visible lines stay when others are added or dropped. Small
//! searches run synchronously in [`TextView::work`]; larger ones are handed out as a [`BackgroundTask`] for a blocking
//! thread. The cost of drawing depends only on the visible rows.

mod background;
mod draw;
mod export;
mod formatter;
mod line;
pub(crate) mod line_layout;
mod pattern;
mod scan;
mod scroll;
mod search;
mod segment;
mod spill;
mod status;
mod store;

use std::{collections::BTreeSet, sync::Arc};

pub use background::BackgroundTask;
pub use draw::draw;
pub(crate) use draw::{SEARCH_HINT, prompt};
pub use export::{Export, ExportFormat};
pub use formatter::{LineFormatter, Plain, Row};
pub(crate) use formatter::{Piece, ansi, looks_like_error};
pub use line::{Line, LineId};
pub use pattern::Pattern;
pub use scroll::ScrollAnchor;
pub use search::{Prompt, PromptKind};
pub use status::ViewStatus;
pub use store::Store;

use scan::Scan;
use search::Jump;

/// Default limit of line bytes in memory. Older lines are spilled to a file.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// Bytes searched per call of [`TextView::work`]: well below a millisecond.
const SLICE: usize = 128 * 1024;

/// How the time of a line is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamps {
    #[default]
    None,
    /// `14:01:52`
    Clock,
    /// Time since the first line: `+2m41s`.
    Elapsed,
}

/// State of a text view.
#[derive(Clone, Debug)]
pub struct TextView {
    store: Store,
    formatter: Arc<dyn LineFormatter>,
    anchor: ScrollAnchor,
    /// Keep the end of the text in view.
    follow: bool,
    /// The text can grow.
    live: bool,
    wrap: bool,
    stamps: Stamps,
    utc_offset: i64,
    /// Columns scrolled to the right.
    left: usize,
    /// Show only the last seconds before the newest line.
    since: Option<i64>,
    size: (usize, usize),
    marks: BTreeSet<LineId>,
    /// Bit set of hidden tags.
    hidden: u64,
    /// Incremented when the lines or their formatting change; results of older generations are ignored.
    generation: u64,
    filter_text: String,
    filter: Option<Scan>,
    search: Option<Scan>,
    errors: Option<Scan>,
    /// Target of the last jump.
    current: Option<LineId>,
    jump: Option<Jump>,
    prompt: Option<Prompt>,
}

impl Default for TextView {
    fn default() -> Self {
        Self::new(Arc::new(Plain), LIMIT)
    }
}

impl TextView {
    /// Returns an empty view that keeps about `limit` bytes of lines in memory.
    #[must_use]
    pub fn new(formatter: Arc<dyn LineFormatter>, limit: usize) -> Self {
        Self {
            store: Store::new(limit),
            formatter,
            anchor: ScrollAnchor::default(),
            follow: false,
            live: false,
            wrap: false,
            stamps: Stamps::None,
            utc_offset: 0,
            left: 0,
            since: None,
            size: (80, 24),
            marks: BTreeSet::new(),
            hidden: 0,
            generation: 0,
            filter_text: String::new(),
            filter: None,
            search: None,
            errors: None,
            current: None,
            jump: None,
            prompt: None,
        }
    }

    /// Returns a view of a complete text.
    #[must_use]
    pub fn of(text: &str, formatter: Arc<dyn LineFormatter>) -> Self {
        let mut view = Self::new(formatter, LIMIT);
        for line in text.lines() {
            view.push(line, None, 0);
        }
        view
    }

    /// Follows a growing text.
    #[must_use]
    pub const fn following(mut self) -> Self {
        self.live = true;
        self.follow = true;
        self
    }

    /// Appends a line. Call [`Self::work`] after a batch.
    pub fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        self.store.push(text, at, tag);
    }

    /// Appends a line with its original bytes if they are not UTF-8. `text` is the lossy conversion.
    pub fn push_raw(&mut self, text: &str, raw: Option<&[u8]>, at: Option<i64>, tag: u16) {
        self.store.push_raw(text, raw, at, tag);
    }

    /// Replaces the text. The scroll position is kept as far as the new text has that line.
    pub fn replace(&mut self, lines: impl IntoIterator<Item = (String, u16)>) {
        let mut store = Store::new(LIMIT);
        for (text, tag) in lines {
            store.push(&text, None, tag);
        }
        self.store = store;
        self.marks.clear();
        self.current = None;
        self.restart();
        self.clamp_scroll();
    }

    /// Changes the formatter. The scroll position stays at the same line.
    pub fn set_formatter(&mut self, formatter: Arc<dyn LineFormatter>) {
        self.formatter = formatter;
        self.anchor.row = 0;
        self.restart();
        self.clamp_scroll();
    }

    /// Restarts all scans after the lines or their formatting changed.
    fn restart(&mut self) {
        self.generation += 1;
        let origin = self.scan_origin();
        for scan in [&mut self.filter, &mut self.search, &mut self.errors] {
            if let Some(old) = scan.take() {
                *scan = Some(Scan::new(old.matcher().clone(), origin));
            }
        }
        self.work();
    }

    /// Returns the line at which scans start: near the lines on screen.
    fn scan_origin(&self) -> LineId {
        let at = if self.follow {
            self.store.next().saturating_sub(1_000)
        } else {
            self.anchor.line
        };
        at.clamp(self.store.first(), self.store.next())
    }

    /// Continues all scans for less than a millisecond. Returns `true` while there is more to do; run
    /// [`Self::background_task`] then.
    pub fn work(&mut self) -> bool {
        let (store, formatter) = (&self.store, self.formatter.as_ref());
        let scans = [&mut self.filter, &mut self.search, &mut self.errors];
        let mut through = true;
        for scan in scans.into_iter().flatten() {
            through &= scan.step(store, formatter, SLICE, false);
        }
        self.continue_search();
        !through || self.store.is_full() || !self.missing().is_empty()
    }

    /// Makes a pending jump if its target is known, and clamps the scroll position.
    fn continue_search(&mut self) {
        self.try_jump();
        if self.filter.is_some() {
            self.clamp_scroll();
        }
        if self.anchor.line < self.store.first() {
            self.anchor = ScrollAnchor {
                line: self.store.first(),
                row: 0,
            };
        }
    }

    /// Returns columns and rows of the view.
    #[must_use]
    pub const fn size(&self) -> (u16, u16) {
        (self.size.0 as u16, self.size.1 as u16)
    }

    /// Sets columns and rows of the view, including the prompt.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (usize::from(width), usize::from(height));
        self.clamp_scroll();
    }

    /// Sets the zone of displayed times, in seconds east of UTC.
    pub const fn set_utc_offset(&mut self, seconds: i64) {
        self.utc_offset = seconds;
    }

    /// Sets whether the text can grow.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
        if !live {
            // Keep the rows on screen.
            self.stop_following();
        }
    }

    /// Starts or stops following the end.
    pub fn toggle_follow(&mut self) {
        if self.follow {
            self.anchor = self.top();
        }
        self.follow = !self.follow && self.live;
        if self.follow {
            self.current = None;
        } else {
            self.clamp_scroll();
        }
    }

    /// Switches between wrapping and cutting long lines.
    pub fn toggle_wrap(&mut self) {
        self.set_wrap(!self.wrap);
    }

    /// Wraps or cuts long lines.
    pub fn set_wrap(&mut self, wrap: bool) {
        let found = self.current.filter(|line| self.shows(*line));
        self.wrap = wrap;
        self.left = 0;
        self.anchor.row = 0;
        self.clamp_scroll();
        if let Some(line) = found {
            self.reveal(line);
        }
    }

    /// Cycles through no times, times of day, and times since the first line.
    pub const fn cycle_stamps(&mut self) {
        self.stamps = match self.stamps {
            Stamps::None => Stamps::Clock,
            Stamps::Clock => Stamps::Elapsed,
            Stamps::Elapsed => Stamps::None,
        };
    }

    /// Shows only the last seconds before the newest line, or all lines.
    pub fn set_since(&mut self, seconds: Option<i64>) {
        self.since = seconds;
        self.clamp_scroll();
    }

    /// Adds a rule below the last visible line and scrolls it into view, or removes it.
    pub fn toggle_mark(&mut self) {
        if let Some(line) = self.last_shown().filter(|line| !self.marks.remove(line)) {
            self.marks.insert(line);
            self.scroll(1);
        }
    }

    /// Scrolls to the right, or to the left if `columns` is negative.
    pub const fn shift(&mut self, columns: isize) {
        if !self.wrap {
            self.left = self.left.saturating_add_signed(columns);
        }
    }

    /// Returns the target of the last jump.
    #[must_use]
    pub const fn current(&self) -> Option<LineId> {
        self.current
    }

    /// Whether no line was ever added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.next() == 0
    }

    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the visible rows as text.
    #[must_use]
    pub fn visible_text(&self) -> String {
        let rows = self.visible();
        let lines: Vec<_> = rows
            .iter()
            .map(|row| line_layout::text_of(&row.spans).trim_end().to_owned())
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
