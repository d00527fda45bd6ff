//! Reads everything a plan needs: from the caches, and from the API server what must not be stale or is not watched.

mod queue;

use std::{fmt::Debug, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Event, Pod},
};
use kube::runtime::reflector::Store;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::{DeserializeGuard, object::HasStatus},
};
use serde::de::DeserializeOwned;

use super::{
    cache::Caches,
    error::Error,
    job_state,
    memory::Memory,
    objects,
    observed::{Observed, active_version, was_seen},
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun, RunSpec, RunStatus},
    runs::{Run, naming},
};
use flightdeck_host::{settings::Settings, templates::Templates};

/// Seconds after a Job's end within which its pod must appear to have ended too; later the pod counts as lost.
const POD_GRACE: i64 = 3;

/// One of the two run kinds.
pub(crate) trait RunResource:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + HasStatus<Status = RunStatus>
    + Clone
    + Debug
    + Default
    + DeserializeOwned
    + Into<Run>
    + Send
    + Sync
    + 'static
{
    /// The common part of the spec.
    fn run_spec_mut(&mut self) -> &mut RunSpec;
}

impl RunResource for DocsRun {
    fn run_spec_mut(&mut self) -> &mut RunSpec {
        &mut self.spec.run
    }
}

impl RunResource for CodeRun {
    fn run_spec_mut(&mut self) -> &mut RunSpec {
        &mut self.spec.run
    }
}

/// What a reconciliation reads from.
pub(crate) struct Sources<'a> {
    pub client: &'a Client,
    pub settings: &'a Arc<Settings>,
    pub templates: &'a Templates,
    pub memory: &'a Memory,
    pub caches: &'a Caches,
    /// Time a Job may take to start a container before its Events are read for the cause.
    pub slow_start: Duration,
    /// All code runs, including those that wait for the same workspace.
    pub code_runs: &'a Store<DeserializeGuard<CodeRun>>,
}

impl Sources<'_> {
    fn api<T>(&self, run: &Run) -> Api<T>
    where
        T: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), run.namespace())
    }
}

/// Reads the state of a run and its objects.
pub(crate) async fn observe(sources: &Sources<'_>, run: Run) -> Result<Observed, Error> {
    let version = active_version(&run);
    let (name, uid) = (run.name().to_owned(), run.uid().to_owned());
    let caches = sources.caches;
    let config_map = caches
        .files
        .get(&naming::config_map_name(&name, &uid, version))
        .map(|map| ConfigMap {
            metadata: map.metadata.clone(),
            ..ConfigMap::default()
        });
    let files = if config_map.is_some() || run.metadata.deletion_timestamp.is_some() {
        Ok(std::collections::BTreeMap::new())
    } else {
        let mut active = run.clone();
        active.spec.context_version = version;
        sources
            .templates
            .render(&active, sources.settings)
            .map_err(|error| error.to_string())
    };
    let claim = caches.claims.get(&objects::workspace_name(&run));
    let mut observed = Observed {
        now: Timestamp::now(),
        settings: Arc::clone(sources.settings),
        files,
        config_map,
        workspace: claim.map(|claim| (*claim).clone()),
        holder: None,
        ahead: None,
        jobs: caches
            .jobs
            .of_run(&uid)
            .iter()
            .map(|job| (**job).clone())
            .collect(),
        pods: caches
            .pods
            .of_run(&uid)
            .iter()
            .map(|pod| (**pod).clone())
            .collect(),
        created: sources.memory.created(&uid),
        events: Vec::new(),
        run,
    };
    find_missing_jobs(sources, &mut observed).await?;
    find_missing_workspace(sources, &mut observed).await?;
    observed
        .jobs
        .retain(|job| objects::owned_by(&job.metadata, &uid));
    find_ended_pods(sources, &mut observed).await?;
    if observed.run.kind.shares_workspace() {
        queue::observe(sources, &mut observed).await?;
    }
    observed.events = events(sources, &observed).await?;
    Ok(observed)
}

/// Looks up the Jobs of active attempts that are missing in the cache. A Job that counts as lost is created again under a new
/// name, which may cost money, so it must really be absent. A Job that was recorded but never seen is created under its own
/// name, which is harmless if it exists.
async fn find_missing_jobs(sources: &Sources<'_>, observed: &mut Observed) -> Result<(), Error> {
    let attempts = observed.run.status.attempts.iter();
    let missing: Vec<String> = attempts
        .filter(|attempt| attempt.finished_at.is_none() && !attempt.job_name.is_empty())
        .filter(|attempt| was_seen(attempt) || observed.created.contains(&attempt.job_name))
        .map(|attempt| attempt.job_name.clone())
        .filter(|name| observed.job(name).is_none())
        .collect();
    let jobs = sources.api(&observed.run);
    let uid = observed.run.uid().to_owned();
    for job in &observed.jobs {
        sources.memory.seen(&uid, &job.name_any());
    }
    for name in missing {
        let job = match sources.memory.recently_created(&uid, &name) {
            Some(job) => Some(job),
            None => newest(&jobs, &name).await?,
        };
        observed.jobs.extend(job);
    }
    Ok(())
}

/// Reads the workspace if its cached state is not enough to act on.
async fn find_missing_workspace(
    sources: &Sources<'_>,
    observed: &mut Observed,
) -> Result<(), Error> {
    if observed.needs_fresh_workspace() {
        let run = &observed.run;
        let name = objects::workspace_name(run);
        observed.workspace = newest(&sources.api(run), &name).await?;
    }
    Ok(())
}

/// Reads the newest version of an object with an empty patch, because unlike a read, a write is never answered from a stale
/// cache.
async fn newest<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let nothing = Patch::Merge(serde_json::json!({}));
    match api.patch(name, &PatchParams::default(), &nothing).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(Error::cluster(format!("look for {name}"))(error)),
    }
}

/// Lists the pods of a Job that has ended if its pod is missing or active in the cache: the stage's report would be lost.
/// Fails as stale while the pod may still be terminating.
async fn find_ended_pods(sources: &Sources<'_>, observed: &mut Observed) -> Result<(), Error> {
    let report_missing = |observed: &Observed| {
        let mut attempts = observed.run.status.attempts.iter();
        let missing = attempts.find(|attempt| {
            let job = observed.job(&attempt.job_name);
            let job = job.filter(|job| job_state::is_final(job));
            attempt.finished_at.is_none()
                && job.is_some_and(|job| !observed.pod(job).is_some_and(job_state::is_terminated))
        })?;
        Some(missing.job_name.clone())
    };
    if report_missing(observed).is_none() {
        return Ok(());
    }
    observed.pods = pods_of(sources, &observed.run, observed.run.uid()).await?;
    let Some(job) = report_missing(observed) else {
        return Ok(());
    };
    let ended = observed.job(&job).and_then(job_state::ended_at);
    if ended.is_some_and(|at| observed.now.as_second() - at < POD_GRACE) {
        let what = format!("the pod of {job}");
        return Err(Error::Stale { what });
    }
    Ok(())
}

/// Lists the pods with the label of a run's uid.
async fn pods_of(sources: &Sources<'_>, run: &Run, uid: &str) -> Result<Vec<Pod>, Error> {
    let of_run = ListParams::default().labels(&format!("{}={uid}", naming::LABEL_RUN_UID));
    let pods = sources.api::<Pod>(run).list(&of_run).await;
    let pods = pods.map_err(Error::cluster(format!("list the pods of {}", run.name())))?;
    Ok(pods.items)
}

/// Lists the Events about Jobs that are late to start: only Events show a rejected pod or a missing volume.
async fn events(sources: &Sources<'_>, observed: &Observed) -> Result<Vec<Event>, Error> {
    let api: Api<Event> = sources.api(&observed.run);
    let mut found = Vec::new();
    for job in &observed.jobs {
        let created = job.creation_timestamp().map(|time| time.0);
        let due = created.and_then(|created| created.checked_add(sources.slow_start).ok());
        let young = due.is_none_or(|due| observed.now < due);
        if young || job_state::is_final(job) {
            continue;
        }
        let pod = observed.pod(job);
        if job_state::evaluate(flightdeck_core::runs::Stage::Prep, job, pod, &[])
            != job_state::JobState::Starting
        {
            continue;
        }
        for uid in [job.uid(), pod.and_then(ResourceExt::uid)]
            .into_iter()
            .flatten()
        {
            let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
            let list = api.list(&about).await.map_err(Error::cluster(format!(
                "list the Events of {}",
                job.name_any()
            )))?;
            found.extend(list.items);
        }
    }
    Ok(found)
}
