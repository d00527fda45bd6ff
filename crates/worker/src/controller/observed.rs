//! Everything `plan` may look at. Nothing in here can ask for more: the clock and the templates' result are values too.

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

use super::{judge, objects};
use flightdeck_core::{
    resources::Attempt,
    runs::{Run, naming},
};
use flightdeck_host::settings::Settings;

/// One run and what there is of it in the cluster, read at one time.
#[derive(Clone, Debug)]
pub struct Observed {
    pub now: Timestamp,
    pub settings: Arc<Settings>,
    pub run: Run,
    /// The run's files as the templates give them, or the sentence why they cannot.
    pub files: Result<BTreeMap<String, String>, String>,
    /// The object of the ConfigMap's name, whoever owns it.
    pub config_map: Option<ConfigMap>,
    /// The claim of the workspace's name, whoever made it.
    pub workspace: Option<PersistentVolumeClaim>,
    /// Who holds the shared workspace, when it is another run.
    pub holder: Option<Holder>,
    /// The run that asked for the free workspace before this one did.
    pub ahead: Option<String>,
    /// Jobs that this run controls.
    pub jobs: Vec<Job>,
    /// Pods of those Jobs.
    pub pods: Vec<Pod>,
    /// Names of Jobs that this process has made for the run, seen or not.
    pub made: BTreeSet<String>,
    /// Events about those Jobs and pods that tell of trouble.
    pub events: Vec<Event>,
}

/// Another run that a shared workspace is held by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    /// No run of that name and uid exists any more, or it has ended and gives nothing back.
    pub gone: bool,
    /// Pods of it that have not stopped.
    pub live_pods: usize,
}

impl Observed {
    /// The Job of that name.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name_any() == name)
    }

    /// The newest pod of a Job.
    #[must_use]
    pub fn pod(&self, job: &Job) -> Option<&Pod> {
        let uid = job.metadata.uid.as_deref()?;
        let of_job = |pod: &&Pod| objects::owned_by(&pod.metadata, uid);
        let pods = self.pods.iter().filter(of_job);
        pods.max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
    }

    /// Pods that may still touch the workspace.
    pub fn live_pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| !judge::is_over(pod))
    }

    /// Events about a Job or its pod.
    #[must_use]
    pub fn events_about(&self, job: &Job, pod: Option<&Pod>) -> Vec<Event> {
        let uids = [job.uid(), pod.and_then(ResourceExt::uid)];
        let about = |event: &&Event| {
            let uid = &event.involved_object.uid;
            uid.is_some() && uids.contains(uid)
        };
        self.events.iter().filter(about).cloned().collect()
    }

    /// Whether the run holds our finalizer.
    #[must_use]
    pub fn has_finalizer(&self) -> bool {
        let finalizers = self.run.metadata.finalizers.as_deref().unwrap_or_default();
        finalizers.iter().any(|name| name == naming::FINALIZER)
    }

    /// Whether the shared workspace names this run as its holder.
    #[must_use]
    pub fn holds_workspace(&self) -> bool {
        let holder = self.workspace.as_ref().and_then(objects::holder);
        holder.is_some_and(|(uid, _)| uid == self.run.uid())
    }

    /// Whether what the watch has told of the workspace is too little to act on. A run under way whose workspace is gone has
    /// failed, so it is gone only when it is not there when asked for. A run that leaves gives back what it holds, whether that
    /// was told or not: nobody else would.
    #[must_use]
    pub fn workspace_is_doubtful(&self) -> bool {
        let run = &self.run;
        let leaves = run.phase().finished() || run.metadata.deletion_timestamp.is_some();
        let unknown = if leaves {
            run.kind.shares_workspace() && self.has_finalizer() && !self.holds_workspace()
        } else {
            self.workspace.is_none()
        };
        // A stage that began and ended between two looks is in no status yet.
        let used =
            run.status.attempts.iter().any(was_seen) || self.jobs.iter().any(judge::is_final);
        unknown && used
    }
}

/// Whether the Job of an attempt was ever seen to do something.
#[must_use]
pub fn was_seen(attempt: &Attempt) -> bool {
    attempt.started_at.is_some() || attempt.pod_name.is_some()
}

/// The context version that is being worked on: a newer one begins only once the one before has ended.
///
/// A `contextVersion` lower than one that was seen (a manifest applied again) changes nothing.
#[must_use]
pub fn active_version(run: &Run) -> i32 {
    match run.status.observed_context_version {
        Some(seen) if !run.phase().finished() => seen,
        Some(seen) => seen.max(run.spec.context_version),
        None => run.spec.context_version,
    }
}

/// Whether a person has stopped the version that is being worked on.
#[must_use]
pub fn is_cancelled(run: &Run) -> bool {
    run.spec.cancel_version >= active_version(run)
}
