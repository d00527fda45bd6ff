//! Says when the repository, the plan or its documents have changed on disk, without looking at them at rest.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::ModifyKind,
};
use tokio::{sync::Notify, time::Instant};

use super::Facts;

/// How long nothing must happen before a change is told: writers come in bursts.
const QUIET: Duration = Duration::from_millis(100);
/// How long a change is held back at most while more of them come.
const HELD: Duration = Duration::from_secs(1);

/// Why nothing can be watched: mostly a limit of the system on the number of watches.
#[derive(Debug, thiserror::Error)]
#[error("files cannot be watched: {0}")]
pub struct WatchError(#[from] notify::Error);

/// What has changed since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// HEAD, branches, the index, an operation under way, the configuration.
    pub repository: bool,
    /// The plan, its state, or its documents; or the folder they are to appear in.
    pub plan: bool,
}

const REPOSITORY: u8 = 1;
const PLAN: u8 = 2;

/// Watches the files behind some facts until it is dropped.
pub struct Watch {
    watcher: RecommendedWatcher,
    shared: Arc<Shared>,
    watched: BTreeSet<(PathBuf, bool)>,
}

/// What the watcher's thread leaves for whoever waits.
#[derive(Default)]
struct Shared {
    bits: AtomicU8,
    woken: Notify,
}

impl Watch {
    /// Watches what these facts were read from.
    ///
    /// # Errors
    /// When the system gives no watches.
    pub fn new(facts: &Facts) -> Result<Self, WatchError> {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        let places = Places::new(facts);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let bits = event.map_or(REPOSITORY | PLAN, |event| places.meaning(&event));
            if bits != 0 {
                told.bits.fetch_or(bits, Ordering::Relaxed);
                told.woken.notify_one();
            }
        })?;
        let mut watch = Self {
            watcher,
            shared,
            watched: BTreeSet::new(),
        };
        watch.follow(facts)?;
        Ok(watch)
    }

    /// Watches what other facts of the same repository were read from: a plan may have appeared, or moved.
    ///
    /// # Errors
    /// When the system gives no more watches.
    pub fn follow(&mut self, facts: &Facts) -> Result<(), WatchError> {
        let wanted = wanted(facts);
        for (path, _) in self.watched.difference(&wanted) {
            // A folder that is gone is watched no more anyway.
            let _ = self.watcher.unwatch(path);
        }
        for (path, deep) in wanted.difference(&self.watched) {
            let mode = if *deep {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            self.watcher.watch(path, mode)?;
        }
        self.watched = wanted;
        Ok(())
    }

    /// Waits for a change, and for the burst it came in to end.
    pub async fn changed(&self) -> Changed {
        loop {
            self.shared.woken.notified().await;
            let latest = Instant::now() + HELD;
            while Instant::now() < latest
                && tokio::time::timeout(QUIET, self.shared.woken.notified())
                    .await
                    .is_ok()
            {}
            let bits = self.shared.bits.swap(0, Ordering::Relaxed);
            if bits != 0 {
                return Changed {
                    repository: bits & REPOSITORY != 0,
                    plan: bits & PLAN != 0,
                };
            }
        }
    }
}

/// Folders to watch, and whether with all that is in them. Folders, since every writer replaces files.
fn wanted(facts: &Facts) -> BTreeSet<(PathBuf, bool)> {
    let taskmaster = facts.project.join(".taskmaster");
    let mut wanted = BTreeSet::from([
        (facts.git_dir.clone(), false),
        (facts.common_dir.clone(), false),
        (facts.common_dir.join("refs"), true),
        // Where a repository keeps its references in a table instead; a linked work tree has one of its own.
        (facts.common_dir.join("reftable"), false),
        (facts.git_dir.join("reftable"), false),
        // Where `.taskmaster` would appear.
        (facts.project.clone(), false),
        (taskmaster, true),
    ]);
    // The older place of the plan.
    let folder = facts.plan.path.as_deref().and_then(Path::parent);
    let elsewhere = folder.filter(|folder| !folder.starts_with(facts.project.join(".taskmaster")));
    wanted.extend(elsewhere.map(|folder| (folder.to_owned(), false)));
    wanted.retain(|(path, _)| path.is_dir());
    wanted
}

/// Where the repository's own files are; everything else that is watched belongs to the plan.
struct Places {
    git_dir: PathBuf,
    common_dir: PathBuf,
    project: PathBuf,
}

impl Places {
    fn new(facts: &Facts) -> Self {
        Self {
            git_dir: facts.git_dir.clone(),
            common_dir: facts.common_dir.clone(),
            project: facts.project.clone(),
        }
    }

    fn meaning(&self, event: &Event) -> u8 {
        let told = match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => true,
            // Reading changes metadata too.
            EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
            EventKind::Access(_) => false,
        };
        if !told {
            return 0;
        }
        if event.need_rescan() {
            return REPOSITORY | PLAN;
        }
        event
            .paths
            .iter()
            .fold(0, |bits, path| bits | self.of_path(path))
    }

    fn of_path(&self, path: &Path) -> u8 {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        // Locks come and go around every write; what they guard is told by itself.
        if name.ends_with(".lock") {
            0
        } else if path.starts_with(&self.git_dir) || path.starts_with(&self.common_dir) {
            REPOSITORY
        } else if path.parent() == Some(&self.project) && name != ".taskmaster" && name != "tasks" {
            // Another file of the project's folder.
            0
        } else {
            PLAN
        }
    }
}

#[cfg(test)]
mod tests;
