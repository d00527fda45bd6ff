//! Work of a view for a blocking thread: searching lines, spilling segments to a file and reading them back.
//!
//! A task shares the lines with the view, so creating one is cheap. It covers some ten milliseconds of work: matches show
//! up quickly, and a superseded task ends soon.

use std::{fmt, fs::File, sync::Arc};

use super::{
    TextView, formatter::LineFormatter, scan::Scan, segment::Segment, spill::SpilledSegment,
    store::Store,
};

/// Bytes searched by one task: some ten milliseconds.
const SLICE: usize = 8 * 1024 * 1024;

/// A task for a blocking thread, and after [`Self::run`] its result.
#[derive(Clone)]
pub struct BackgroundTask {
    generation: u64,
    store: Store,
    formatter: Arc<dyn LineFormatter>,
    /// Unfinished parts of filter, search and errors.
    parts: [Option<Scan>; 3],
    to_read: Vec<SpilledSegment>,
    read: Vec<Arc<Segment>>,
    to_spill: Vec<(SpilledSegment, Arc<Segment>)>,
    file: Option<Arc<File>>,
}

impl BackgroundTask {
    /// Runs the task and returns it with its result. Blocks.
    #[must_use]
    pub fn run(mut self) -> Self {
        self.read = self.store.read(&self.to_read);
        if !self.to_spill.is_empty() {
            let written = self.store.write(&self.to_spill);
            self.file = written
                .inspect_err(|error| tracing::warn!(%error, "cannot write lines to the spill file"))
                .ok();
        }
        for part in self.parts.iter_mut().flatten() {
            part.step(&self.store, self.formatter.as_ref(), SLICE, true);
        }
        self
    }
}

impl PartialEq for BackgroundTask {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation
            && self.parts == other.parts
            && self.to_read == other.to_read
    }
}

impl Eq for BackgroundTask {}

impl fmt::Debug for BackgroundTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundTask")
            .field("generation", &self.generation)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl TextView {
    /// Returns the next task to run in the background, if any.
    #[must_use]
    pub fn background_task(&mut self) -> Option<BackgroundTask> {
        let left = |scan: &Option<Scan>| {
            let scan = scan.as_ref().filter(|scan| !scan.done(&self.store))?;
            Some(scan.part())
        };
        let parts = [left(&self.filter), left(&self.search), left(&self.errors)];
        let to_read = self.missing();
        let to_spill = self.store.next_to_spill();
        let some = !to_read.is_empty() || !to_spill.is_empty() || parts.iter().any(Option::is_some);
        some.then(|| BackgroundTask {
            generation: self.generation,
            store: self.store.clone(),
            formatter: Arc::clone(&self.formatter),
            parts,
            to_read,
            read: Vec::new(),
            to_spill,
            file: None,
        })
    }

    /// Applies the result of a task; results from before the last reload are ignored.
    pub fn apply_result(&mut self, task: BackgroundTask) {
        if task.generation != self.generation {
            return;
        }
        self.store.cache(task.to_read.len(), task.read);
        if !task.to_spill.is_empty() {
            let spilled = task.to_spill.into_iter().map(|(location, _)| location);
            self.store.spilled(task.file, spilled.collect());
        }
        let scans = [&mut self.filter, &mut self.search, &mut self.errors];
        for (scan, part) in scans.into_iter().zip(task.parts) {
            if let Some((scan, part)) = scan.as_mut().zip(part) {
                scan.join(part);
            }
        }
        self.continue_search();
    }
}
