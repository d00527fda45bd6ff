//! The Job controller: observes a Job and its pods, plans (see [`plan`]) and applies the plan.

mod plan;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{Job, JobCondition, JobStatus},
    core::v1::{ObjectReference, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::{
        controller::{Action, Controller},
        reflector::ObjectRef,
        watcher,
    },
};
use serde_json::json;

use super::node::Recorder;
use plan::Plan;

/// Delay before a failed reconcile is retried.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("cannot build the status patch: {0}")]
    Status(#[from] serde_json::Error),
}

/// Context of a reconcile.
struct Context {
    client: Client,
    recorder: Recorder,
    /// Field manager.
    component: String,
}

/// Runs the controller until the future is dropped.
pub(crate) async fn run(client: Client, recorder: Recorder, component: String) {
    let all = watcher::Config::default();
    Controller::new(Api::<Job>::all(client.clone()), all.clone())
        .owns(Api::<Pod>::all(client.clone()), all)
        .run(
            reconcile,
            retry,
            Arc::new(Context {
                client,
                recorder,
                component,
            }),
        )
        .for_each(|outcome| async {
            if let Err(error) = outcome {
                tracing::debug!(%error, "reconcile failed");
            }
        })
        .await;
}

#[allow(clippy::needless_pass_by_value)] // The controller's own signature.
fn retry(job: Arc<Job>, error: &JobError, _: Arc<Context>) -> Action {
    let job = ObjectRef::from_obj(job.as_ref());
    tracing::warn!(%job, %error, "reconcile failed");
    Action::requeue(RETRY)
}

async fn reconcile(job: Arc<Job>, context: Arc<Context>) -> Result<Action, JobError> {
    let namespace = job.namespace().unwrap_or_default();
    let jobs = Api::<Job>::namespaced(context.client.clone(), &namespace);
    let pods = Api::<Pod>::namespaced(context.client.clone(), &namespace);
    // Read from the API: the cache may be older than this controller's last write.
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
    let requeue_at = plan.requeue_at;
    apply(&job, plan, &jobs, &pods, &context).await?;
    Ok(requeue_at.map_or_else(Action::await_change, |requeue_at| {
        let wait = requeue_at.duration_since(now).unsigned_abs();
        Action::requeue(wait)
    }))
}

async fn apply(
    job: &Job,
    plan: Plan,
    jobs: &Api<Job>,
    pods: &Api<Pod>,
    context: &Context,
) -> Result<(), JobError> {
    let Context {
        recorder,
        component,
        ..
    } = context;
    let about = job.object_ref(&());
    for pod in &plan.delete {
        let deleted = pods
            .delete(&pod.name_any(), &background_delete(pod.uid()))
            .await;
        if deleted.is_ok() {
            let message = format!("Deleted pod: {}", pod.name_any());
            recorder.normal(&about, "SuccessfulDelete", message);
        }
        ignore(&[404, 409], deleted.map(drop))?;
    }
    if let Some(pod) = &plan.create {
        let parameters = PostParams {
            field_manager: Some(component.clone()),
            ..PostParams::default()
        };
        let created = pods.create(&parameters, pod).await;
        match &created {
            Ok(pod) => {
                let message = format!("Created pod: {}", pod.name_any());
                recorder.normal(&about, "SuccessfulCreate", message);
            }
            // Created by an earlier reconcile whose later steps failed.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => {
                recorder.warning(&about, "FailedCreate", format!("Error creating: {error}"));
            }
        }
        ignore(&[409], created.map(drop))?;
    }
    if let Some(status) = &plan.status {
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": job.uid()},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch = Patch::<Job>::Json(serde_json::from_value(patch)?);
        let parameters = PatchParams {
            field_manager: Some(component.clone()),
            ..PatchParams::default()
        };
        let written = jobs
            .patch_status(&job.name_any(), &parameters, &patch)
            .await;
        if written.is_ok() {
            record_conditions(job, status, &about, recorder);
        }
        ignore(&[404, 422], written.map(drop))?;
    }
    if plan.expire {
        let deleted = jobs
            .delete(&job.name_any(), &background_delete(job.uid()))
            .await;
        ignore(&[404, 409], deleted.map(drop))?;
    }
    Ok(())
}

/// Records Events for the conditions that are new in `status`.
fn record_conditions(job: &Job, status: &JobStatus, about: &ObjectReference, recorder: &Recorder) {
    let before = job.status.as_ref();
    let before = before.and_then(|status| status.conditions.as_deref());
    for condition in status.conditions.iter().flatten() {
        let same =
            |old: &JobCondition| old.type_ == condition.type_ && old.status == condition.status;
        if before.unwrap_or_default().iter().any(same) {
            continue;
        }
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        match (condition.type_.as_str(), condition.status.as_str()) {
            ("Complete", "True") => recorder.normal(about, "Completed", "Job completed"),
            ("Failed", "True") => recorder.warning(about, reason, message),
            ("Suspended", "True") => recorder.normal(about, "Suspended", message),
            ("Suspended", _) => recorder.normal(about, "Resumed", message),
            _ => {}
        }
    }
}

fn background_delete(uid: Option<String>) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid,
        resource_version: None,
    })
}

/// Ignores these codes: the object is gone, or another has its name.
fn ignore(codes: &[u16], outcome: kube::Result<()>) -> kube::Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if codes.contains(&status.code) => Ok(()),
        outcome => outcome,
    }
}
