//! Reads everything a plan may need: from what the watches told, and from the API what they cannot tell, or what must not be
//! mistaken.

mod queue;

use std::{fmt::Debug, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Event, Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::{DeserializeGuard, object::HasStatus},
};
use kube_runtime::reflector::Store;
use serde::de::DeserializeOwned;

use super::{
    cache::Caches,
    error::Error,
    judge,
    memory::Memory,
    objects,
    observed::{Observed, active_version, was_seen},
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun, RunSpec, RunStatus},
    runs::{Run, naming},
};
use flightdeck_host::{settings::Settings, templates::Templates};

/// Seconds after a Job's end in which its pod must be seen to have ended too; after that the pod is believed to be lost.
const SETTLING: i64 = 3;

/// One of the two custom resources.
pub trait RunResource:
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
    /// The part of its spec that both have.
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

/// Where a reconciliation reads: what the watches have told, and the API itself for what they cannot.
pub struct Sources<'a> {
    pub client: &'a Client,
    pub settings: &'a Arc<Settings>,
    pub templates: &'a Templates,
    pub memory: &'a Memory,
    pub caches: &'a Caches,
    /// How long a Job may take to show a running container before its Events are read for the cause.
    pub slow_start: Duration,
    /// Every code run: those that wait for the same workspace are among them.
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

/// The run and its surroundings.
pub async fn observe(sources: &Sources<'_>, run: Run) -> Result<Observed, Error> {
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
        let mut wanted = run.clone();
        wanted.spec.context_version = version;
        sources
            .templates
            .render(&wanted, sources.settings)
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
        made: sources.memory.made(&uid),
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
        queue::look(sources, &mut observed).await?;
    }
    observed.events = events(sources, &observed).await?;
    Ok(observed)
}

/// Jobs under way, by the run's own word, that the watch has not told of. A Job that is taken for lost is made again under a new
/// name, which may cost money: it is lost only when it is not there when asked for. One that was recorded and never seen is
/// made under its own name, so that nothing happens if it is there after all.
async fn find_missing_jobs(sources: &Sources<'_>, observed: &mut Observed) -> Result<(), Error> {
    let under_way = observed.run.status.attempts.iter();
    let missing: Vec<String> = under_way
        .filter(|attempt| attempt.finished_at.is_none() && !attempt.job_name.is_empty())
        .filter(|attempt| was_seen(attempt) || observed.made.contains(&attempt.job_name))
        .map(|attempt| attempt.job_name.clone())
        .filter(|name| observed.job(name).is_none())
        .collect();
    let jobs = sources.api(&observed.run);
    let uid = observed.run.uid().to_owned();
    for job in &observed.jobs {
        sources.memory.seen(&uid, &job.name_any());
    }
    for name in missing {
        let job = match sources.memory.just_made(&uid, &name) {
            Some(job) => Some(job),
            None => newest(&jobs, &name).await?,
        };
        observed.jobs.extend(job);
    }
    Ok(())
}

/// The workspace, where what the watch has told of it is too little to act on.
async fn find_missing_workspace(
    sources: &Sources<'_>,
    observed: &mut Observed,
) -> Result<(), Error> {
    if observed.workspace_is_doubtful() {
        let run = &observed.run;
        let name = objects::workspace_name(run);
        observed.workspace = newest(&sources.api(run), &name).await?;
    }
    Ok(())
}

/// An object as it is, whatever a read would say: it is asked for by a write that changes nothing, which is never answered
/// from the past.
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

/// A Job that has ended beside a pod that has not, or is not seen, by what the watches told: its report would be lost, so its
/// pods are asked for. For a while after that the pod must be seen to have ended too.
async fn find_ended_pods(sources: &Sources<'_>, observed: &mut Observed) -> Result<(), Error> {
    let report_missing = |observed: &Observed| {
        let mut attempts = observed.run.status.attempts.iter();
        let missing = attempts.find(|attempt| {
            let job = observed.job(&attempt.job_name);
            let job = job.filter(|job| judge::is_final(job));
            attempt.finished_at.is_none()
                && job.is_some_and(|job| !observed.pod(job).is_some_and(judge::is_over))
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
    let ended = observed.job(&job).and_then(judge::ended_at);
    if ended.is_some_and(|at| observed.now.as_second() - at < SETTLING) {
        let what = format!("the pod of {job}");
        return Err(Error::Behind { what });
    }
    Ok(())
}

/// Pods labelled with the uid of a run, as they are now.
async fn pods_of(sources: &Sources<'_>, run: &Run, uid: &str) -> Result<Vec<Pod>, Error> {
    let of_run = ListParams::default().labels(&format!("{}={uid}", naming::LABEL_RUN_UID));
    let pods = sources.api::<Pod>(run).list(&of_run).await;
    let pods = pods.map_err(Error::cluster(format!("list the pods of {}", run.name())))?;
    Ok(pods.items)
}

/// Events about Jobs that should run by now and do not: only they tell of a refused pod or a volume that is not there.
async fn events(sources: &Sources<'_>, observed: &Observed) -> Result<Vec<Event>, Error> {
    let api: Api<Event> = sources.api(&observed.run);
    let mut found = Vec::new();
    for job in &observed.jobs {
        let made = job.creation_timestamp().map(|time| time.0);
        let due = made.and_then(|made| made.checked_add(sources.slow_start).ok());
        let young = due.is_none_or(|due| observed.now < due);
        if young || judge::is_final(job) {
            continue;
        }
        let pod = observed.pod(job);
        if judge::judge(flightdeck_core::runs::Stage::Prep, job, pod, &[])
            != judge::JobState::Starting
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
