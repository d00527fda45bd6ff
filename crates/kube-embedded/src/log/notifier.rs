//! Tells followers when something happened in an attempt's directory. One system watch for all of them.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

type Listeners = HashMap<PathBuf, Vec<Weak<Notify>>>;

/// Watches the directories somebody listens to.
///
/// The watcher's own thread asks for `listeners`, and the watcher waits for that thread: so `listeners` is never held
/// while the watcher is called, and `watcher` is always taken first.
pub struct LogNotifier {
    watcher: Mutex<RecommendedWatcher>,
    listeners: Arc<Mutex<Listeners>>,
}

impl LogNotifier {
    pub fn new() -> io::Result<Arc<Self>> {
        let listeners = Arc::new(Mutex::new(Listeners::new()));
        let told = Arc::clone(&listeners);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            tell(&told, event);
        })
        .map_err(io::Error::other)?;
        Ok(Arc::new(Self {
            watcher: Mutex::new(watcher),
            listeners,
        }))
    }

    /// Listens to `directory` from now on.
    pub fn listen(self: &Arc<Self>, directory: &Path) -> io::Result<Listener> {
        let notify = Arc::new(Notify::new());
        let mut watcher = lock(&self.watcher);
        if !lock(&self.listeners).contains_key(directory) {
            watcher
                .watch(directory, RecursiveMode::NonRecursive)
                .map_err(io::Error::other)?;
        }
        lock(&self.listeners)
            .entry(directory.to_owned())
            .or_default()
            .push(Arc::downgrade(&notify));
        Ok(Listener {
            changes: Arc::clone(self),
            directory: directory.to_owned(),
            notify,
        })
    }
}

/// Reading a file is an event as well, and none that anybody waits for.
fn tell(listeners: &Mutex<Listeners>, event: notify::Result<notify::Event>) {
    let listeners = lock(listeners);
    let wake = |here: &Vec<Weak<Notify>>| {
        for notify in here.iter().filter_map(Weak::upgrade) {
            notify.notify_one();
        }
    };
    match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if !event.need_rescan() => {
            for path in &event.paths {
                for directory in [Some(path.as_path()), path.parent()] {
                    if let Some(here) = directory.and_then(|path| listeners.get(path)) {
                        wake(here);
                    }
                }
            }
        }
        // Events were lost: everybody looks again.
        _ => listeners.values().for_each(wake),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One who listens; stops when dropped.
pub struct Listener {
    changes: Arc<LogNotifier>,
    directory: PathBuf,
    notify: Arc<Notify>,
}

impl Listener {
    /// Resolves when something happened since the last call.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut watcher = lock(&self.changes.watcher);
        let unheard = {
            let mut listeners = lock(&self.changes.listeners);
            let here = listeners.get_mut(&self.directory);
            here.is_some_and(|here| {
                here.retain(|other| other.as_ptr() != Arc::as_ptr(&self.notify));
                here.is_empty()
            }) && listeners.remove(&self.directory).is_some()
        };
        if unheard {
            // The directory may be gone, and its watch with it.
            let _ = watcher.unwatch(&self.directory);
        }
    }
}
