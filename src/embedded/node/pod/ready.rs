//! What a pod waits for before anything of it is started.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

use super::{
    super::{
        NODE_NAME, claims,
        environment::{self, Around},
        sources::Sources,
        status::Now,
        volumes::{self, VolumeError},
    },
    RETRY, Work,
    driver::{Stop, until_stopped},
    is_gone,
};

/// What a pod's containers are started with.
pub struct Ready {
    _place: Option<OwnedSemaphorePermit>,
    pub sources: Sources,
    pub places: BTreeMap<String, PathBuf>,
}

impl Work {
    /// Waits for the claims, for a place among the running, and for all that is mounted and named to be there.
    pub async fn get_ready(&self, stop: &mut watch::Receiver<Stop>) -> Option<Ready> {
        let begun = self.directory.join("begun");
        let claims = until_stopped(stop, self.claims(begun.exists())).await?;
        let volumes_directory = self.directory.join("volumes");
        let places = volumes::places(&self.pod, &volumes_directory, &claims);
        if begun.exists() {
            // Its containers may be running: they are not asked to wait again.
            return Some(Ready {
                _place: self.node.place_if_free(self.containers().1.len()),
                sources: until_stopped(stop, self.sources()).await?,
                places,
            });
        }
        loop {
            let containers = self.containers().1.len();
            let place = if let Some(place) = self.node.place_if_free(containers) {
                place
            } else {
                let why = format!(
                    "0/1 nodes are available: all {} places for containers are taken.",
                    self.node.options.max_containers
                );
                self.note(|known| known.delay(why));
                until_stopped(stop, self.node.take_place(containers)).await??
            };
            until_stopped(stop, self.settle()).await?;
            let sources = until_stopped(stop, self.sources()).await?;
            match self.prepare(&sources, &volumes_directory) {
                Ok(()) => {
                    if let Err(error) = fs::write(&begun, "") {
                        self.wait_for(
                            "CreateContainerError",
                            &format!("{}: {error}", begun.display()),
                        );
                    }
                    return Some(Ready {
                        _place: Some(place),
                        sources,
                        places,
                    });
                }
                Err((reason, message)) => self.wait_for(reason, &message),
            }
            drop(place);
            until_stopped(stop, sources.changed(&self.node.client, &self.pod)).await?;
        }
    }

    fn wait_for(&self, reason: &str, message: &str) {
        self.note(|known| {
            let first = known.init.first_mut().or(known.main.first_mut());
            if let Some(first) = first {
                first.now = Now::waiting(reason, message);
            }
        });
    }

    /// The directories of the pod's claims, once all are bound. A pod that has begun keeps claims that are being deleted.
    async fn claims(&self, begun: bool) -> BTreeMap<String, PathBuf> {
        let mut bound = self.node.claims.subscribe();
        let namespace = self.pod.namespace().unwrap_or_default();
        let names: Vec<String> = claims::named(&self.pod).map(str::to_owned).collect();
        loop {
            let found = claims::find(&bound.borrow_and_update(), &namespace, &names, begun);
            match found {
                Ok(uids) => {
                    return uids
                        .into_iter()
                        .map(|(name, uid)| (name, self.node.claim_directory(&uid)))
                        .collect();
                }
                Err(why) => self.note(|known| known.delay(why)),
            }
            if bound.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The pod has its place: from here on its deadline runs.
    async fn settle(&self) {
        let now = Timestamp::now();
        self.note(|known| {
            known.unscheduled = None;
            known.start_time.get_or_insert(now);
        });
        let bound = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_ref());
        if bound.is_some() {
            return;
        }
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
        }
    }

    /// Lays out the volumes and checks that every container can be put together. Else: a reason and a sentence.
    fn prepare(&self, sources: &Sources, directory: &Path) -> Result<(), (&'static str, String)> {
        volumes::fill(&self.pod, directory, sources).map_err(|error| match error {
            VolumeError::Missing(..) => ("ContainerCreating", error.to_string()),
            VolumeError::Disk { .. } => ("CreateContainerError", error.to_string()),
        })?;
        let (init, main) = self.containers();
        for container in init.iter().chain(main) {
            environment::declared(container, &self.around(sources))
                .map_err(|missing| ("CreateContainerConfigError", missing.to_string()))?;
        }
        Ok(())
    }
}
