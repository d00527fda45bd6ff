//! Notifies log followers of notifier in an attempt's directory. All followers share one system watch.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

type Listeners = HashMap<PathBuf, Vec<Weak<Notify>>>;

/// Watches the directories that have listeners.
///
/// The watcher's thread takes `listeners`, and the watcher waits for that thread. Therefore `listeners` is never held
/// while the watcher is called, and `watcher` is always locked first.
pub struct LogNotifier {
    watcher: Mutex<RecommendedWatcher>,
    listeners: Arc<Mutex<Listeners>>,
}

impl LogNotifier {
    pub fn new() -> io::Result<Arc<Self>> {
        let listeners = Arc::new(Mutex::new(Listeners::new()));
        let shared = Arc::clone(&listeners);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            notify_listeners(&shared, event);
        })
        .map_err(io::Error::other)?;
        Ok(Arc::new(Self {
            watcher: Mutex::new(watcher),
            listeners,
        }))
    }

    /// Returns a listener to notifier in `directory` from now on.
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
            notifier: Arc::clone(self),
            directory: directory.to_owned(),
            notify,
        })
    }
}

/// Notifies the listeners of an event. Reads are events too, and ignored.
fn notify_listeners(listeners: &Mutex<Listeners>, event: notify::Result<notify::Event>) {
    let listeners = lock(listeners);
    let notify_all = |listening: &Vec<Weak<Notify>>| {
        for notify in listening.iter().filter_map(Weak::upgrade) {
            notify.notify_one();
        }
    };
    match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if !event.need_rescan() => {
            for path in &event.paths {
                for directory in [Some(path.as_path()), path.parent()] {
                    if let Some(listening) = directory.and_then(|path| listeners.get(path)) {
                        notify_all(listening);
                    }
                }
            }
        }
        // Events were lost: notify all listeners.
        _ => listeners.values().for_each(notify_all),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listener to one directory, until dropped.
pub struct Listener {
    notifier: Arc<LogNotifier>,
    directory: PathBuf,
    notify: Arc<Notify>,
}

impl Listener {
    /// Waits for a change since the last call.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut watcher = lock(&self.notifier.watcher);
        let is_last = {
            let mut listeners = lock(&self.notifier.listeners);
            let listening = listeners.get_mut(&self.directory);
            listening.is_some_and(|listening| {
                listening.retain(|other| other.as_ptr() != Arc::as_ptr(&self.notify));
                listening.is_empty()
            }) && listeners.remove(&self.directory).is_some()
        };
        if is_last {
            // Fails if the directory is gone, and its watch with it.
            let _ = watcher.unwatch(&self.directory);
        }
    }
}
