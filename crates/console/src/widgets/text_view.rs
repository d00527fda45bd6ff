//! Text of any length, perhaps still growing: a log, a diff, a document.
//!
//! The view keeps its place by the number of a line, so that nothing moves under the eye when lines arrive or fall out.
//! What little there is to search is searched at once ([`TextView::work`]), what is more is handed out as an [`Errand`] for
//! another thread; drawing costs what is on the screen. It knows no clock, no thread and no clipboard.

mod away;
mod draw;
mod errand;
mod export;
pub mod lay;
pub mod lens;
mod place;
mod scan;
mod seek;
mod segment;
mod standing;
mod store;

use std::{collections::BTreeSet, sync::Arc};

pub use draw::{SEARCH_HINT, draw, prompt};
pub use errand::Errand;
pub use export::{Export, Form};
pub use lens::{Lens, Piece, Plain, Row, ansi, looks_like_an_error};
pub use place::Place;
pub use scan::Pattern;
use scan::Scan;
use seek::Jump;
pub use seek::{Prompt, PromptKind};
pub use standing::Standing;
pub use store::{Line, LineId, Store};

/// Bytes of lines kept in memory unless the owner says otherwise; older ones are written away.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// Bytes that [`TextView::work`] looks at in one go: well below a millisecond.
const AT_ONCE: usize = 128 * 1024;

/// What is shown of a line's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stamps {
    #[default]
    None,
    /// `14:01:52`
    Clock,
    /// Since the first line: `+2m41s`.
    Elapsed,
}

/// The view's model.
#[derive(Clone, Debug)]
pub struct TextView {
    store: Store,
    lens: Arc<dyn Lens>,
    place: Place,
    /// Whether the end of the text is kept in view.
    follow: bool,
    /// Whether more may come, so that following means something.
    live: bool,
    wrap: bool,
    stamps: Stamps,
    utc_offset: i64,
    left: usize,
    /// Only lines of the last so many seconds.
    since: Option<i64>,
    size: (usize, usize),
    marks: BTreeSet<LineId>,
    hidden: u64,
    /// How often lines or their reading have changed: what was found before counts no more.
    readings: u64,
    filter_text: String,
    filter: Option<Scan>,
    search: Option<Scan>,
    errors: Option<Scan>,
    /// The line the last jump went to.
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
    /// An empty view that keeps about `limit` bytes of lines.
    #[must_use]
    pub fn new(lens: Arc<dyn Lens>, limit: usize) -> Self {
        Self {
            store: Store::new(limit),
            lens,
            place: Place::default(),
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
            readings: 0,
            filter_text: String::new(),
            filter: None,
            search: None,
            errors: None,
            current: None,
            jump: None,
            prompt: None,
        }
    }

    /// A view of a finished text.
    #[must_use]
    pub fn of(text: &str, lens: Arc<dyn Lens>) -> Self {
        let mut view = Self::new(lens, LIMIT);
        for line in text.lines() {
            view.push(line, None, 0);
        }
        view
    }

    /// The same, wrapping long lines.
    #[must_use]
    pub const fn wrapping(mut self) -> Self {
        self.wrap = true;
        self
    }

    /// The same, following a text that still grows.
    #[must_use]
    pub const fn following(mut self) -> Self {
        self.live = true;
        self.follow = true;
        self
    }

    /// Adds one line. Call [`Self::work`] when a batch has been added.
    pub fn push(&mut self, text: &str, at: Option<i64>, tag: u16) {
        self.store.push(text, at, tag);
    }

    /// Adds one line that came as bytes which are no UTF-8; `text` is what of them can be shown.
    pub fn push_raw(&mut self, text: &str, raw: Option<&[u8]>, at: Option<i64>, tag: u16) {
        self.store.push_raw(text, raw, at, tag);
    }

    /// Puts another text in the place of this one, staying where the person was as far as it is still there.
    pub fn replace(&mut self, lines: impl IntoIterator<Item = (String, u16)>) {
        let mut store = Store::new(LIMIT);
        for (text, tag) in lines {
            store.push(&text, None, tag);
        }
        self.store = store;
        self.marks.clear();
        self.current = None;
        self.restart();
        self.settle();
    }

    /// Reads the lines in another way, staying at the same line.
    pub fn set_lens(&mut self, lens: Arc<dyn Lens>) {
        self.lens = lens;
        self.place.part = 0;
        self.restart();
        self.settle();
    }

    /// Begins every scan anew, since lines or their reading changed.
    fn restart(&mut self) {
        self.readings += 1;
        let anchor = self.anchor();
        for scan in [&mut self.filter, &mut self.search, &mut self.errors] {
            if let Some(old) = scan.take() {
                *scan = Some(Scan::new(old.wanted().clone(), anchor));
            }
        }
        self.work();
    }

    fn anchor(&self) -> LineId {
        let at = if self.follow {
            self.store.next().saturating_sub(1_000)
        } else {
            self.place.line
        };
        at.clamp(self.store.first(), self.store.next())
    }

    /// Goes on with whatever is being looked for, for less than a millisecond. True while there is more to do: the owner
    /// then has the [`Self::errand`] done. Call it also after new lines.
    pub fn work(&mut self) -> bool {
        let (store, lens) = (&self.store, self.lens.as_ref());
        let scans = [&mut self.filter, &mut self.search, &mut self.errors];
        let mut through = true;
        for scan in scans.into_iter().flatten() {
            through &= scan.step(store, lens, AT_ONCE, false);
        }
        self.go_on();
        !through || self.store.is_full() || !self.missing().is_empty()
    }

    /// Jumps if the answer is known by now, and stays among the lines there are.
    fn go_on(&mut self) {
        self.try_jump();
        if self.filter.is_some() {
            self.settle();
        }
        if self.place.line < self.store.first() {
            self.place = Place {
                line: self.store.first(),
                part: 0,
            };
        }
    }

    /// Columns and rows the view was last told.
    #[must_use]
    pub const fn size(&self) -> (u16, u16) {
        (self.size.0 as u16, self.size.1 as u16)
    }

    /// Tells the view how many columns and rows it has, in all.
    pub fn resize(&mut self, width: u16, height: u16) {
        self.size = (usize::from(width), usize::from(height));
        self.settle();
    }

    /// Times are shown in this zone: seconds east of Greenwich.
    pub const fn set_utc_offset(&mut self, seconds: i64) {
        self.utc_offset = seconds;
    }

    /// Whether more may come.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
        if !live {
            // What is on the screen stays there.
            self.leave_end();
        }
    }

    /// Keeps the end in view, or stops doing so.
    pub fn toggle_follow(&mut self) {
        if self.follow {
            self.place = self.top();
        }
        self.follow = !self.follow && self.live;
        if self.follow {
            self.current = None;
        } else {
            self.settle();
        }
    }

    /// Wraps long lines, or cuts them.
    pub fn toggle_wrap(&mut self) {
        self.set_wrap(!self.wrap);
    }

    /// The same, said outright.
    pub fn set_wrap(&mut self, wrap: bool) {
        let found = self.current.filter(|line| self.shows(*line));
        self.wrap = wrap;
        self.left = 0;
        self.place.part = 0;
        self.settle();
        if let Some(line) = found {
            self.reveal(line);
        }
    }

    /// No times, times of day, times since the first line.
    pub const fn cycle_stamps(&mut self) {
        self.stamps = match self.stamps {
            Stamps::None => Stamps::Clock,
            Stamps::Clock => Stamps::Elapsed,
            Stamps::Elapsed => Stamps::None,
        };
    }

    /// Shows only lines of the last so many seconds before the newest, or all.
    pub fn set_since(&mut self, seconds: Option<i64>) {
        self.since = seconds;
        self.settle();
    }

    /// Draws a rule below the last line on the screen, and moves so that it is seen; or takes it away.
    pub fn toggle_mark(&mut self) {
        if let Some(line) = self.last_shown().filter(|line| !self.marks.remove(line)) {
            self.marks.insert(line);
            self.scroll(1);
        }
    }

    /// Scrolls to the right, or to the left when `columns` is negative.
    pub const fn shift(&mut self, columns: isize) {
        if !self.wrap {
            self.left = self.left.saturating_add_signed(columns);
        }
    }

    /// The line that the last jump went to.
    #[must_use]
    pub const fn current(&self) -> Option<LineId> {
        self.current
    }

    /// Whether there is no line at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.next() == 0
    }

    /// The lines themselves.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What is on the screen, as text: what `c` copies.
    #[must_use]
    pub fn shown_text(&self) -> String {
        let rows = self.visible();
        let lines: Vec<_> = rows
            .iter()
            .map(|row| lay::text_of(&row.spans).trim_end().to_owned())
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
