//! Watches the repository, the plan and its documents for changes, without polling.

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

/// Reports a change after this time without another one: writers come in bursts.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Longest delay of a change while further changes arrive.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Why files cannot be watched; mostly a system limit on watches.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch files: {0}")]
pub struct WatchError(#[from] notify::Error);

/// What changed since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// HEAD, branches, the index, an operation in progress, or the configuration.
    pub repository: bool,
    /// The plan, its state, its documents, or the directory that will contain them.
    pub plan: bool,
}

const REPOSITORY: u8 = 1;
const PLAN: u8 = 2;

/// Watches the files that facts were read from, until dropped.
pub struct RepositoryWatch {
    watcher: RecommendedWatcher,
    shared: Arc<Shared>,
    watched: BTreeSet<(PathBuf, bool)>,
}

/// State shared with the watcher's thread.
#[derive(Default)]
struct Shared {
    bits: AtomicU8,
    changed: Notify,
}

impl RepositoryWatch {
    /// Watches the files that `facts` were read from.
    ///
    /// # Errors
    /// If the system's limit on watches is reached.
    pub fn new(facts: &Facts) -> Result<Self, WatchError> {
        let shared = Arc::new(Shared::default());
        let relevant = Arc::clone(&shared);
        let paths = RepositoryPaths::new(facts);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let bits = event.map_or(REPOSITORY | PLAN, |event| paths.classify(&event));
            if bits != 0 {
                relevant.bits.fetch_or(bits, Ordering::Relaxed);
                relevant.changed.notify_one();
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

    /// Switches to newer facts of the same repository, whose plan may have appeared or moved.
    ///
    /// # Errors
    /// If the system's limit on watches is reached.
    pub fn follow(&mut self, facts: &Facts) -> Result<(), WatchError> {
        let wanted = wanted(facts);
        for (path, _) in self.watched.difference(&wanted) {
            // Fails if the directory is gone, which is fine.
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

    /// Waits for a change and the end of its burst.
    pub async fn changed(&self) -> Changed {
        loop {
            self.shared.changed.notified().await;
            let latest = Instant::now() + MAX_DELAY;
            while Instant::now() < latest
                && tokio::time::timeout(DEBOUNCE, self.shared.changed.notified())
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

/// Returns the directories to watch, and whether recursively. Directories, because writers replace files.
fn wanted(facts: &Facts) -> BTreeSet<(PathBuf, bool)> {
    let taskmaster = facts.project.join(".taskmaster");
    let mut wanted = BTreeSet::from([
        (facts.git_dir.clone(), false),
        (facts.common_dir.clone(), false),
        (facts.common_dir.join("refs"), true),
        // Reftables; a linked work tree has its own.
        (facts.common_dir.join("reftable"), false),
        (facts.git_dir.join("reftable"), false),
        // Where `.taskmaster` would be created.
        (facts.project.clone(), false),
        (taskmaster, true),
    ]);
    // The older location of the plan.
    let folder = facts.plan.path.as_deref().and_then(Path::parent);
    let elsewhere = folder.filter(|folder| !folder.starts_with(facts.project.join(".taskmaster")));
    wanted.extend(elsewhere.map(|folder| (folder.to_owned(), false)));
    wanted.retain(|(path, _)| path.is_dir());
    wanted
}

/// The repository's own paths; everything else that is watched belongs to the plan.
struct RepositoryPaths {
    git_dir: PathBuf,
    common_dir: PathBuf,
    project: PathBuf,
}

impl RepositoryPaths {
    fn new(facts: &Facts) -> Self {
        Self {
            git_dir: facts.git_dir.clone(),
            common_dir: facts.common_dir.clone(),
            project: facts.project.clone(),
        }
    }

    fn classify(&self, event: &Event) -> u8 {
        let relevant = match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => true,
            // Reading changes metadata, too.
            EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
            EventKind::Access(_) => false,
        };
        if !relevant {
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
        // Locks come and go around every write; the file they guard changes as well.
        if name.ends_with(".lock") {
            0
        } else if path.starts_with(&self.git_dir) || path.starts_with(&self.common_dir) {
            REPOSITORY
        } else if path.parent() == Some(&self.project) && name != ".taskmaster" && name != "tasks" {
            // Another file in the project's directory.
            0
        } else {
            PLAN
        }
    }
}

#[cfg(test)]
mod tests;
