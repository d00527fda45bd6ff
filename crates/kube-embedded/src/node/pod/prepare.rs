//! What a pod waits for before its containers start: claims, slots, disk space, ConfigMaps and Secrets.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{
    super::{
        NODE_NAME, disk_usage,
        environment::{self, EnvContext},
        pvc,
        queue::Slots,
        sources::Sources,
        status::State,
        unsupported,
        volumes::{self, VolumeError},
    },
    PodRunner, RETRY, is_gone,
    lifecycle::{Stop, until_stopped},
    recovery::{save_ticket, slots},
};

/// How often to check whether a full disk has space again.
const DISK_CHECK: Duration = Duration::from_secs(2);
/// Wait at least this many times the duration of a check.
const DISK_CHECK_FACTOR: u32 = 20;

/// Inputs of a pod's containers.
pub(super) struct Prepared {
    _slots: Slots,
    pub sources: Sources,
    pub volume_directories: BTreeMap<String, PathBuf>,
}

impl PodRunner {
    /// Waits for the claims, for slots, and for everything that is mounted or referenced. Returns `None` if the pod is
    /// stopped first.
    pub(super) async fn prepare(&self, stop: &mut watch::Receiver<Stop>) -> Option<Prepared> {
        let reserved = self
            .reserved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let volumes_directory = self.directory.join("volumes");
        if let Some((since, slots)) = reserved {
            // The earlier node may have ended before it wrote the status.
            self.mark_scheduled(since);
            until_stopped(stop, self.bind()).await;
            // Its containers may be running, and must be stopped if the pod is: do not return early. Nothing new is
            // started in that case, so the defaults are fine.
            let claims = until_stopped(stop, self.claims(true)).await;
            let sources = until_stopped(stop, self.sources()).await;
            return Some(Prepared {
                _slots: slots,
                sources: sources.unwrap_or_default(),
                volume_directories: volumes::directories(
                    &self.pod,
                    &volumes_directory,
                    &claims.unwrap_or_default(),
                ),
            });
        }
        let claims = until_stopped(stop, self.claims(false)).await?;
        let volume_directories = volumes::directories(&self.pod, &volumes_directory, &claims);
        self.save_ticket().await;
        loop {
            let waiter = self.node.queue.join(self.ticket, slots(&self.pod));
            let admission = waiter.wait(|position| {
                self.set_unscheduled(&format!(
                    "all {} slots for containers are in use; {position}.",
                    self.node.options.max_containers
                ));
            });
            let slots = until_stopped(stop, admission).await?;
            until_stopped(stop, self.wait_for_disk_space()).await?;
            self.mark_scheduled(Timestamp::now());
            until_stopped(stop, self.bind()).await?;
            let sources = until_stopped(stop, self.sources()).await?;
            match self.create(&sources, &volumes_directory).await {
                Ok(()) => {
                    return Some(Prepared {
                        _slots: slots,
                        sources,
                        volume_directories,
                    });
                }
                Err(error) => self.set_waiting(&error),
            }
            drop(slots);
            until_stopped(stop, sources.changed(&self.node.client, &self.pod)).await?;
        }
    }

    /// Records why the pod is not scheduled.
    fn set_unscheduled(&self, why: &str) {
        let message = format!("0/1 nodes are available: {why}");
        let mut first = false;
        self.update(|record| {
            first = record.start_time.is_none() && record.unscheduled.is_none();
            record.set_unscheduled(message.clone());
        });
        if first {
            let recorder = &self.node.recorder;
            recorder.warning(&self.reference, "FailedScheduling", message);
        }
    }

    async fn save_ticket(&self) {
        let (directory, ticket) = (self.directory.clone(), self.ticket);
        let reserved = tokio::task::spawn_blocking(move || save_ticket(&directory, ticket)).await;
        if let Err(error) = reserved.map_err(io::Error::other).flatten() {
            tracing::warn!(pod = self.pod.name_any(), %error, "cannot save the pod's place in the queue");
        }
    }

    /// Waits until there is disk space. This is the only polling in the node.
    async fn wait_for_disk_space(&self) {
        loop {
            let node = Arc::clone(&self.node);
            let started = Instant::now();
            let pressure = tokio::task::spawn_blocking(move || {
                disk_usage::pressure(&node.options.directory, &node.options.limits)
            });
            match pressure.await.map_err(io::Error::other).flatten() {
                Ok(None) => return,
                Ok(Some(why)) => self.set_unscheduled(&format!("{why}.")),
                Err(error) => {
                    // Do not block pods because of a failed check.
                    return tracing::warn!(%error, "cannot measure disk usage");
                }
            }
            sleep(DISK_CHECK.max(started.elapsed() * DISK_CHECK_FACTOR)).await;
        }
    }

    /// Records an error as the waiting reason of the first container.
    fn set_waiting(&self, error: &PrepareError) {
        let recorder = &self.node.recorder;
        let message = &error.message;
        match error.reason {
            CREATING => recorder.warning(
                &self.reference,
                "FailedMount",
                format!("MountVolume.SetUp failed for {message}"),
            ),
            _ => recorder.warning(&self.reference, "Failed", format!("Error: {message}")),
        }
        self.update(|record| {
            let first = record.init.first_mut().or(record.main.first_mut());
            if let Some(first) = first {
                first.state = State::waiting(error.reason, message);
            }
        });
    }

    /// Returns the directories of the pod's claims once all are bound. A pod that has begun may use claims that are
    /// being deleted.
    async fn claims(&self, begun: bool) -> BTreeMap<String, PathBuf> {
        let mut bound = self.node.claims.subscribe();
        let namespace = self.pod.namespace().unwrap_or_default();
        let names: Vec<String> = pvc::mounted(&self.pod).map(str::to_owned).collect();
        loop {
            let found = pvc::find(&bound.borrow_and_update(), &namespace, &names, begun);
            match found {
                Ok(uids) => {
                    return uids
                        .into_iter()
                        .map(|(name, uid)| (name, self.node.claim_directory(&uid)))
                        .collect();
                }
                Err(why) => self.set_unscheduled(&format!("{why}.")),
            }
            if bound.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Records that the pod is scheduled, which starts its deadline.
    fn mark_scheduled(&self, since: Timestamp) {
        self.update(|record| {
            record.unscheduled = None;
            record.start_time.get_or_insert(since);
        });
    }

    /// Binds the pod to this node, unless it is bound.
    async fn bind(&self) {
        let bound = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_ref());
        if bound.is_some() {
            return;
        }
        let recorder = &self.node.recorder;
        let full_name = format!(
            "{}/{}",
            self.pod.namespace().unwrap_or_default(),
            self.pod.name_any()
        );
        let message = format!("Successfully assigned {full_name} to {NODE_NAME}");
        recorder.normal(&self.reference, "Scheduled", message);
        let patch = json!({
            "metadata": {"uid": self.pod.uid()},
            "spec": {"nodeName": NODE_NAME},
        });
        let name = self.pod.name_any();
        while let Err(error) = self
            .api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            if is_gone(&error) {
                return;
            }
            tracing::warn!(pod = name, %error, "cannot bind the pod");
            sleep(RETRY).await;
        }
    }

    async fn sources(&self) -> Sources {
        loop {
            match Sources::read(&self.node.client, &self.pod).await {
                Ok(sources) => return sources,
                Err(error) => {
                    tracing::warn!(pod = self.pod.name_any(), %error, "cannot read the ConfigMaps and Secrets of the pod");
                    sleep(RETRY).await;
                }
            }
        }
    }

    pub(super) fn env_context<'a>(&'a self, sources: &'a Sources) -> EnvContext<'a> {
        EnvContext {
            pod: &self.pod,
            sources,
            node: &self.node.options.environment,
            programs: &self.node.programs,
            inherit_annotation: &self.node.options.identity.inherit_env_annotation,
        }
    }

    /// Fills the volumes and checks the environment of every container.
    async fn create(&self, sources: &Sources, directory: &Path) -> Result<(), PrepareError> {
        if let Some(message) = unsupported::unsupported_feature(&self.pod) {
            return Err(PrepareError::new("CreateContainerConfigError", message));
        }
        let (init, main) = self.containers();
        for container in init.iter().chain(main) {
            environment::declared(container, &self.env_context(sources))
                .map_err(|missing| PrepareError::new("CreateContainerConfigError", missing))?;
        }
        let filled = tokio::task::spawn_blocking({
            let (pod, sources) = (Arc::clone(&self.pod), sources.clone());
            let (directory, begun) = (directory.to_owned(), self.directory.join("begun"));
            move || {
                volumes::fill(&pod, &directory, &sources).map_err(|error| match error {
                    VolumeError::Missing(..) => PrepareError::new(CREATING, error),
                    VolumeError::Disk { .. } => PrepareError::new("CreateContainerError", error),
                })?;
                fs::write(&begun, "").map_err(|error| {
                    let message = format!("{}: {error}", begun.display());
                    PrepareError::new("CreateContainerError", message)
                })
            }
        });
        filled
            .await
            .unwrap_or_else(|error| Err(PrepareError::new("CreateContainerError", error)))
    }
}

/// Waiting reason of a container whose volumes are missing.
const CREATING: &str = "ContainerCreating";

/// Why a container cannot be created: a kubelet's reason, and a message.
struct PrepareError {
    reason: &'static str,
    message: String,
}

impl PrepareError {
    fn new(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}
