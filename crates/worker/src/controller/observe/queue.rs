//! The queue for the workspace that code runs share.

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{ResourceExt, core::DeserializeGuard};

use super::{Sources, pods_of};
use crate::controller::{
    error::Error,
    job_state, objects,
    observed::{Holder, Observed, active_version, is_cancelled},
    plan,
};
use flightdeck_core::{
    resources::{CodeRun, Condition, ConditionStatus, RunStatus},
    runs::Run,
};

/// Finds the holder of the shared workspace, and the run that is next in the queue.
pub(super) async fn observe(sources: &Sources<'_>, observed: &mut Observed) -> Result<(), Error> {
    let run = &observed.run;
    let ended = run.phase().finished()
        && active_version(run) == run.status.observed_context_version.unwrap_or(0);
    if observed.holds_workspace() {
        // Releasing requires that no pod of the run is left; the cache may not have a new one yet.
        if (ended || run.metadata.deletion_timestamp.is_some())
            && observed.live_pods().next().is_none()
        {
            observed.pods = pods_of(sources, run, run.uid()).await?;
        }
        return Ok(());
    }
    if ended || run.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let holder = observed.workspace.as_ref().and_then(objects::holder);
    if let Some((uid, name)) = holder {
        let holder = held_by(sources, run, uid, name).await?;
        let in_use = !holder.gone || holder.live_pods > 0;
        observed.holder = Some(holder);
        if in_use {
            return Ok(());
        }
    }
    let runs = sources.code_runs.state();
    let others = runs
        .iter()
        .filter_map(|run| run.0.as_ref().ok())
        .filter(|run| run.status.as_ref().is_some_and(is_waiting));
    let others = others.map(|run| Run::from(run.clone()));
    observed.ahead = first_in_line(&observed.run, others, observed.now);
    Ok(())
}

/// Reads the run that holds a workspace. It is gone only if neither it nor a pod of it exists, or if its finalizer was
/// removed, so that it will not release the workspace.
async fn held_by(sources: &Sources<'_>, run: &Run, uid: &str, name: &str) -> Result<Holder, Error> {
    let pods = sources.caches.pods.of_run(uid);
    let mut holder = Holder {
        name: name.to_owned(),
        gone: false,
        live_pods: pods
            .iter()
            .filter(|pod| !job_state::is_terminated(pod))
            .count(),
    };
    let known = ObjectRef::new(name).within(run.namespace());
    let known = sources.code_runs.get(&known);
    if known.is_some_and(|known| may_release(&known, uid)) {
        return Ok(holder);
    }
    let runs = sources.api::<DeserializeGuard<CodeRun>>(run);
    let now = runs.get_opt(name).await;
    let now = now.map_err(Error::cluster(format!("read the run {name}")))?;
    holder.gone = now.is_none_or(|now| !may_release(&now, uid));
    if holder.gone && holder.live_pods == 0 {
        let pods = pods_of(sources, run, uid).await?;
        holder.live_pods = pods
            .iter()
            .filter(|pod| !job_state::is_terminated(pod))
            .count();
    }
    Ok(holder)
}

/// Returns whether this is the run of that uid and may still release its workspace. A run that cannot be parsed may.
fn may_release(run: &DeserializeGuard<CodeRun>, uid: &str) -> bool {
    let left = |run: &CodeRun| plan::is_released(&Run::from(run.clone()));
    run.uid().as_deref() == Some(uid) && !run.0.as_ref().is_ok_and(left)
}

/// Returns whether a run waits for a workspace held by another.
fn is_waiting(status: &RunStatus) -> bool {
    waits_since(&status.conditions).is_some()
}

fn waits_since(conditions: &[Condition]) -> Option<&str> {
    let waits = conditions.iter().find(|condition| {
        condition.r#type == "WorkspaceReady"
            && condition.status == ConditionStatus::False
            && condition.reason == plan::why::IN_USE
    })?;
    Some(&waits.last_transition_time)
}

/// Returns the run that has waited longest for the same workspace, if longer than `run`.
fn first_in_line(run: &Run, others: impl Iterator<Item = Run>, now: Timestamp) -> Option<String> {
    let claim = objects::workspace_name(run);
    let since = |run: &Run| waits_since(&run.status.conditions).map(str::to_owned);
    let queued = |other: &Run| {
        other.uid() != run.uid()
            && objects::workspace_name(other) == claim
            && !other.phase().finished()
            && !is_cancelled(other)
            && !other.spec.suspend
            && other.metadata.deletion_timestamp.is_none()
    };
    let own = (
        since(run).unwrap_or_else(|| plan::rfc3339(now)),
        run.uid().to_owned(),
    );
    others
        .filter(queued)
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

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::{
        resources::RunSpec,
        runs::{CodeDetails, RunKind},
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
    fn queue_is_first_come_first_served() {
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

        // Within the same second the uid decides, so that two runs never wait for each other.
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
