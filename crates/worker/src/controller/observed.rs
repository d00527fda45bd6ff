//! The input of `plan`. Everything is a value, including the clock and the rendered templates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
};
use kube::ResourceExt;

use super::{job_state, objects};
use flightdeck_core::{
    resources::Attempt,
    runs::{Run, naming},
};
use flightdeck_host::settings::Settings;

/// A run and its objects, read at one time.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub now: Timestamp,
    pub settings: Arc<Settings>,
    pub run: Run,
    /// The rendered files of the run, or why they cannot be rendered.
    pub files: Result<BTreeMap<String, String>, String>,
    /// The ConfigMap of the expected name, with any owner.
    pub config_map: Option<ConfigMap>,
    /// The claim of the expected name, with any creator.
    pub workspace: Option<PersistentVolumeClaim>,
    /// The run that holds the shared workspace, if it is another one.
    pub holder: Option<Holder>,
    /// The run before this one in the queue for a free workspace.
    pub ahead: Option<String>,
    /// Jobs controlled by this run.
    pub jobs: Vec<Job>,
    /// Pods of those Jobs.
    pub pods: Vec<Pod>,
    /// Names of the Jobs this process created for the run, whether the watch has reported them or not.
    pub created: BTreeSet<String>,
    /// Events about those Jobs and pods.
    pub events: Vec<Event>,
}

/// Another run that holds a shared workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub name: String,
    /// The run of this name and uid does not exist, or will not release the workspace.
    pub gone: bool,
    /// Number of its pods that have not stopped.
    pub live_pods: usize,
}

impl Observed {
    /// Returns the Job `name`.
    #[must_use]
    pub(super) fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name_any() == name)
    }

    /// Returns the newest pod of a Job.
    #[must_use]
    pub(super) fn pod(&self, job: &Job) -> Option<&Pod> {
        let uid = job.metadata.uid.as_deref()?;
        let of_job = |pod: &&Pod| objects::owned_by(&pod.metadata, uid);
        let pods = self.pods.iter().filter(of_job);
        pods.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
    }

    /// Returns the pods that may still use the workspace.
    pub(super) fn live_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .filter(|pod| !job_state::is_terminated(pod))
    }

    /// Returns the Events about a Job or its pod.
    #[must_use]
    pub(super) fn events_about(&self, job: &Job, pod: Option<&Pod>) -> Vec<Event> {
        let uids = [job.uid(), pod.and_then(ResourceExt::uid)];
        let about = |event: &&Event| {
            let uid = &event.involved_object.uid;
            uid.is_some() && uids.contains(uid)
        };
        self.events.iter().filter(about).cloned().collect()
    }

    /// Returns whether the run has our finalizer.
    #[must_use]
    pub(super) fn has_finalizer(&self) -> bool {
        let finalizers = self.run.metadata.finalizers.as_deref().unwrap_or_default();
        finalizers.iter().any(|name| name == naming::FINALIZER)
    }

    /// Returns whether this run holds the shared workspace.
    #[must_use]
    pub(super) fn holds_workspace(&self) -> bool {
        let holder = self.workspace.as_ref().and_then(objects::holder);
        holder.is_some_and(|(uid, _)| uid == self.run.uid())
    }

    /// Returns whether the cached workspace is not enough to act on. An active run without its workspace has failed, so it must
    /// really be absent. A run that ends must release what it holds even if the cache does not show it: no other run would.
    #[must_use]
    pub(super) fn needs_fresh_workspace(&self) -> bool {
        let run = &self.run;
        let leaves = run.phase().finished() || run.metadata.deletion_timestamp.is_some();
        let unknown = if leaves {
            run.kind.shares_workspace() && self.has_finalizer() && !self.holds_workspace()
        } else {
            self.workspace.is_none()
        };
        // A stage that started and ended between two reconciliations is not in the status yet.
        let used =
            run.status.attempts.iter().any(was_seen) || self.jobs.iter().any(job_state::is_final);
        unknown && used
    }
}

/// Returns whether the Job of an attempt was seen to start.
#[must_use]
pub(crate) fn was_seen(attempt: &Attempt) -> bool {
    attempt.started_at.is_some() || attempt.pod_name.is_some()
}

/// Returns the active context version: a newer one starts only once the current one has ended.
///
/// A `contextVersion` lower than the observed one (an old manifest applied again) has no effect.
#[must_use]
pub(crate) fn active_version(run: &Run) -> i32 {
    match run.status.observed_context_version {
        Some(seen) if !run.phase().finished() => seen,
        Some(seen) => seen.max(run.spec.context_version),
        None => run.spec.context_version,
    }
}

/// Returns whether the active version was cancelled.
#[must_use]
pub(crate) fn is_cancelled(run: &Run) -> bool {
    run.spec.cancel_version >= active_version(run)
}
