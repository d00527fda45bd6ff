//! Reads everything a plan may need, live: a cache could be behind, and a plan on old facts would make a second Job.

use std::{fmt::Debug, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
    },
};
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use super::{
    error::Error,
    judge, objects,
    observed::{Holder, Observed, active_version, is_cancelled},
};
use crate::{
    resources::{CodeRun, ConditionStatus, DocsRun},
    runs::{Run, RunKind, naming},
    settings::Settings,
    templates::Templates,
};

/// Seconds a Job may take to show a running container before its Events are read for the cause.
const PATIENCE: i64 = 10;

/// One of the two custom resources.
pub trait RunResource:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Into<Run>
    + Send
    + Sync
    + 'static
{
}

impl RunResource for DocsRun {}
impl RunResource for CodeRun {}

/// The run of that name, as it is now. One that this version cannot read is reported and left alone.
pub async fn read_run<K: RunResource>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Run>, Error> {
    let api: Api<DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    let object = api
        .get_opt(name)
        .await
        .map_err(Error::cluster(format!("read the run {name}")))?;
    Ok(match object {
        None => None,
        Some(DeserializeGuard(Ok(run))) => Some(run.into()),
        Some(DeserializeGuard(Err(invalid))) => {
            tracing::warn!(run = name, error = %invalid.error, "a run cannot be read and is left alone");
            None
        }
    })
}

/// The run and its surroundings; `None` when there is no such run.
pub async fn observe<K: RunResource>(
    client: &Client,
    namespace: &str,
    name: &str,
    settings: &Arc<Settings>,
    templates: &Templates,
) -> Result<Option<Observed>, Error> {
    let Some(run) = read_run::<K>(client, namespace, name).await? else {
        return Ok(None);
    };
    let now = Timestamp::now();
    let version = active_version(&run);
    let owned = ListParams::default().labels(&format!("{}={}", naming::LABEL_RUN_UID, run.uid()));
    let jobs = Api::<Job>::namespaced(client.clone(), namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    let map_name = naming::config_map_name(run.name(), run.uid(), version);
    let claim_name = objects::workspace_name(&run);
    // The pods are read after the Jobs: a Job that has ended is never seen beside a pod that seems to run.
    let jobs_then_pods = async {
        let listed = jobs.list(&owned).await?;
        Ok((listed, pods.list(&owned).await?))
    };
    let ((listed, pods), config_map, workspace) = tokio::try_join!(
        jobs_then_pods,
        maps.get_opt(&map_name),
        claims.get_opt(&claim_name),
    )
    .map_err(Error::cluster(format!("read what the run {name} owns")))?;
    let missing = not_listed(&run, &listed.items).map(|name| jobs.get_opt(name));
    let missing = futures::future::try_join_all(missing)
        .await
        .map_err(Error::cluster(format!("read the Jobs of {name}")))?;
    let mut jobs = listed.items;
    jobs.extend(missing.into_iter().flatten());
    jobs.retain(|job| objects::owned_by(&job.metadata, run.uid()));

    let files = if config_map.is_some() || run.metadata.deletion_timestamp.is_some() {
        Ok(std::collections::BTreeMap::new())
    } else {
        let mut wanted = run.clone();
        wanted.spec.context_version = version;
        templates
            .render(&wanted, settings)
            .map_err(|error| error.to_string())
    };
    let mut observed = Observed {
        now,
        settings: Arc::clone(settings),
        run,
        files,
        config_map,
        workspace,
        holder: None,
        ahead: None,
        jobs,
        pods: pods.items,
        events: Vec::new(),
    };
    if observed.run.kind == RunKind::Code {
        look_at_the_queue(client, namespace, &mut observed).await?;
    }
    observed.events = events(client, namespace, &observed).await?;
    Ok(Some(observed))
}

/// Names of the Jobs under way, by the run's own word, that are not among these. A list may be behind what was written, and
/// a Job that is taken for lost is made again, which may cost money: it is lost only when asking for it finds none either.
fn not_listed<'a>(run: &'a Run, listed: &'a [Job]) -> impl Iterator<Item = &'a str> {
    let under_way = run.status.attempts.iter();
    under_way
        .filter(|attempt| attempt.finished_at.is_none())
        .map(|attempt| attempt.job_name.as_str())
        .filter(|name| !name.is_empty() && listed.iter().all(|job| job.name_any() != *name))
}

/// Who has the shared workspace, and who asked for it before.
async fn look_at_the_queue(
    client: &Client,
    namespace: &str,
    observed: &mut Observed,
) -> Result<(), Error> {
    let finished = observed.run.phase().finished();
    if finished
        && active_version(&observed.run)
            == observed.run.status.observed_context_version.unwrap_or(0)
        || observed.holds_workspace()
        || observed.run.metadata.deletion_timestamp.is_some()
    {
        return Ok(());
    }
    let holder = observed.workspace.as_ref().and_then(objects::holder);
    if let Some((uid, name)) = holder.map(|(uid, name)| (uid.to_owned(), name.to_owned())) {
        let run = read_run::<CodeRun>(client, namespace, &name).await?;
        let gone = run.is_none_or(|run| run.uid() != uid);
        let selector = format!("{}={uid}", naming::LABEL_RUN_UID);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pods = pods
            .list(&ListParams::default().labels(&selector))
            .await
            .map_err(Error::cluster(format!("list the pods of {name}")))?;
        let live_pods = pods.items.iter().filter(|pod| !judge::is_over(pod)).count();
        observed.holder = Some(Holder {
            name,
            gone,
            live_pods,
        });
        if !gone || live_pods > 0 {
            return Ok(());
        }
    }
    let runs: Api<DeserializeGuard<CodeRun>> = Api::namespaced(client.clone(), namespace);
    let runs = runs
        .list(&ListParams::default())
        .await
        .map_err(Error::cluster("list the code runs"))?;
    let others = runs
        .items
        .into_iter()
        .filter_map(|run| run.0.ok())
        .map(Run::from);
    observed.ahead = first_in_line(&observed.run, others, observed.now);
    Ok(())
}

/// The run that waits for the same workspace and asked for it before `run` did.
fn first_in_line(run: &Run, others: impl Iterator<Item = Run>, now: Timestamp) -> Option<String> {
    let claim = objects::workspace_name(run);
    let since = |run: &Run| -> Option<String> {
        let waits = run.status.conditions.iter().find(|condition| {
            condition.r#type == "WorkspaceReady"
                && condition.status == ConditionStatus::False
                && condition.reason == super::plan::why::IN_USE
        })?;
        Some(waits.last_transition_time.clone())
    };
    let stays = |other: &Run| {
        other.uid() != run.uid()
            && objects::workspace_name(other) == claim
            && !other.phase().finished()
            && !is_cancelled(other)
            && !other.spec.suspend
            && other.metadata.deletion_timestamp.is_none()
    };
    let own = (
        since(run).unwrap_or_else(|| super::plan::rfc3339(now)),
        run.uid().to_owned(),
    );
    others
        .filter(stays)
        .filter_map(|other| {
            Some((
                (since(&other)?, other.uid().to_owned()),
                other.name().to_owned(),
            ))
        })
        .filter(|(asked, _)| *asked < own)
        .min()
        .map(|(_, name)| name)
}

/// Events about Jobs that should run by now and do not: only they tell of a refused pod or a volume that is not there.
async fn events(
    client: &Client,
    namespace: &str,
    observed: &Observed,
) -> Result<Vec<Event>, Error> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for job in &observed.jobs {
        let made = job.creation_timestamp().map(|time| time.0.as_second());
        let young = made.is_none_or(|made| observed.now.as_second() - made < PATIENCE);
        if young || judge::is_final(job) {
            continue;
        }
        let pod = observed.pod(job);
        if judge::judge(crate::runs::Stage::Prep, job, pod, &[]) != judge::JobState::Starting {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resources::{Condition, RunSpec, RunStatus},
        runs::CodeDetails,
    };

    fn waiting(name: &str, since: &str) -> Run {
        let condition = Condition {
            r#type: "WorkspaceReady".into(),
            status: ConditionStatus::False,
            reason: "InUse".into(),
            last_transition_time: since.into(),
            ..Condition::default()
        };
        Run {
            kind: RunKind::Code,
            metadata: kube::api::ObjectMeta {
                name: Some(name.into()),
                uid: Some(format!("uid-{name}")),
                ..Default::default()
            },
            tasks: vec!["1".into()],
            spec: RunSpec::default(),
            code: Some(CodeDetails::default()),
            status: RunStatus {
                conditions: if since.is_empty() {
                    vec![]
                } else {
                    vec![condition]
                },
                ..RunStatus::default()
            },
        }
    }

    #[test]
    fn whoever_asked_first_is_served_first() {
        let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
        let early = || waiting("early", "2026-01-01T00:00:10Z");
        let ahead = |run: &Run, others: Vec<Run>| first_in_line(run, others.into_iter(), now);

        let newcomer = waiting("newcomer", "");
        assert_eq!(ahead(&newcomer, vec![early()]).as_deref(), Some("early"));
        assert_eq!(ahead(&early(), vec![newcomer.clone()]), None);
        assert_eq!(
            ahead(&early(), vec![early()]),
            None,
            "a run does not wait for itself"
        );

        // Within one second the uid decides, so that two never wait for each other.
        let twin = waiting("a-twin", "2026-01-01T00:00:10Z");
        assert_eq!(
            ahead(&early(), vec![twin.clone()]).as_deref(),
            Some("a-twin")
        );
        assert_eq!(ahead(&twin, vec![early()]), None);

        let mut leaves: [Run; 4] = std::array::from_fn(|_| early());
        leaves[0].spec.suspend = true;
        leaves[1].spec.cancel_version = 1;
        leaves[2].status.phase = Some("Failed".into());
        leaves[2].status.observed_context_version = Some(1);
        leaves[3].spec.repository_url = "https://example.com/other".into();
        assert_eq!(ahead(&newcomer, leaves.to_vec()), None);
    }
}
