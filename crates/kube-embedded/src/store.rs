//! The objects of the embedded cluster: read from memory, written through one thread that makes every write durable
//! before it is seen.
//!
//! Writes that wait for the disk together share one commit. A reader never waits for the disk.
//!
//! The changes that watches are told are kept in memory alone: after a restart a watch goes on if nothing happened since
//! the version it knows, and is told to list again (410) otherwise. Versions never go back.

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
pub use state::{Change, State, What};
pub use transaction::Transaction;

use super::status::StatusError;

/// Writes that may share one commit.
const BATCH: usize = 128;

/// Answers the writer once the outcome of the commit is known.
type Answer = Box<dyn FnOnce(Result<(), StatusError>) + Send>;
/// Decides one write.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> Answer + Send>;

/// The one store of a cluster; clones share it.
#[derive(Clone)]
pub struct Store {
    state: Arc<RwLock<State>>,
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens (or makes) the store in `directory`. The receiver gets every change from now on, in order.
    pub fn open(directory: &Path) -> Result<(Self, UnboundedReceiver<Arc<Change>>), DiskError> {
        let (disk, loaded) = disk::Disk::open(directory)?;
        Self::start(disk, loaded)
    }

    fn start(
        disk: disk::Disk,
        loaded: disk::Loaded,
    ) -> Result<(Self, UnboundedReceiver<Arc<Change>>), DiskError> {
        let (feed, changes) = tokio::sync::mpsc::unbounded_channel();
        let state = Arc::new(RwLock::new(State::load(loaded, feed)));
        let (jobs, queue) = mpsc::channel::<Job>();
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("embedded-store".into())
            .spawn(move || write_loop(&queue, &shared, disk))
            .map_err(DiskError::Thread)?;
        let writer = Writer {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        let store = Self {
            state,
            writer: Arc::new(Mutex::new(writer)),
        };
        Ok((store, changes))
    }

    /// What is there now. Never held across an await.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `decide` alone with the newest state; what it writes is durable, and visible to readers, when this returns.
    /// With `dry_run`, or when `decide` refuses or panics, nothing it wrote is kept; nor when the disk fails, and then
    /// no reader ever sees it.
    pub async fn write<T: Send + 'static>(
        &self,
        dry_run: bool,
        decide: impl FnOnce(&mut Transaction<'_>) -> Result<T, StatusError> + Send + 'static,
    ) -> Result<T, StatusError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let mark = transaction.mark();
            // One write that goes wrong must not take the writer, and with it every later write, along.
            let result = catch_unwind(AssertUnwindSafe(|| decide(transaction)))
                .unwrap_or_else(|panic| Err(broken(panic.as_ref())));
            if dry_run || result.is_err() {
                transaction.roll_back(mark);
            }
            Box::new(move |committed| {
                // Who asked may have gone away; the write stands.
                let _ = reply.send(committed.and(result));
            })
        });
        let sent = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        let ended = || StatusError::with_code(503, "the embedded cluster is shutting down");
        if !sent {
            return Err(ended());
        }
        answer.await.map_err(|_| ended())?
    }

    /// Ends the writing thread after the writes it already has; the file is closed when this returns. Watches end.
    pub fn close(&self) {
        let thread = {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.jobs = None;
            writer.thread.take()
        };
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the embedded store's thread ended by a panic");
        }
        self.state
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .close();
    }
}

/// What a write that panicked is answered with; the panic itself was logged where it happened.
fn broken(panic: &(dyn Any + Send)) -> StatusError {
    StatusError::internal(format!("the write broke off: {}", disk::spoken(panic)))
}

fn write_loop(queue: &mpsc::Receiver<Job>, state: &RwLock<State>, mut disk: disk::Disk) {
    while let Ok(first) = queue.recv() {
        let mut answers = Vec::new();
        let (changes, revision) = {
            let before = state.read().unwrap_or_else(PoisonError::into_inner);
            let mut transaction = Transaction::new(&before);
            answers.push(first(&mut transaction));
            answers.extend(
                std::iter::from_fn(|| queue.try_recv().ok())
                    .take(BATCH)
                    .map(|job| job(&mut transaction)),
            );
            transaction.finish()
        };
        let committed = if changes.is_empty() {
            Ok(())
        } else {
            disk.commit(&changes, revision)
                .map_err(|error| StatusError::internal(format!("nothing was written: {error}")))
        };
        if committed.is_ok() && !changes.is_empty() {
            state
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .publish(changes, revision);
        }
        for answer in answers {
            answer(committed.clone());
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
    async fn what_was_acknowledged_is_there_after_a_restart_and_versions_go_on() {
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
    async fn a_write_that_panics_is_answered_and_the_next_one_works() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        let before = store.read().revision();
        let broken: Result<(), StatusError> = store
            .write(false, |transaction| {
                let (key, value) = config(1);
                transaction.put(&"configmaps".into(), key, value);
                panic!("planted")
            })
            .await;
        let failure = broken.unwrap_err();
        assert_eq!((failure.code, failure.reason), (500, "InternalError"));
        assert!(failure.message.contains("planted"), "{failure}");
        assert_eq!(store.read().revision(), before);
        assert_eq!(put(&store, 2).await.unwrap(), before + 1);
        store.close();
        let (store, _changes) = Store::open(directory.path()).unwrap();
        assert_eq!(store.read().collection("configmaps").unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refused_write_leaves_nothing_behind() {
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
