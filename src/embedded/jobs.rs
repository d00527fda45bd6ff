//! The Job controller: observes a Job and its pods, plans (see [`plan`]), and does what was planned.

mod plan;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        controller::{Action, Controller},
        reflector::ObjectRef,
        watcher,
    },
};
use serde_json::json;

use super::node::MANAGER;
use plan::Plan;

/// How soon what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("the status cannot be written as a patch: {0}")]
    Status(#[from] serde_json::Error),
}

/// Runs until dropped.
pub async fn run(client: Client) {
    let all = watcher::Config::default();
    Controller::new(Api::<Job>::all(client.clone()), all.clone())
        .owns(Api::<Pod>::all(client.clone()), all)
        .run(reconcile, retry, Arc::new(client))
        .for_each(|outcome| async {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a Job could not be brought forward");
            }
        })
        .await;
}

#[allow(clippy::needless_pass_by_value)] // The controller's own signature.
fn retry(job: Arc<Job>, error: &JobError, _: Arc<Client>) -> Action {
    let job = ObjectRef::from_obj(job.as_ref());
    tracing::warn!(%job, %error, "a Job could not be brought forward");
    Action::requeue(RETRY)
}

async fn reconcile(job: Arc<Job>, client: Arc<Client>) -> Result<Action, JobError> {
    let namespace = job.namespace().unwrap_or_default();
    let jobs = Api::<Job>::namespaced(Client::clone(&client), &namespace);
    let pods = Api::<Pod>::namespaced(Client::clone(&client), &namespace);
    // Read anew: what the watch holds may be older than this controller's own last write.
    let Some(job) = jobs.get_opt(&job.name_any()).await? else {
        return Ok(Action::await_change());
    };
    let uid = job.uid().unwrap_or_default();
    let selector = format!("batch.kubernetes.io/controller-uid={uid}");
    let list = pods.list(&ListParams::default().labels(&selector)).await?;
    let own = list.items.into_iter().filter(|pod| {
        let mut owners = pod.owner_references().iter();
        owners.any(|owner| owner.uid == uid && owner.controller == Some(true))
    });
    let now = Timestamp::now();
    let plan = plan::plan(&job, &own.collect::<Vec<_>>(), now);
    let wake = plan.wake;
    apply(&job, plan, &jobs, &pods).await?;
    Ok(wake.map_or_else(Action::await_change, |wake| {
        let wait = wake.duration_since(now).unsigned_abs();
        Action::requeue(wait)
    }))
}

async fn apply(job: &Job, plan: Plan, jobs: &Api<Job>, pods: &Api<Pod>) -> Result<(), JobError> {
    for pod in &plan.delete {
        let deleted = pods.delete(&pod.name_any(), &background(pod.uid())).await;
        ignoring(&[404, 409], deleted.map(drop))?;
    }
    if let Some(pod) = &plan.create {
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        // There already: made before a write that did not come through.
        ignoring(&[409], pods.create(&parameters, pod).await.map(drop))?;
    }
    if let Some(status) = &plan.status {
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": job.uid()},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch = Patch::<Job>::Json(serde_json::from_value(patch)?);
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = jobs
            .patch_status(&job.name_any(), &parameters, &patch)
            .await;
        ignoring(&[404, 422], written.map(drop))?;
    }
    if plan.expire {
        let deleted = jobs.delete(&job.name_any(), &background(job.uid())).await;
        ignoring(&[404, 409], deleted.map(drop))?;
    }
    Ok(())
}

fn background(uid: Option<String>) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid,
        resource_version: None,
    })
}

/// The object is gone already, or another has its name: nothing is left to do.
fn ignoring(codes: &[u16], outcome: kube::Result<()>) -> kube::Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if codes.contains(&status.code) => Ok(()),
        outcome => outcome,
    }
}
