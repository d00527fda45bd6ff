//! State of a Job's pods, and construction of the next one. Pure.

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt};

/// Returns the phase; `Pending` if unset.
pub(super) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending")
}

fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Returns whether a pod is neither finished nor being deleted.
pub(super) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Returns whether a pod is being deleted and has not finished.
pub(super) fn is_deleting(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_some()
}

/// Returns whether a pod is active and ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter());
    is_active(pod)
        && conditions
            .flatten()
            .any(|one| one.type_ == "Ready" && one.status == "True")
}

/// Returns the sum of the restarts of its containers.
pub(super) fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    containers.map(|status| status.restart_count).sum()
}

/// Returns when the last container of a pod ended.
pub(super) fn finished_at(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    });
    containers
        .filter_map(|status| {
            status
                .state
                .as_ref()?
                .terminated
                .as_ref()?
                .finished_at
                .as_ref()
        })
        .map(|time| time.0)
        .max()
}

/// Returns `<job>-<five characters>`: stable for an attempt, and different for other Jobs of the same name.
pub(super) fn pod_name(job: &Job, failures: i32) -> String {
    use sha2::{Digest, Sha256};

    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let seed = format!("{}/{failures}", job.uid().unwrap_or_default());
    let suffix: String = Sha256::digest(seed.as_bytes())
        .iter()
        .take(5)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    let mut name = job.name_any();
    name.truncate(57);
    format!("{name}-{suffix}")
}

/// Returns the pod for the attempt after this many failures.
pub(super) fn pod(job: &Job, spec: &JobSpec, failures: i32) -> Pod {
    let template = spec.template.metadata.clone().unwrap_or_default();
    let owner = job.controller_owner_ref(&()).map(|owner| OwnerReference {
        block_owner_deletion: Some(true),
        ..owner
    });
    Pod {
        metadata: ObjectMeta {
            name: Some(pod_name(job, failures)),
            generate_name: Some(format!("{}-", job.name_any())),
            namespace: job.namespace(),
            labels: template.labels,
            annotations: template.annotations,
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: spec.template.spec.clone(),
        status: None,
    }
}
