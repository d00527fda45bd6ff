//! PersistentVolumeClaims: each is bound to a directory immediately, and protected while a pod uses it.

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

/// Finalizer that protects a claim while a pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// State of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub uid: String,
    pub bound: bool,
    pub deleting: bool,
}

/// Claims by namespace and name.
pub(super) type ClaimsByName = BTreeMap<(String, String), Claim>;

/// Returns the names of the claims that a pod mounts.
pub(super) fn mounted(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter());
    volumes
        .flatten()
        .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.as_str()))
}

/// Returns the uid of each claim, or the scheduler's message why the pod has to wait. `begun`: the pod has been
/// admitted before.
pub(super) fn find(
    claims: &ClaimsByName,
    namespace: &str,
    names: &[String],
    begun: bool,
) -> Result<Vec<(String, String)>, String> {
    let one = |name: &String| {
        let claim = claims.get(&(namespace.to_owned(), name.clone()));
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

/// The claims, as watched.
#[derive(Default)]
pub(super) struct Claims {
    all: HashMap<String, PersistentVolumeClaim>,
    /// Claims of an incomplete list.
    listed: Option<HashMap<String, PersistentVolumeClaim>>,
}

impl Claims {
    /// Handles a watch event, and reconciles.
    pub(super) async fn handle(&mut self, node: &Arc<Node>, event: Event<PersistentVolumeClaim>) {
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
                for uid in directories.filter(|uid| !self.all.contains_key(uid)) {
                    pod::remove(&node.claim_directory(&uid));
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
            self.reconcile(node).await;
        }
    }

    /// Binds new claims, and notifies the pods.
    async fn reconcile(&mut self, node: &Arc<Node>) {
        for claim in self.all.values_mut().filter(|claim| is_new(claim)) {
            match bind(node, claim).await {
                Ok(bound) => *claim = bound,
                Err(error) => {
                    tracing::warn!(claim = claim.name_any(), %error, "cannot bind the claim");
                }
            }
        }
        let claims = self.all.values().map(|claim| {
            let key = (claim.namespace().unwrap_or_default(), claim.name_any());
            let own = Claim {
                uid: claim.uid().unwrap_or_default(),
                bound: phase(claim) == Some("Bound"),
                deleting: claim.metadata.deletion_timestamp.is_some(),
            };
            (key, own)
        });
        let claims: ClaimsByName = claims.collect();
        node.claims.send_if_modified(|current| {
            let changed = *current != claims;
            *current = claims;
            changed
        });
    }

    /// Returns whether a claim is waiting to be released.
    pub(super) fn any_terminating(&self) -> bool {
        self.all.values().any(is_terminating)
    }

    /// Releases the claims that are being deleted and that none of `pods` uses.
    pub(super) async fn release(&self, node: &Arc<Node>, pods: &[Arc<Pod>]) {
        for claim in self.all.values().filter(|claim| is_terminating(claim)) {
            let name = claim.name_any();
            let used = pods.iter().any(|pod| {
                pod.namespace() == claim.namespace() && mounted(pod).any(|other| other == name)
            });
            if !used && let Err(error) = release(node, claim).await {
                tracing::warn!(claim = name, %error, "cannot release the claim");
            }
        }
    }
}

fn is_terminating(claim: &PersistentVolumeClaim) -> bool {
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
    let finalizers: Vec<&String> = claim
        .finalizers()
        .iter()
        .filter(|name| *name != PROTECTION)
        .collect();
    let patch = json!({"metadata": {
        "uid": claim.uid(),
        "resourceVersion": claim.resource_version(),
        "finalizers": finalizers,
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
    fn find_returns_reason_to_wait() {
        let claim = |bound, deleting| Claim {
            uid: "u".to_owned(),
            bound,
            deleting,
        };
        for (claims, begun, expected) in [
            (None, false, Err("\"c\" not found")),
            (Some(claim(false, false)), false, Err("not bound")),
            (Some(claim(true, true)), false, Err("being deleted")),
            (Some(claim(true, true)), true, Ok("u")),
            (Some(claim(true, false)), false, Ok("u")),
        ] {
            let claims: ClaimsByName = claims
                .map(|claim| (("n".to_owned(), "c".to_owned()), claim))
                .into_iter()
                .collect();
            match (find(&claims, "n", &["c".to_owned()], begun), expected) {
                (Ok(found), Ok(uid)) => assert_eq!(found[0].1, uid),
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
    }
}
