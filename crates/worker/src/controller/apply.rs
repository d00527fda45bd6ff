//! Carries a plan out: in order, each write safe to repeat and bound to the object it was decided for; stops at the first error.

use std::fmt::Debug;

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, ObjectReference, PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use kube_runtime::events::{Event, EventType, Recorder};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    error::{Category, Error, named},
    jobs,
    keep::{self, End},
    objects,
    observe::RunResource,
    plan::{Action, Note, Plan},
};
use flightdeck_core::{
    resources::{GROUP, VERSION},
    runs::{Run, naming},
};

/// Carries out `plan` for the run it was made for, which is brought up to date with each write; the versions it had
/// before go to `passed`. Gives the Job that was made.
pub async fn apply<K: RunResource>(
    client: &Client,
    recorder: &Recorder,
    current: &mut Run,
    passed: &mut Vec<String>,
    plan: Plan,
) -> Result<Option<Job>, Error> {
    let run = current.clone();
    let writer = Writer::<K> {
        client,
        run: &run,
        runs: Api::namespaced(client.clone(), run.namespace()),
    };
    for end in &plan.ends {
        writer.keep(end).await?;
    }
    for job in &plan.forgotten {
        writer.forget(job).await?;
    }
    for action in plan.actions {
        let before = current.metadata.resource_version.clone();
        writer.act(action, &mut current.metadata).await?;
        if current.metadata.resource_version != before {
            passed.extend(before);
        }
    }
    // The version that was read must still be the newest, so this write also proves that the run is the same, still wanted,
    // and at the attempt that was decided on; no read could. It is made even if the status says so already.
    let confirmed = plan.job.is_some().then(|| run.status.clone());
    if let Some(status) = plan.status.or(confirmed) {
        let body = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": run.kind.resource_kind(),
            "metadata": { "name": run.name(), "uid": run.uid(), "resourceVersion": current.metadata.resource_version },
            "status": status,
        });
        let force = PatchParams::apply(naming::MANAGER).force();
        let runs = &writer.runs;
        let what = format!("write the status of {}", run.name());
        let body = Patch::Apply(&body);
        let written = runs.patch_status(run.name(), &force, &body).await;
        let written = written.map_err(Error::cluster(what))?;
        let before = current.metadata.resource_version.take();
        current.metadata.resource_version = written.resource_version();
        if current.metadata.resource_version != before {
            passed.extend(before);
        }
        current.status = status;
    }
    let made = match &plan.job {
        Some(job) => writer.create::<Job>(job).await,
        None => Ok(None),
    };
    for note in &plan.notes {
        publish(recorder, &run, note).await;
    }
    made
}

/// Writes an Event about the run. One that is lost is no reason to stop.
async fn publish(recorder: &Recorder, run: &Run, note: &Note) {
    let event = Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.clone(),
        note: Some(note.message.clone()).filter(|message| !message.is_empty()),
        action: "Reconcile".into(),
        secondary: None,
    };
    let about = ObjectReference {
        api_version: Some(format!("{GROUP}/{VERSION}")),
        kind: Some(run.kind.resource_kind().to_owned()),
        namespace: Some(run.namespace().to_owned()),
        name: Some(run.name().to_owned()),
        uid: Some(run.uid().to_owned()),
        ..ObjectReference::default()
    };
    if let Err(error) = recorder.publish(&event, &about).await {
        tracing::warn!(run = run.name(), reason = note.reason, %error, "an Event was lost");
    }
}

struct Writer<'a, K> {
    client: &'a Client,
    run: &'a Run,
    /// Untyped beyond its metadata, so that fields of a newer version are never lost on the way.
    runs: Api<kube::core::PartialObjectMeta<K>>,
}

impl<K: RunResource> Writer<'_, K> {
    fn api<T>(&self) -> Api<T>
    where
        T: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.run.namespace())
    }

    async fn act(&self, action: Action, meta: &mut ObjectMeta) -> Result<(), Error> {
        let name = self.run.name();
        match action {
            Action::AddFinalizer => {
                let mut finalizers = self.run.metadata.finalizers.clone().unwrap_or_default();
                finalizers.push(naming::FINALIZER.into());
                self.set_finalizers(finalizers, meta).await
            }
            Action::RemoveFinalizer => {
                let mut finalizers = self.run.metadata.finalizers.clone().unwrap_or_default();
                finalizers.retain(|finalizer| finalizer != naming::FINALIZER);
                ignore_missing(self.set_finalizers(finalizers, meta).await)
            }
            Action::CreateConfigMap(map) => self.create::<ConfigMap>(&map).await.map(drop),
            Action::CreateWorkspace(claim) => {
                // A shared claim that another run made meanwhile is that run's for now.
                let made = self.api().create(&PostParams::default(), &*claim).await;
                made.map(drop)
                    .map_err(Error::cluster(format!("create the {}", named(&*claim))))
            }
            Action::HoldWorkspace {
                claim,
                resource_version,
            } => {
                let holder = objects::holder_value(self.run);
                self.annotate(&claim, &resource_version, json!(holder))
                    .await
            }
            Action::ReleaseWorkspace {
                claim,
                resource_version,
            } => ignore_missing(self.annotate(&claim, &resource_version, Value::Null).await),
            Action::DeleteJob { name, uid } => self.delete::<Job>(&name, uid).await,
            Action::StopPod { name, uid } => {
                let body = json!({
                    "metadata": { "uid": uid },
                    "spec": { "activeDeadlineSeconds": 1 },
                });
                ignore_missing(self.merge::<Pod>(&name, &body, "stop the pod").await)
            }
            Action::ExpireJob { name } => {
                let body = json!({ "spec": { "ttlSecondsAfterFinished": jobs::JOB_TTL } });
                ignore_missing(
                    self.merge::<Job>(&name, &body, "let the cluster remove the Job")
                        .await,
                )
            }
            Action::DeleteRun => {
                let parameters = delete_parameters(self.run.uid().to_owned());
                let deleted = self.runs.delete(name, &parameters).await;
                let deleted = deleted
                    .map(drop)
                    .map_err(Error::cluster(format!("delete the run {name}")));
                ignore_missing(deleted)
            }
        }
    }

    /// Keeps the end of a stage. A cluster that takes no more of them is told of in the log, and holds no run up.
    async fn keep(&self, end: &End) -> Result<(), Error> {
        let map = keep::gather(self.client, self.run, end).await;
        match self.create::<ConfigMap>(&map).await {
            Err(error) if error.category() == Category::Refused => {
                tracing::warn!(run = self.run.name(), job = end.attempt.job_name, %error, "the end of a log is not kept");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Deletes what was kept of a Job that the status does not list any more.
    async fn forget(&self, job: &str) -> Result<(), Error> {
        let name = naming::log_archive_name(job);
        let found = self.api::<ConfigMap>().get_metadata_opt(&name).await;
        let found = found.map_err(Error::cluster(format!("read the ConfigMap {name}")))?;
        let ours = found.filter(|found| objects::owned_by(&found.metadata, self.run.uid()));
        match ours.and_then(|found| found.metadata.uid) {
            Some(uid) => self.delete::<ConfigMap>(&name, uid).await,
            None => Ok(()),
        }
    }

    async fn set_finalizers(
        &self,
        finalizers: Vec<String>,
        meta: &mut ObjectMeta,
    ) -> Result<(), Error> {
        let name = self.run.name();
        let body = json!({ "metadata": {
            "uid": self.run.uid(),
            "resourceVersion": meta.resource_version,
            "finalizers": finalizers,
        }});
        let written = self
            .runs
            .patch(name, &parameters(), &Patch::Merge(&body))
            .await
            .map_err(Error::cluster(format!("change the finalizers of {name}")))?;
        meta.resource_version = written.resource_version();
        meta.finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
        Ok(())
    }

    /// Creates an object of the run, and gives it. That it exists already is fine if it is this run's.
    async fn create<T>(&self, object: &T) -> Result<Option<T>, Error>
    where
        T: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let api: Api<T> = self.api();
        let parameters = PostParams {
            field_manager: Some(naming::MANAGER.into()),
            ..PostParams::default()
        };
        match api.create(&parameters, object).await {
            Ok(made) => Ok(Some(made)),
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                let name = object.name_any();
                let existing = api
                    .get_metadata(&name)
                    .await
                    .map_err(Error::cluster(format!("read the {}", named(object))))?;
                if objects::owned_by(&existing.metadata, self.run.uid()) {
                    Ok(None)
                } else {
                    let kind = T::kind(&()).into_owned();
                    Err(Error::Foreign { kind, name })
                }
            }
            Err(error) => Err(Error::cluster(format!("create the {}", named(object)))(
                error,
            )),
        }
    }

    async fn delete<T>(&self, name: &str, uid: String) -> Result<(), Error>
    where
        T: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<T> = self.api();
        let deleted = api.delete(name, &delete_parameters(uid)).await;
        let what = format!("delete the {} {name}", T::kind(&()));
        ignore_missing(deleted.map(drop).map_err(Error::cluster(what)))
    }

    async fn merge<T>(&self, name: &str, body: &Value, what: &str) -> Result<(), Error>
    where
        T: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<T> = self.api();
        let patched = api.patch(name, &parameters(), &Patch::Merge(body)).await;
        patched
            .map(drop)
            .map_err(Error::cluster(format!("{what} {name}")))
    }

    async fn annotate(
        &self,
        claim: &str,
        resource_version: &str,
        holder: Value,
    ) -> Result<(), Error> {
        let body = json!({ "metadata": {
            "resourceVersion": resource_version,
            "annotations": { objects::ANNOTATION_HOLDER: holder },
        }});
        self.merge::<PersistentVolumeClaim>(claim, &body, "change the holder of the workspace")
            .await
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(naming::MANAGER.into()),
        ..PatchParams::default()
    }
}

/// In the background, with what it owns, and only the object that was meant.
fn delete_parameters(uid: String) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid),
        resource_version: None,
    })
}

/// What was to be changed is gone: there is nothing left to do about it.
fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Cluster { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
            Ok(())
        }
        other => other,
    }
}
