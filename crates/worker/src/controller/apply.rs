//! Applies a plan in order; each write is idempotent and bound to the object it was decided for. Stops at the first error.

use std::fmt::Debug;

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, ObjectReference, PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    archive::{self, FinishedAttempt},
    error::{Category, Error, named},
    jobs, objects,
    observe::RunResource,
    plan::{Action, Note, Plan},
};
use flightdeck_core::{
    resources::{GROUP, VERSION},
    runs::{Run, naming},
};

/// Applies `plan` to the run and updates `current` with each write; its previous versions are added to `passed`. Returns the
/// created Job.
pub(crate) async fn apply<K: RunResource>(
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
    for finished in &plan.archives {
        writer.archive(finished).await?;
    }
    for job in &plan.expired_archives {
        writer.delete_archive(job).await?;
    }
    for action in plan.actions {
        let before = current.metadata.resource_version.clone();
        writer.act(action, &mut current.metadata).await?;
        if current.metadata.resource_version != before {
            passed.extend(before);
        }
    }
    // Write the status before creating a Job even if it is unchanged. The write requires the resource version that was read,
    // so it proves that the run still exists, wants the stage and is at this attempt; a read may be stale.
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
    let created = match &plan.job {
        Some(job) => writer.create::<Job>(job).await,
        None => Ok(None),
    };
    for note in &plan.notes {
        publish(recorder, &run, note).await;
    }
    created
}

/// Writes an Event about the run. Only logs a failure.
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
        tracing::warn!(run = run.name(), reason = note.reason, %error, "could not write an Event");
    }
}

struct Writer<'a, K> {
    client: &'a Client,
    run: &'a Run,
    /// Only typed metadata, so that unknown fields of a newer version are not lost.
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
                // Fail if another run created the shared claim in the meantime; that run holds it.
                let created = self.api().create(&PostParams::default(), &*claim).await;
                created
                    .map(drop)
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
                    self.merge::<Job>(&name, &body, "set the TTL of the Job")
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

    /// Archives the log of a finished stage. Only logs a refusal by the cluster: a quota must not block the run.
    async fn archive(&self, finished: &FinishedAttempt) -> Result<(), Error> {
        let map = archive::collect(self.client, self.run, finished).await;
        match self.create::<ConfigMap>(&map).await {
            Err(error) if error.category() == Category::Refused => {
                tracing::warn!(run = self.run.name(), job = finished.attempt.job_name, %error, "could not archive a log");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Deletes the archive of a Job that is no longer in the status.
    async fn delete_archive(&self, job: &str) -> Result<(), Error> {
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

    /// Creates an object of the run and returns it. Returns `None` if the run already owns an object of this name.
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
            Ok(created) => Ok(Some(created)),
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

/// Deletes in the background with dependents, and only the object of this uid.
fn delete_parameters(uid: String) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid),
        resource_version: None,
    })
}

/// Ignores a 404: the object is already gone.
fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Cluster { source, .. }) if matches!(&*source, kube::Error::Api(status) if status.code == 404) => {
            Ok(())
        }
        other => other,
    }
}
