//! Manually created volumes for a cluster without a provisioner: directories of one node as `local` volumes.
//!
//! The directories are created by a pod that mounts them (`DirectoryOrCreate`), in a namespace that allows it; their owner is
//! set by the volume's group when a pod mounts it.

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::{Api, Client, ResourceExt, api::DeleteParams};
use serde_json::{Value, json};

use super::{
    environment::{from, gone, make, make_namespace},
    helper,
};

/// More than the stories use.
const NUMBER: usize = 12;

/// Class of the volumes of an execution. It need not exist: claims match volumes with that name.
pub(super) fn class(run: &str) -> String {
    format!("fdr-{run}")
}

pub(super) struct Volumes {
    client: Client,
    run: String,
    /// The directory on the node.
    directory: String,
    node: Option<String>,
}

impl Volumes {
    pub(super) fn new(client: &Client, run: &str, directory: &str) -> Self {
        Self {
            client: client.clone(),
            run: run.to_owned(),
            directory: format!("{directory}/fdr-{run}"),
            node: None,
        }
    }

    fn namespace(&self) -> String {
        format!("fdr-{}-volumes", self.run)
    }

    fn name(&self, number: usize) -> String {
        format!("fdr-{}-{number}", self.run)
    }

    /// Creates directories and volumes. Returns what was created.
    pub(super) async fn make(&mut self, image: &str) -> Result<String, String> {
        let namespace = self.namespace();
        make_namespace(&self.client, &namespace, &self.run, "privileged").await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let names: Vec<String> = (0..NUMBER).map(|number| format!("v{number}")).collect();
        let paths: Vec<String> = (0..NUMBER).map(|number| format!("/v{number}")).collect();
        let volumes: Vec<(&str, Value, &str)> = names
            .iter()
            .zip(&paths)
            .map(|(name, path)| {
                let source = json!({ "hostPath": {
                    "path": format!("{}{path}", self.directory), "type": "DirectoryOrCreate",
                } });
                (name.as_str(), source, path.as_str())
            })
            .collect();
        let pod = helper::pod("make", image, &["flightdeck", "--version"], &volumes);
        let (_, pod) = helper::run(&pods, pod).await?;
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        for (number, path) in paths.iter().enumerate() {
            let volume: PersistentVolume = from(json!({
                "metadata": { "name": self.name(number) },
                "spec": {
                    "capacity": { "storage": "1Gi" },
                    "accessModes": ["ReadWriteOnce"],
                    "persistentVolumeReclaimPolicy": "Retain",
                    "storageClassName": class(&self.run),
                    "local": { "path": format!("{}{path}", self.directory) },
                    "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                        { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
                    ] }] } },
                },
            }));
            make(&api, &volume).await?;
        }
        let created = format!("created {NUMBER} volumes in {} on {node}", self.directory);
        self.node = Some(node);
        Ok(created)
    }

    /// Removes volumes, directories and namespace. Returns what could not be removed.
    pub(super) async fn remove(&self, image: &str) -> Vec<String> {
        let mut failures = Vec::new();
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        for number in 0..NUMBER {
            drop(
                api.delete(&self.name(number), &DeleteParams::default())
                    .await,
            );
        }
        for number in 0..NUMBER {
            failures.extend(gone(&api, &self.name(number)).await.err());
        }
        if let Some(node) = &self.node {
            // The files belong to the runs' user; the directories to the node.
            let base = self
                .directory
                .rsplit_once('/')
                .map_or("/", |(base, _)| base);
            let source = json!({ "hostPath": { "path": base } });
            let target = format!("/base/fdr-{}", self.run);
            let command = ["rm", "-rf", target.as_str()];
            let mut pod = helper::pod("sweep", image, &command, &[("base", source, "/base")]);
            pod["spec"]["nodeName"] = json!(node);
            pod["spec"]["securityContext"] = json!({ "runAsUser": 0 });
            pod["spec"]["containers"][0]["securityContext"] = json!({});
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace());
            if let Err(why) = helper::run(&pods, pod).await {
                // Best effort: some images have no `rm`, some clusters no root.
                crate::support::said(&format!("REAL   {} stays on {node}: {why}", self.directory));
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces
            .get_opt(&self.namespace())
            .await
            .is_ok_and(|found| found.is_some_and(|found| !found.name_any().is_empty()))
        {
            failures.extend(gone(&namespaces, &self.namespace()).await.err());
        }
        failures
    }
}
