//! One pod from first sight to removal: admission, init containers, containers, deadline and deletion. Progress is
//! written to the pod's status.
//!
//! Everything that was started is found again on disk, so that a restarted node continues where the last one stopped.

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
    queue::{Slots, Ticket},
    status::PodRecord,
};
use container_loop::Role;
use lifecycle::{Lifecycle, Stop};

pub(super) use container_loop::attempts;
pub(super) use recovery::{PodStart, SavedState, in_queue_order, slots};

/// The last observed pod; `None` if it is gone.
pub(super) type ObservedPod = Option<Arc<Pod>>;

/// Delay before a failed write is retried.
const RETRY: Duration = Duration::from_secs(1);

/// Runs a pod until it is gone.
pub(super) async fn run(
    node: Arc<Node>,
    mut observed: watch::Receiver<ObservedPod>,
    start: PodStart,
) {
    let Some(pod) = observed.borrow_and_update().clone() else {
        return;
    };
    let finished = is_finished(&pod);
    let (stop, stopped) = watch::channel(Stop::Run);
    let runner = PodRunner::new(node, pod, start);
    if !finished {
        let mut lifecycle = Lifecycle::new(&runner, stop);
        let mut containers = std::pin::pin!(runner.run_containers(stopped));
        let (mut running, mut connected) = (true, true);
        while running || !lifecycle.written {
            lifecycle.observe(observed.borrow_and_update().clone());
            let due = lifecycle.due();
            tokio::select! {
                () = &mut containers, if running => {
                    running = false;
                    runner.update(|record| record.finished = true);
                }
                changed = observed.changed(), if connected => connected = changed.is_ok(),
                () = lifecycle.write() => {}
                due = due => lifecycle.stop_for(due),
            }
        }
    }
    runner.finish(observed).await;
}

pub(super) fn is_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Runs one pod.
struct PodRunner {
    node: Arc<Node>,
    pod: Arc<Pod>,
    api: Api<Pod>,
    /// Object of the pod's Events.
    reference: ObjectReference,
    directory: PathBuf,
    ticket: Ticket,
    /// Slots held since before this node started, and since when, until they are taken over.
    reserved: Mutex<Option<(Timestamp, Slots)>>,
    record: Mutex<PodRecord>,
    /// Grace period of the pod's deletion, in seconds.
    grace: Mutex<Option<u64>>,
    changed: Notify,
}

impl PodRunner {
    fn new(node: Arc<Node>, pod: Arc<Pod>, start: PodStart) -> Self {
        let namespace = pod.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(node.client.clone(), &namespace),
            reference: pod.object_ref(&()),
            directory: node.pod_directory(&pod.uid().unwrap_or_default()),
            ticket: start.ticket,
            reserved: Mutex::new(start.begun),
            record: Mutex::new(PodRecord::from_pod(&pod)),
            grace: Mutex::default(),
            changed: Notify::new(),
            node,
            pod,
        }
    }

    /// Updates the record and triggers a status write.
    fn update(&self, change: impl FnOnce(&mut PodRecord)) {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn grace(&self) -> MutexGuard<'_, Option<u64>> {
        self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self) -> PodRecord {
        self.record
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

    /// Runs all containers of the pod. Returns when none runs and none will be started.
    async fn run_containers(&self, mut stop: watch::Receiver<Stop>) {
        let Some(prepared) = self.prepare(&mut stop).await else {
            return;
        };
        let (init, main) = self.containers();
        for (index, container) in init.iter().enumerate() {
            let role = Role::Init(index);
            if !self
                .container(role, container, &prepared, stop.clone())
                .await
            {
                return;
            }
        }
        let all = main.iter().enumerate().map(|(index, container)| {
            self.container(Role::Main(index), container, &prepared, stop.clone())
        });
        join_all(all).await;
    }

    /// Waits for the pod's deletion, releases it, and removes its directory. Called when nothing runs.
    async fn finish(&self, mut observed: watch::Receiver<ObservedPod>) {
        // Logs are kept while the pod exists. Its files are not needed any longer, and may be secret.
        for what in ["volumes", "scratch"] {
            clear(self.directory.join(what)).await;
        }
        loop {
            let latest = observed.borrow_and_update().clone();
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
            if observed.changed().await.is_err() {
                return;
            }
        }
        clear(self.directory.clone()).await;
    }
}

/// Like [`remove`], off the async threads.
async fn clear(directory: PathBuf) {
    if let Err(error) = tokio::task::spawn_blocking(move || remove(&directory)).await {
        tracing::error!(%error, "cannot remove a directory");
    }
}

/// Removes a directory. What cannot be removed now is removed when the node starts next.
pub(super) fn remove(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "cannot remove a directory");
        }
        _ => {}
    }
}

/// Returns whether the pod is gone, or another has its name.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
}
