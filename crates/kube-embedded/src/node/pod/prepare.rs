//! What a pod waits for before anything of it is started.

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
        environment::{self, Around},
        pvc,
        queue::Place,
        sources::Sources,
        status::Now,
        unsupported,
        volumes::{self, VolumeError},
    },
    RETRY, Work, is_gone,
    lifecycle::{Stop, until_stopped},
    recovery::{keep_ticket, size},
};

/// How often a disk that is full is looked at again while something waits for it.
const DISK_LOOK: Duration = Duration::from_secs(2);
/// A look that takes long is repeated the more seldom.
const DISK_LOOK_SHARE: u32 = 20;

/// What a pod's containers are started with.
pub struct Ready {
    _place: Place,
    pub sources: Sources,
    pub places: BTreeMap<String, PathBuf>,
}

impl Work {
    /// Waits for the claims, for a place among the running, and for all that is mounted and named to be there.
    pub async fn get_ready(&self, stop: &mut watch::Receiver<Stop>) -> Option<Ready> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let volumes_directory = self.directory.join("volumes");
        if let Some((since, place)) = kept {
            // The node before this one may have gone before it could tell.
            self.take_on(since);
            until_stopped(stop, self.settle()).await;
            // Its containers may be running: they are not asked to wait again, and when the pod is being stopped they are
            // still there to be stopped, while nothing is started any more that would need these.
            let claims = until_stopped(stop, self.claims(true)).await;
            let sources = until_stopped(stop, self.sources()).await;
            return Some(Ready {
                _place: place,
                sources: sources.unwrap_or_default(),
                places: volumes::places(&self.pod, &volumes_directory, &claims.unwrap_or_default()),
            });
        }
        let claims = until_stopped(stop, self.claims(false)).await?;
        let places = volumes::places(&self.pod, &volumes_directory, &claims);
        self.keep_ticket().await;
        loop {
            let waiter = self.node.queue.join(self.ticket, size(&self.pod));
            let turn = waiter.turn(|ahead| {
                self.delay(&format!(
                    "all {} places for containers are taken; {ahead}.",
                    self.node.options.max_containers
                ));
            });
            let place = until_stopped(stop, turn).await?;
            until_stopped(stop, self.room_on_disk()).await?;
            self.take_on(Timestamp::now());
            until_stopped(stop, self.settle()).await?;
            let sources = until_stopped(stop, self.sources()).await?;
            match self.prepare(&sources, &volumes_directory).await {
                Ok(()) => {
                    return Some(Ready {
                        _place: place,
                        sources,
                        places,
                    });
                }
                Err(trouble) => self.wait_for(&trouble),
            }
            drop(place);
            until_stopped(stop, sources.changed(&self.node.client, &self.pod)).await?;
        }
    }

    /// The pod has no place yet, and why.
    fn delay(&self, why: &str) {
        let message = format!("0/1 nodes are available: {why}");
        let mut first = false;
        self.note(|known| {
            first = known.start_time.is_none() && known.unscheduled.is_none();
            known.delay(message.clone());
        });
        if first {
            let recorder = &self.node.recorder;
            recorder.warning(&self.reference, "FailedScheduling", message);
        }
    }

    async fn keep_ticket(&self) {
        let (directory, ticket) = (self.directory.clone(), self.ticket);
        let kept = tokio::task::spawn_blocking(move || keep_ticket(&directory, ticket)).await;
        if let Err(error) = kept.map_err(io::Error::other).flatten() {
            tracing::warn!(pod = self.pod.name_any(), %error, "its place in the queue is not kept");
        }
    }

    /// Waits while the disk has no room for more. Looks again slowly, and only here.
    async fn room_on_disk(&self) {
        loop {
            let node = Arc::clone(&self.node);
            let looked = Instant::now();
            let pressure = tokio::task::spawn_blocking(move || {
                disk_usage::pressure(&node.options.directory, &node.options.limits)
            });
            match pressure.await.map_err(io::Error::other).flatten() {
                Ok(None) => return,
                Ok(Some(why)) => self.delay(&format!("{why}.")),
                Err(error) => {
                    // Whoever cannot tell does not keep others from running.
                    return tracing::warn!(%error, "the disk cannot be measured");
                }
            }
            sleep(DISK_LOOK.max(looked.elapsed() * DISK_LOOK_SHARE)).await;
        }
    }

    /// The first container that has not begun waits for this.
    fn wait_for(&self, trouble: &Trouble) {
        let recorder = &self.node.recorder;
        let message = &trouble.message;
        match trouble.reason {
            CREATING => recorder.warning(
                &self.reference,
                "FailedMount",
                format!("MountVolume.SetUp failed for {message}"),
            ),
            _ => recorder.warning(&self.reference, "Failed", format!("Error: {message}")),
        }
        self.note(|known| {
            let first = known.init.first_mut().or(known.main.first_mut());
            if let Some(first) = first {
                first.now = Now::waiting(trouble.reason, message);
            }
        });
    }

    /// The directories of the pod's claims, once all are bound. A pod that has begun keeps claims that are being deleted.
    async fn claims(&self, begun: bool) -> BTreeMap<String, PathBuf> {
        let mut bound = self.node.claims.subscribe();
        let namespace = self.pod.namespace().unwrap_or_default();
        let names: Vec<String> = pvc::named(&self.pod).map(str::to_owned).collect();
        loop {
            let found = pvc::find(&bound.borrow_and_update(), &namespace, &names, begun);
            match found {
                Ok(uids) => {
                    return uids
                        .into_iter()
                        .map(|(name, uid)| (name, self.node.claim_directory(&uid)))
                        .collect();
                }
                Err(why) => self.delay(&format!("{why}.")),
            }
            if bound.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The pod has its place: from here on its deadline runs.
    fn take_on(&self, since: Timestamp) {
        self.note(|known| {
            known.unscheduled = None;
            known.start_time.get_or_insert(since);
        });
    }

    /// Binds the pod to this node, where it is not yet.
    async fn settle(&self) {
        let bound = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_ref());
        if bound.is_some() {
            return;
        }
        let recorder = &self.node.recorder;
        let whole = format!(
            "{}/{}",
            self.pod.namespace().unwrap_or_default(),
            self.pod.name_any()
        );
        let message = format!("Successfully assigned {whole} to {NODE_NAME}");
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
            tracing::warn!(pod = name, %error, "the pod cannot be bound");
            sleep(RETRY).await;
        }
    }

    async fn sources(&self) -> Sources {
        loop {
            match Sources::read(&self.node.client, &self.pod).await {
                Ok(sources) => return sources,
                Err(error) => {
                    tracing::warn!(pod = self.pod.name_any(), %error, "what the pod names cannot be read");
                    sleep(RETRY).await;
                }
            }
        }
    }

    pub fn around<'a>(&'a self, sources: &'a Sources) -> Around<'a> {
        Around {
            pod: &self.pod,
            sources,
            node: &self.node.options.environment,
            programs: &self.node.programs,
            inherit_annotation: &self.node.options.identity.inherit_env_annotation,
        }
    }

    /// Lays out the volumes and checks that every container can be put together.
    async fn prepare(&self, sources: &Sources, directory: &Path) -> Result<(), Trouble> {
        if let Some(sentence) = unsupported::refusal(&self.pod) {
            return Err(Trouble::new("CreateContainerConfigError", sentence));
        }
        let (init, main) = self.containers();
        for container in init.iter().chain(main) {
            environment::declared(container, &self.around(sources))
                .map_err(|missing| Trouble::new("CreateContainerConfigError", missing))?;
        }
        let filled = tokio::task::spawn_blocking({
            let (pod, sources) = (Arc::clone(&self.pod), sources.clone());
            let (directory, begun) = (directory.to_owned(), self.directory.join("begun"));
            move || {
                volumes::fill(&pod, &directory, &sources).map_err(|error| match error {
                    VolumeError::Missing(..) => Trouble::new(CREATING, error),
                    VolumeError::Disk { .. } => Trouble::new("CreateContainerError", error),
                })?;
                fs::write(&begun, "").map_err(|error| {
                    let sentence = format!("{}: {error}", begun.display());
                    Trouble::new("CreateContainerError", sentence)
                })
            }
        });
        filled
            .await
            .unwrap_or_else(|error| Err(Trouble::new("CreateContainerError", error)))
    }
}

/// The reason of a container whose volumes are not there yet.
const CREATING: &str = "ContainerCreating";

/// Why a container cannot be made yet: a kubelet's reason, and a sentence.
struct Trouble {
    reason: &'static str,
    message: String,
}

impl Trouble {
    fn new(reason: &'static str, message: impl std::fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }
}
