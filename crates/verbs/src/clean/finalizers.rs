//! Runs that are being deleted and wait for a controller that is gone. Letting them go by hand is the last resort: what the
//! controller would have stopped first goes on until the cluster's garbage collection finds it.

use json_patch::Patch as Operations;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;

use crate::{ClusterContext, VerbError};
use flightdeck_core::runs::{RunKind, naming};
use flightdeck_preflight::cluster::LEASE;

/// A run that cannot go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
    /// RFC 3339: since when it is to go.
    pub deleted_at: String,
    /// Pods of it that have not ended.
    pub live_pods: usize,
}

/// Runs of the namespace that are being deleted and bear our finalizer.
pub async fn held(context: &ClusterContext) -> Result<Vec<Held>, VerbError> {
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
            let lives = |pod: &&Pod| {
                let status = pod.status.as_ref();
                let phase = status.and_then(|status| status.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            };
            held.push(Held {
                kind: kind.resource_kind(),
                name: run.name_any(),
                deleted_at: since.0.to_string(),
                live_pods: pods.iter().filter(lives).count(),
                uid,
            });
        }
    }
    Ok(held)
}

/// Who holds the controllers' Lease, unless it was given back: a controller that works lets runs go by itself.
pub async fn controller(context: &ClusterContext) -> Result<Option<String>, VerbError> {
    let leases: Api<Lease> = Api::namespaced(context.client.clone(), &context.namespace);
    let lease = leases.get_opt(LEASE).await;
    let lease = lease.map_err(VerbError::cluster(format!("reading the Lease {LEASE}")))?;
    let Some(spec) = lease.and_then(|lease| lease.spec) else {
        return Ok(None);
    };
    let renewed = spec.renew_time.map_or(i64::MAX, |time| {
        jiff::Timestamp::now().duration_since(time.0).as_secs()
    });
    // Clocks differ a little; a controller that is gone has not renewed it for long.
    let lasts = i64::from(spec.lease_duration_seconds.unwrap_or(15)).saturating_mul(4);
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    Ok(holder.filter(|_| renewed < lasts))
}

impl Held {
    /// Takes our finalizer away, and only ours, from the very run that was meant. That it is gone by now is fine.
    pub async fn release(&self, context: &ClusterContext) -> Result<(), VerbError> {
        let what = || format!("letting {} {} go", self.kind, self.name);
        let kind = RunKind::ALL
            .into_iter()
            .find(|kind| kind.resource_kind() == self.kind)
            .unwrap_or(RunKind::Docs);
        let api = context.api(kind);
        let run = api.get_metadata_opt(&self.name).await;
        let run = run.map_err(VerbError::cluster(what()))?;
        let Some(run) = run.filter(|run| run.uid().as_deref() == Some(&self.uid)) else {
            return Ok(());
        };
        let place = run
            .finalizers()
            .iter()
            .position(|name| name == naming::FINALIZER);
        let Some(place) = place else { return Ok(()) };
        let at = format!("/metadata/finalizers/{place}");
        let operations: Operations = serde_json::from_value(json!([
            { "op": "test", "path": "/metadata/uid", "value": self.uid },
            { "op": "test", "path": at, "value": naming::FINALIZER },
            { "op": "remove", "path": at },
        ]))
        .map_err(|error| VerbError::Failed(format!("{}: {error}", what())))?;
        let patch: Patch<()> = Patch::Json(operations);
        let parameters = PatchParams::default();
        match api.patch_metadata(&self.name, &parameters, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop).map_err(VerbError::cluster(what())),
        }
    }
}
