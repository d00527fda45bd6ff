//! What a view has done on another thread: it hands out what is left to search, what is to be written away and what is to
//! be read back, and takes in what came of it.
//!
//! An errand shares the lines with the view, so that handing it out costs nothing, and covers some milliseconds of work:
//! what it found is on the screen soon, and one whose answer nobody wants any more is soon over.

use std::{fmt, fs::File, sync::Arc};

use super::{TextView, away::Place, lens::Lens, scan::Scan, segment::Segment, store::Store};

/// Bytes that an errand looks at: some ten milliseconds.
const SLICE: usize = 8 * 1024 * 1024;

/// Something to be done off the task that draws.
#[derive(Clone)]
pub struct Errand {
    reading: u64,
    store: Store,
    lens: Arc<dyn Lens>,
    /// Filter, search and errors, as far as they are not through.
    parts: [Option<Scan>; 3],
    wanted: Vec<Place>,
    read: Vec<Arc<Segment>>,
    unwritten: Vec<(Place, Arc<Segment>)>,
    file: Option<Arc<File>>,
}

impl Errand {
    /// Does it, looking through the lines for a while. Blocks.
    #[must_use]
    pub fn run(mut self) -> Self {
        self.read = self.store.read(&self.wanted);
        if !self.unwritten.is_empty() {
            let written = self.store.write(&self.unwritten);
            self.file = written
                .inspect_err(|error| tracing::warn!(%error, "lines cannot be written away"))
                .ok();
        }
        for part in self.parts.iter_mut().flatten() {
            part.step(&self.store, self.lens.as_ref(), SLICE, true);
        }
        self
    }
}

impl PartialEq for Errand {
    fn eq(&self, other: &Self) -> bool {
        self.reading == other.reading && self.parts == other.parts && self.wanted == other.wanted
    }
}

impl Eq for Errand {}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand")
            .field("reading", &self.reading)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl TextView {
    /// What is left to do elsewhere, if anything is.
    #[must_use]
    pub fn errand(&mut self) -> Option<Errand> {
        let left = |scan: &Option<Scan>| {
            let scan = scan.as_ref().filter(|scan| !scan.done(&self.store))?;
            Some(scan.part())
        };
        let parts = [left(&self.filter), left(&self.search), left(&self.errors)];
        let wanted = self.missing();
        let unwritten = self.store.written_next();
        let some = !wanted.is_empty() || !unwritten.is_empty() || parts.iter().any(Option::is_some);
        some.then(|| Errand {
            reading: self.readings,
            store: self.store.clone(),
            lens: Arc::clone(&self.lens),
            parts,
            wanted,
            read: Vec::new(),
            unwritten,
            file: None,
        })
    }

    /// Takes in what an errand of this view found; one of before the lines were read anew is left.
    pub fn take(&mut self, errand: Errand) {
        if errand.reading != self.readings {
            return;
        }
        self.store.have_at_hand(errand.wanted.len(), errand.read);
        if !errand.unwritten.is_empty() {
            let places = errand.unwritten.into_iter().map(|(place, _)| place);
            self.store.written(errand.file, places.collect());
        }
        let scans = [&mut self.filter, &mut self.search, &mut self.errors];
        for (scan, part) in scans.into_iter().zip(errand.parts) {
            if let Some((scan, part)) = scan.as_mut().zip(part) {
                scan.join(part);
            }
        }
        self.go_on();
    }
}
