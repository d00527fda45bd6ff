//! Searching and filtering on another thread: a view hands out what is left to look at, and takes in what was found.
//!
//! An errand shares the lines with the view, so that handing it out costs nothing, and covers some milliseconds of work:
//! what it found is on the screen soon, and one whose answer nobody wants any more is soon over.

use std::{fmt, sync::Arc};

use super::{TextView, lens::Lens, scan::Scan, store::Store};

/// Bytes that an errand looks at: some ten milliseconds.
const SLICE: usize = 8 * 1024 * 1024;

/// Something to look for, to be done off the task that draws.
#[derive(Clone)]
pub struct Errand {
    reading: u64,
    store: Store,
    lens: Arc<dyn Lens>,
    /// Filter, search and errors, as far as they are not through.
    parts: [Option<Scan>; 3],
}

impl Errand {
    /// Looks through the lines for a while. Blocks.
    #[must_use]
    pub fn run(mut self) -> Self {
        for part in self.parts.iter_mut().flatten() {
            part.step(&self.store, self.lens.as_ref(), SLICE);
        }
        self
    }
}

impl PartialEq for Errand {
    fn eq(&self, other: &Self) -> bool {
        self.reading == other.reading && self.parts == other.parts
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
    /// What is left to look at, if anything is.
    #[must_use]
    pub fn errand(&self) -> Option<Errand> {
        let left = |scan: &Option<Scan>| {
            let scan = scan.as_ref().filter(|scan| !scan.done(&self.store))?;
            Some(scan.part())
        };
        let parts = [left(&self.filter), left(&self.search), left(&self.errors)];
        parts.iter().any(Option::is_some).then(|| Errand {
            reading: self.readings,
            store: self.store.clone(),
            lens: Arc::clone(&self.lens),
            parts,
        })
    }

    /// Takes in what an errand of this view found; one of before the lines were read anew is left.
    pub fn take(&mut self, errand: Errand) {
        if errand.reading != self.readings {
            return;
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
