//! The objects of a cluster. Reads are served from memory; writes go through one thread that makes them durable before
//! they become visible.
//!
//! Writes that wait for the disk share one commit. Readers never wait for the disk.
//!
//! The change log for watches is in memory only: after a restart, a watch resumes if nothing has changed since its
//! resource version, and gets 410 otherwise. Resource versions never go back.

mod disk;
mod state;
mod transaction;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, mpsc},
    thread::JoinHandle,
};

use tokio::sync::{mpsc::UnboundedReceiver, oneshot};

pub use disk::DiskError;
pub(crate) use state::{Change, ChangeType, State};
pub(crate) use transaction::Transaction;

use super::status::StatusError;

/// Maximum number of writes per commit.
const BATCH: usize = 128;

/// Replies to a writer after the commit.
type Reply = Box<dyn FnOnce(Result<(), StatusError>) + Send>;
/// Decides a write.
type Write = Box<dyn FnOnce(&mut Transaction<'_>) -> Reply + Send>;

/// The store of a cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    state: Arc<RwLock<State>>,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    writes: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens or creates the store in `directory`. The receiver gets every change from now on, in order.
    pub(crate) fn open(
        directory: &Path,
    ) -> Result<(Self, UnboundedReceiver<Arc<Change>>), DiskError> {
        let (disk, loaded) = disk::Disk::open(directory)?;
        Self::start(disk, loaded)
    }

    fn start(
        disk: disk::Disk,
        loaded: disk::Loaded,
    ) -> Result<(Self, UnboundedReceiver<Arc<Change>>), DiskError> {
        let (feed, changes) = tokio::sync::mpsc::unbounded_channel();
        let state = Arc::new(RwLock::new(State::load(loaded, feed)));
        let (writes, queue) = mpsc::channel::<Write>();
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("embedded-store".into())
            .spawn(move || write_loop(&queue, &shared, disk))
            .map_err(DiskError::Thread)?;
        let store = Self {
            state,
            writer: Arc::new(Mutex::new(Writer {
                writes: Some(writes),
                thread: Some(thread),
            })),
        };
        Ok((store, changes))
    }

    /// Returns the current state. Must not be held across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `decide` exclusively on the latest state. When this returns, what it wrote is durable and visible to
    /// readers.
    ///
    /// Nothing is written with `dry_run`, if `decide` fails or panics, or if the commit fails.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        dry_run: bool,
        decide: impl FnOnce(&mut Transaction<'_>) -> Result<T, StatusError> + Send + 'static,
    ) -> Result<T, StatusError> {
        let (sender, reply) = oneshot::channel();
        let write_job: Write = Box::new(move |transaction| {
            let mark = transaction.mark();
            transaction.set_dry_run(dry_run);
            // A panic in one write must not end the writer thread.
            let result = catch_unwind(AssertUnwindSafe(|| decide(transaction)))
                .unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
            if dry_run || result.is_err() {
                transaction.roll_back(mark);
            }
            Box::new(move |committed| {
                // The caller may be gone; the write stands.
                let _ = sender.send(committed.and(result));
            })
        });
        let sent = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .writes
            .as_ref()
            .is_some_and(|writes| writes.send(write_job).is_ok());
        let closing = || StatusError::with_code(503, "the embedded cluster is shutting down");
        if !sent {
            return Err(closing());
        }
        reply.await.map_err(|_| closing())?
    }

    /// Ends the writer thread after the pending writes, closes the file, and ends all watches.
    pub(crate) fn close(&self) {
        let thread = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.writes = None;
            writer.thread.take()
        };
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
        self.state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .close();
    }
}

/// Returns the error of a write that panicked. The panic hook has logged the panic.
fn panicked(panic: &(dyn Any + Send)) -> StatusError {
    StatusError::internal(format!(
        "the write panicked: {}",
        disk::panic_message(panic)
    ))
}

fn write_loop(queue: &mpsc::Receiver<Write>, state: &RwLock<State>, mut disk: disk::Disk) {
    while let Ok(first) = queue.recv() {
        let mut replies = Vec::new();
        let (changes, revision) = {
            let before = state.read().unwrap_or_else(PoisonError::into_inner);
            let mut transaction = Transaction::new(&before);
            replies.push(first(&mut transaction));
            replies.extend(
                std::iter::from_fn(|| queue.try_recv().ok())
                    .take(BATCH)
                    .map(|write_job| write_job(&mut transaction)),
            );
            transaction.finish()
        };
        let committed = if changes.is_empty() {
            Ok(())
        } else {
            disk.commit(&changes, revision)
                .map_err(|error| StatusError::internal(format!("cannot commit: {error}")))
        };
        if committed.is_ok() && !changes.is_empty() {
            state
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .publish(changes, revision);
        }
        for reply in replies {
            reply(committed.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::Key;

    fn config(n: usize) -> (Key, serde_json::Value) {
        let name = format!("c{n}");
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}});
        (Key::new("a", name), value)
    }

    async fn put(store: &Store, n: usize) -> Result<u64, StatusError> {
        store
            .write(false, move |transaction| {
                let (key, value) = config(n);
                Ok(transaction.put(&"configmaps".into(), key, value).revision)
            })
            .await
    }

    #[tokio::test]
    async fn writes_survive_restart_and_versions_continue() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        let writes = futures::future::join_all((0..40).map(|n| put(&store, n))).await;
        let last = writes.into_iter().map(Result::unwrap).max().unwrap();
        store
            .write(false, |transaction| {
                let (key, last) = config(39);
                transaction.remove(&"configmaps".into(), &key, last);
                Ok(())
            })
            .await
            .unwrap();
        store.close();

        let (store, _changes) = Store::open(directory.path()).unwrap();
        assert_eq!(store.read().revision(), last + 1);
        let kept = store.read().collection("configmaps").unwrap().len();
        assert_eq!(kept, 39);
        assert!(put(&store, 50).await.unwrap() > last + 1);
    }

    #[tokio::test]
    async fn panicking_write_fails_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        let before = store.read().revision();
        let panicked: Result<(), StatusError> = store
            .write(false, |transaction| {
                let (key, value) = config(1);
                transaction.put(&"configmaps".into(), key, value);
                panic!("planted")
            })
            .await;
        let error = panicked.unwrap_err();
        assert_eq!((error.code, error.reason), (500, "InternalError"));
        assert!(error.message.contains("planted"), "{error}");
        assert_eq!(store.read().revision(), before);
        assert_eq!(put(&store, 2).await.unwrap(), before + 1);
        store.close();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        assert_eq!(store.read().collection("configmaps").unwrap().len(), 1);
    }

    #[tokio::test]
    async fn failed_write_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        let before = store.read().revision();
        let refused: Result<(), StatusError> = store
            .write(false, |transaction| {
                let (key, value) = config(1);
                transaction.put(&"configmaps".into(), key, value);
                Err(StatusError::bad_request("no"))
            })
            .await;
        assert_eq!(refused.unwrap_err().code, 400);
        assert_eq!(store.read().revision(), before);
        assert_eq!(put(&store, 2).await.unwrap(), before + 1);
    }
}
