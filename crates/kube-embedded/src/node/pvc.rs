//! Claims of the cluster: each is bound to a directory of its own at once, and kept while a pod uses it.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::watcher::Event,
};
use serde_json::json;

use super::{Node, pod};

/// Keeps a claim from going while a pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// A claim, as pods ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub uid: String,
    pub bound: bool,
    pub deleting: bool,
}

/// Claims by namespace and name.
pub type Known = BTreeMap<(String, String), Claim>;

/// Names of the claims a pod mounts.
pub fn named(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter());
    volumes
        .flatten()
        .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// The uid of each named claim, or a scheduler's sentence why the pod has to wait. `begun`: the pod has them already.
pub fn find(
    known: &Known,
    namespace: &str,
    names: &[String],
    begun: bool,
) -> Result<Vec<(String, String)>, String> {
    let one = |name: &String| {
        let claim = known.get(&(namespace.to_owned(), name.clone()));
        match claim {
            None => Err(format!("persistentvolumeclaim {name:?} not found")),
            Some(claim) if claim.deleting && !begun => {
                Err(format!("persistentvolumeclaim {name:?} is being deleted"))
            }
            Some(claim) if !claim.bound => {
                Err(format!("persistentvolumeclaim {name:?} is not bound yet"))
            }
            Some(claim) => Ok((name.clone(), claim.uid.clone())),
        }
    };
    names.iter().map(one).collect()
}

/// The claims as they are watched.
#[derive(Default)]
pub struct Claims {
    all: HashMap<String, PersistentVolumeClaim>,
    /// Those of a list that is not complete yet.
    listed: Option<HashMap<String, PersistentVolumeClaim>>,
}

impl Claims {
    /// Takes in what the watch says, and does what follows from it.
    pub async fn take_in(&mut self, node: &Arc<Node>, event: Event<PersistentVolumeClaim>) {
        let uid = |claim: &PersistentVolumeClaim| claim.uid().unwrap_or_default();
        match event {
            Event::Init => self.listed = Some(HashMap::new()),
            Event::InitApply(claim) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(uid(&claim), claim);
                }
            }
            Event::InitDone => {
                self.all = self.listed.take().unwrap_or_default();
                let directories = super::entries(&node.claims_directory());
                for left in directories.filter(|uid| !self.all.contains_key(uid)) {
                    pod::remove(&node.claim_directory(&left));
                }
            }
            Event::Apply(claim) => {
                self.all.insert(uid(&claim), claim);
            }
            Event::Delete(claim) => {
                self.all.remove(&uid(&claim));
                pod::remove(&node.claim_directory(&uid(&claim)));
            }
        }
        if self.listed.is_none() {
            self.settle(node).await;
        }
    }

    /// Binds what is not bound, lets go what nobody uses, and tells the pods.
    async fn settle(&mut self, node: &Arc<Node>) {
        for claim in self.all.values_mut().filter(|claim| is_new(claim)) {
            match bind(node, claim).await {
                Ok(bound) => *claim = bound,
                Err(error) => {
                    tracing::warn!(claim = claim.name_any(), %error, "the claim cannot be bound");
                }
            }
        }
        let known = self.all.values().map(|claim| {
            let key = (claim.namespace().unwrap_or_default(), claim.name_any());
            let own = Claim {
                uid: claim.uid().unwrap_or_default(),
                bound: phase(claim) == Some("Bound"),
                deleting: claim.metadata.deletion_timestamp.is_some(),
            };
            (key, own)
        });
        let known: Known = known.collect();
        node.claims.send_if_modified(|current| {
            let news = *current != known;
            *current = known;
            news
        });
    }

    /// Whether a claim that is being deleted waits for the pods that use it.
    pub fn some_leave(&self) -> bool {
        self.all.values().any(is_leaving)
    }

    /// Lets go every claim that is being deleted and that none of `pods` uses.
    pub async fn release(&self, node: &Arc<Node>, pods: &[Arc<Pod>]) {
        for claim in self.all.values().filter(|claim| is_leaving(claim)) {
            let name = claim.name_any();
            let used = pods.iter().any(|pod| {
                pod.namespace() == claim.namespace() && named(pod).any(|other| other == name)
            });
            if !used && let Err(error) = release(node, claim).await {
                tracing::warn!(claim = name, %error, "the claim cannot be let go");
            }
        }
    }
}

fn is_leaving(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.deletion_timestamp.is_some()
        && claim.finalizers().iter().any(|name| name == PROTECTION)
}

fn phase(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

fn is_new(claim: &PersistentVolumeClaim) -> bool {
    phase(claim) != Some("Bound") && claim.metadata.deletion_timestamp.is_none()
}

fn api(node: &Node, claim: &PersistentVolumeClaim) -> Api<PersistentVolumeClaim> {
    Api::namespaced(node.client.clone(), &claim.namespace().unwrap_or_default())
}

async fn bind(
    node: &Node,
    claim: &PersistentVolumeClaim,
) -> Result<PersistentVolumeClaim, BindError> {
    let uid = claim.uid().unwrap_or_default();
    let directory = node.claim_directory(&uid);
    std::fs::create_dir_all(&directory).map_err(|error| BindError::Disk { directory, error })?;
    let (api, name) = (api(node, claim), claim.name_any());
    let mut finalizers = claim.finalizers().to_vec();
    if !finalizers.iter().any(|name| name == PROTECTION) {
        finalizers.push(PROTECTION.to_owned());
    }
    let parameters = PatchParams::default();
    let spec = json!({
        "metadata": {"uid": uid, "finalizers": finalizers, "resourceVersion": claim.resource_version()},
        "spec": {"volumeName": format!("pvc-{uid}")},
    });
    api.patch(&name, &parameters, &Patch::Merge(spec)).await?;
    let spec = claim.spec.as_ref();
    let status = json!({"status": {
        "phase": "Bound",
        "accessModes": spec.and_then(|spec| spec.access_modes.clone()),
        "capacity": spec.and_then(|spec| spec.resources.as_ref()?.requests.clone()),
    }});
    Ok(api
        .patch_status(&name, &parameters, &Patch::Merge(status))
        .await?)
}

async fn release(node: &Node, claim: &PersistentVolumeClaim) -> kube::Result<()> {
    let rest: Vec<&String> = claim
        .finalizers()
        .iter()
        .filter(|name| *name != PROTECTION)
        .collect();
    let patch = json!({"metadata": {
        "uid": claim.uid(),
        "resourceVersion": claim.resource_version(),
        "finalizers": rest,
    }});
    let parameters = PatchParams::default();
    api(node, claim)
        .patch(&claim.name_any(), &parameters, &Patch::Merge(patch))
        .await
        .map(drop)
}

#[derive(Debug, thiserror::Error)]
enum BindError {
    #[error("{}: {error}", directory.display())]
    Disk {
        directory: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error(transparent)]
    Api(#[from] kube::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_waits_for_its_claims_with_a_reason() {
        let claim = |bound, deleting| Claim {
            uid: "u".to_owned(),
            bound,
            deleting,
        };
        for (known, begun, expected) in [
            (None, false, Err("\"c\" not found")),
            (Some(claim(false, false)), false, Err("not bound")),
            (Some(claim(true, true)), false, Err("being deleted")),
            (Some(claim(true, true)), true, Ok("u")),
            (Some(claim(true, false)), false, Ok("u")),
        ] {
            let known: Known = known
                .map(|claim| (("n".to_owned(), "c".to_owned()), claim))
                .into_iter()
                .collect();
            match (find(&known, "n", &["c".to_owned()], begun), expected) {
                (Ok(found), Ok(uid)) => assert_eq!(found[0].1, uid),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }
}
