//! One pod from its first sight to the last of it: waiting for a place, its init containers, its containers, its
//! deadline, its deletion. What it learns it writes into the pod's status.
//!
//! Everything that was begun is found again on disk, so that a node that starts anew goes on where the last one was.

mod container_loop;
mod lifecycle;
mod prepare;
mod recovery;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Preconditions},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use super::{
    Node,
    queue::{Place, Ticket},
    status::Known,
};
use container_loop::Role;
use lifecycle::{Driver, Stop};

pub use container_loop::attempts;
pub use recovery::{Arrival, Trace, in_order, size};

/// A pod as the node last saw it; `None` when it is gone.
pub type Seen = Option<Arc<Pod>>;

/// How often a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Runs a pod until it is gone.
pub async fn run(node: Arc<Node>, mut seen: watch::Receiver<Seen>, arrival: Arrival) {
    let Some(pod) = seen.borrow_and_update().clone() else {
        return;
    };
    let finished = is_finished(&pod);
    let (stop, stopped) = watch::channel(Stop::Go);
    let work = Work::new(node, pod, arrival);
    if !finished {
        let mut driver = Driver::new(&work, stop);
        let mut flow = std::pin::pin!(work.flow(stopped));
        let (mut flowing, mut told) = (true, true);
        while flowing || !driver.written {
            driver.look(seen.borrow_and_update().clone());
            let due = driver.due();
            tokio::select! {
                () = &mut flow, if flowing => {
                    flowing = false;
                    work.note(|known| known.over = true);
                }
                changed = seen.changed(), if told => told = changed.is_ok(),
                () = driver.write() => {}
                due = due => driver.stop_for(due),
            }
        }
    }
    work.leave(seen).await;
}

pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A pod and what is known of it.
struct Work {
    node: Arc<Node>,
    pod: Arc<Pod>,
    api: Api<Pod>,
    /// Who Events are about.
    reference: ObjectReference,
    directory: PathBuf,
    ticket: Ticket,
    /// Places it has had since before this node, and from when, until they are taken over.
    kept: Mutex<Option<(Timestamp, Place)>>,
    known: Mutex<Known>,
    /// Seconds its deletion gives its containers to stop.
    grace: Mutex<Option<u64>>,
    changed: Notify,
}

impl Work {
    fn new(node: Arc<Node>, pod: Arc<Pod>, arrival: Arrival) -> Self {
        let namespace = pod.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(node.client.clone(), &namespace),
            reference: pod.object_ref(&()),
            directory: node.pod_directory(&pod.uid().unwrap_or_default()),
            ticket: arrival.ticket,
            kept: Mutex::new(arrival.begun),
            known: Mutex::new(Known::of(&pod)),
            grace: Mutex::default(),
            changed: Notify::new(),
            node,
            pod,
        }
    }

    /// LogNotifier what is known, and has it written.
    fn note(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn grace(&self) -> MutexGuard<'_, Option<u64>> {
        self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> Known {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn containers(&self) -> (&[Container], &[Container]) {
        let spec = self.pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref());
        (
            init.unwrap_or_default(),
            spec.map_or(&[], |spec| &spec.containers),
        )
    }

    /// All that is to be done for the pod; returns when nothing of it runs and nothing will be started.
    async fn flow(&self, mut stop: watch::Receiver<Stop>) {
        let Some(ready) = self.get_ready(&mut stop).await else {
            return;
        };
        let (init, main) = self.containers();
        for (index, container) in init.iter().enumerate() {
            let role = Role::Init(index);
            if !self.container(role, container, &ready, stop.clone()).await {
                return;
            }
        }
        let all = main.iter().enumerate().map(|(index, container)| {
            self.container(Role::Main(index), container, &ready, stop.clone())
        });
        join_all(all).await;
    }

    /// Nothing runs any more: waits for the pod's deletion, lets it go, and clears its directory.
    async fn leave(&self, mut seen: watch::Receiver<Seen>) {
        // Logs stay for as long as the pod does; its files are of no more use, and some are secret.
        for what in ["volumes", "scratch"] {
            clear(self.directory.join(what)).await;
        }
        loop {
            let latest = seen.borrow_and_update().clone();
            match latest {
                None => break,
                Some(pod) if pod.metadata.deletion_timestamp.is_some() => {
                    let parameters = DeleteParams {
                        grace_period_seconds: Some(0),
                        preconditions: Some(Preconditions {
                            uid: pod.uid(),
                            resource_version: None,
                        }),
                        ..DeleteParams::default()
                    };
                    let released = self.api.delete(&pod.name_any(), &parameters).await;
                    if released.is_err_and(|error| !is_gone(&error)) {
                        sleep(RETRY).await;
                        continue;
                    }
                }
                Some(_) => {}
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
        clear(self.directory.clone()).await;
    }
}

/// [`remove`], without keeping others waiting.
async fn clear(directory: PathBuf) {
    if let Err(error) = tokio::task::spawn_blocking(move || remove(&directory)).await {
        tracing::error!(%error, "a directory was not removed");
    }
}

/// Removes a pod's directory; what cannot be removed now is removed when the node starts next.
pub fn remove(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "a directory cannot be removed");
        }
        _ => {}
    }
}

/// The pod is gone, or another has its name.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
}
