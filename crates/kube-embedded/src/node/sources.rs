//! The ConfigMaps and Secrets that a pod references, read once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec, Secret};
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    ConfigMap,
    Secret,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        })
    }
}

/// A missing value or file. The message names the object and key, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("{0} {1:?} not found{2}")]
    Object(Source, String, String),
    #[error("couldn't find key {2:?} in {0} {1:?}{3}")]
    Key(Source, String, String, String),
    #[error("{0}")]
    Unsupported(String),
}

/// Data of an object, and the version it was read at.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    pub version: String,
    pub entries: BTreeMap<String, Vec<u8>>,
}

/// The objects found among those a pod references.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    objects: HashMap<(Source, String), Data>,
}

impl Sources {
    #[must_use]
    #[cfg(test)]
    pub(super) fn new(objects: impl IntoIterator<Item = ((Source, String), Data)>) -> Self {
        Self {
            objects: objects.into_iter().collect(),
        }
    }

    /// Reads all objects that `pod` references; missing ones are left out.
    pub(super) async fn read(client: &Client, pod: &Pod) -> kube::Result<Self> {
        let namespace = pod.namespace().unwrap_or_default();
        let mut objects = HashMap::new();
        for (source, name) in referenced(pod) {
            let data = match source {
                Source::ConfigMap => Api::<ConfigMap>::namespaced(client.clone(), &namespace)
                    .get_opt(&name)
                    .await?
                    .map(config_map),
                Source::Secret => Api::<Secret>::namespaced(client.clone(), &namespace)
                    .get_opt(&name)
                    .await?
                    .map(secret),
            };
            if let Some(data) = data {
                objects.insert((source, name), data);
            }
        }
        Ok(Self { objects })
    }

    #[must_use]
    pub(super) fn get(&self, source: Source, name: &str) -> Option<&Data> {
        self.objects.get(&(source, name.to_owned()))
    }

    /// Waits until one of the objects that `pod` references differs from what was read.
    pub(super) async fn changed(&self, client: &Client, pod: &Pod) {
        let namespace = pod.namespace().unwrap_or_default();
        let watches = referenced(pod).into_iter().map(|(source, name)| {
            let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
            let versions = match source {
                Source::ConfigMap => watcher(
                    Api::<ConfigMap>::namespaced(client.clone(), &namespace),
                    config,
                )
                .default_backoff()
                .applied_objects()
                .map_ok(|object| object.resource_version().unwrap_or_default())
                .boxed(),
                Source::Secret => watcher(
                    Api::<Secret>::namespaced(client.clone(), &namespace),
                    config,
                )
                .default_backoff()
                .applied_objects()
                .map_ok(|object| object.resource_version().unwrap_or_default())
                .boxed(),
            };
            let known = self
                .get(source, &name)
                .map(|data| data.version.clone())
                .unwrap_or_default();
            versions
                .filter(move |version| {
                    let is_new = version.as_ref().is_ok_and(|version| *version != known);
                    async move { is_new }
                })
                .boxed()
        });
        let mut changes = stream::select_all(watches);
        if changes.next().await.is_none() {
            // Nothing is referenced, so nothing can change.
            std::future::pending::<()>().await;
        }
    }
}

fn config_map(object: ConfigMap) -> Data {
    let version = object.resource_version().unwrap_or_default();
    let text = object.data.unwrap_or_default();
    let binary = object.binary_data.unwrap_or_default();
    Data {
        version,
        entries: text
            .into_iter()
            .map(|(key, value)| (key, value.into_bytes()))
            .chain(binary.into_iter().map(|(key, value)| (key, value.0)))
            .collect(),
    }
}

fn secret(object: Secret) -> Data {
    Data {
        version: object.resource_version().unwrap_or_default(),
        entries: object
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect(),
    }
}

/// Returns all ConfigMaps and Secrets that a pod's containers and volumes reference.
fn referenced(pod: &Pod) -> BTreeSet<(Source, String)> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let mut names = BTreeSet::new();
    let containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    for container in containers {
        for from in container.env_from.iter().flatten() {
            if let Some(map) = &from.config_map_ref {
                names.insert((Source::ConfigMap, map.name.clone()));
            }
            if let Some(secret) = &from.secret_ref {
                names.insert((Source::Secret, secret.name.clone()));
            }
        }
        let values = container.env.iter().flatten();
        for from in values.filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(key) = &from.config_map_key_ref {
                names.insert((Source::ConfigMap, key.name.clone()));
            }
            if let Some(key) = &from.secret_key_ref {
                names.insert((Source::Secret, key.name.clone()));
            }
        }
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(map) = &volume.config_map {
            names.insert((Source::ConfigMap, map.name.clone()));
        }
        if let Some(name) = volume.secret.as_ref().and_then(|s| s.secret_name.clone()) {
            names.insert((Source::Secret, name));
        }
        let projected = volume.projected.iter().flat_map(|p| p.sources.iter());
        for source in projected.flatten() {
            if let Some(map) = &source.config_map {
                names.insert((Source::ConfigMap, map.name.clone()));
            }
            if let Some(secret) = &source.secret {
                names.insert((Source::Secret, secret.name.clone()));
            }
        }
    }
    names
}
