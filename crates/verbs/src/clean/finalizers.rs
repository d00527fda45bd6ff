//! Runs being deleted whose controller is gone. Removing their finalizer is a last resort: pods that the controller would have
//! stopped first run until the cluster's garbage collection deletes them.

use json_patch::Patch as Operations;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::CleanReport;
use crate::{ClusterContext, VerbError};
use flightdeck_core::runs::{RunKind, naming};
use flightdeck_preflight::cluster::LEASE;

/// A run that is being deleted and has our finalizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldRun {
    /// `DocsRun` or `CodeRun`.
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
    /// When the deletion was requested (RFC 3339).
    pub deleted_at: String,
    /// Pods of the run that have not ended.
    pub live_pods: usize,
}

/// Lists the runs of the namespace that are being deleted and have our finalizer.
pub(super) async fn held_runs(context: &ClusterContext) -> Result<Vec<HeldRun>, VerbError> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &context.namespace);
    let mut held = Vec::new();
    for kind in RunKind::ALL {
        let runs = context
            .api(kind)
            .list_metadata(&ListParams::default())
            .await
            .map_err(VerbError::cluster(format!("listing {kind} runs")))?;
        for run in runs {
            let Some(since) = &run.metadata.deletion_timestamp else {
                continue;
            };
            let uid = run.uid().unwrap_or_default();
            if !run
                .finalizers()
                .iter()
                .any(|name| name == naming::FINALIZER)
            {
                continue;
            }
            let of_run = format!("{}={uid}", naming::LABEL_RUN_UID);
            let pods = pods.list(&ListParams::default().labels(&of_run)).await;
            let pods = pods.map_err(VerbError::cluster("listing pods"))?;
            let is_live = |pod: &&Pod| {
                let status = pod.status.as_ref();
                let phase = status.and_then(|status| status.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            };
            held.push(HeldRun {
                kind: kind.resource_kind(),
                name: run.name_any(),
                deleted_at: since.0.to_string(),
                live_pods: pods.iter().filter(is_live).count(),
                uid,
            });
        }
    }
    Ok(held)
}

/// Removes the finalizer of each run, continuing after failures.
///
/// # Errors
/// [`VerbError::Conflict`] if a controller is running: it removes finalizers itself.
pub(super) async fn release(
    context: &ClusterContext,
    runs: &[HeldRun],
) -> Result<CleanReport, VerbError> {
    if let Some(controller) = running_controller(context).await? {
        return Err(VerbError::Conflict(format!(
            "the controller {controller} is running and removes finalizers itself; see kubectl get events for what it waits for, or stop it first"
        )));
    }
    let mut report = CleanReport::default();
    for run in runs {
        let name = format!("{} {}", run.kind, run.name);
        match run.release(context).await {
            Ok(()) => report.removed.push(name),
            Err(error) => report.failed.push((name, error.to_string())),
        }
    }
    Ok(report)
}

/// Returns the holder of the controllers' Lease, unless it expired or was released.
async fn running_controller(context: &ClusterContext) -> Result<Option<String>, VerbError> {
    let leases: Api<Lease> = Api::namespaced(context.client.clone(), &context.namespace);
    let lease = leases.get_opt(LEASE).await;
    let lease = lease.map_err(VerbError::cluster(format!("reading the Lease {LEASE}")))?;
    let Some(spec) = lease.and_then(|lease| lease.spec) else {
        return Ok(None);
    };
    let renewed = spec.renew_time.map_or(i64::MAX, |time| {
        jiff::Timestamp::now().duration_since(time.0).as_secs()
    });
    // Four times the duration tolerates clock skew; a controller that is gone stopped renewing long ago.
    let expires_after = i64::from(spec.lease_duration_seconds.unwrap_or(15)).saturating_mul(4);
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    Ok(holder.filter(|_| renewed < expires_after))
}

impl HeldRun {
    /// Returns `Kind/name`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Removes our finalizer, and no other, from the run of this UID. Succeeds if the run no longer exists.
    async fn release(&self, context: &ClusterContext) -> Result<(), VerbError> {
        let doing = || format!("removing the finalizer of {} {}", self.kind, self.name);
        let kind = RunKind::ALL
            .into_iter()
            .find(|kind| kind.resource_kind() == self.kind)
            .unwrap_or(RunKind::Docs);
        let api = context.api(kind);
        let run = api.get_metadata_opt(&self.name).await;
        let run = run.map_err(VerbError::cluster(doing()))?;
        let Some(run) = run.filter(|run| run.uid().as_deref() == Some(&self.uid)) else {
            return Ok(());
        };
        let index = run
            .finalizers()
            .iter()
            .position(|name| name == naming::FINALIZER);
        let Some(index) = index else { return Ok(()) };
        let at = format!("/metadata/finalizers/{index}");
        let operations: Operations = serde_json::from_value(json!([
            { "op": "test", "path": "/metadata/uid", "value": self.uid },
            { "op": "test", "path": at, "value": naming::FINALIZER },
            { "op": "remove", "path": at },
        ]))
        .map_err(|error| VerbError::Failed(format!("{}: {error}", doing())))?;
        let patch: Patch<()> = Patch::Json(operations);
        let parameters = PatchParams::default();
        match api.patch_metadata(&self.name, &parameters, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).map_err(VerbError::cluster(doing())),
        }
    }
}
