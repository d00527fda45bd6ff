//! Cleanup after a run's end and at its deletion, in a safe order.

use std::time::Duration;

use kube::ResourceExt;

use super::{
    Action, Plan, WORKSPACE_RECHECK,
    status::{Draft, seconds_since},
    stop_job,
};
use crate::controller::{
    job_state,
    observed::{Observed, active_version},
};
use flightdeck_core::resources::Attempt;

/// Stops every Job that does not belong to an active attempt. An interrupted controller may have created it, and unrecorded
/// work would cost money for nothing.
pub(crate) fn stop_orphans(draft: &mut Draft) {
    for job in &draft.observed.jobs {
        let name = job.name_any();
        let active = |attempt: &Attempt| attempt.job_name == name && attempt.finished_at.is_none();
        let orphan = !job_state::is_final(job) && !draft.status.attempts.iter().any(active);
        if orphan && let Some(action) = stop_job(draft.observed, job) {
            draft.act(action);
        }
    }
}

/// Plans the cleanup of an ended run: Jobs expire, the workspace is released and the finalizer removed.
pub(crate) fn after(observed: &Observed) -> Plan {
    let run = &observed.run;
    let mut draft = Draft::new(observed, active_version(run));
    stop_orphans(&mut draft);
    for job in &observed.jobs {
        let without_ttl = job
            .spec
            .as_ref()
            .is_some_and(|spec| spec.ttl_seconds_after_finished.is_none());
        let deleting = job.metadata.deletion_timestamp.is_some();
        if without_ttl && job_state::is_final(job) && !deleting {
            draft.act(Action::ExpireJob {
                name: job.name_any(),
            });
        }
    }
    let idle = observed.jobs.iter().all(job_state::is_final);
    if idle && observed.live_pods().next().is_none() {
        release(observed, |action| draft.act(action));
        if observed.has_finalizer() {
            draft.act(Action::RemoveFinalizer);
        }
    }
    let ttl = run.spec.ttl_seconds_after_finished;
    let since = run.status.finished_at.as_deref();
    let since = since.and_then(|at| seconds_since(at, observed.now));
    if let (Some(ttl), Some(since)) = (ttl, since) {
        if since >= ttl {
            draft.act(Action::DeleteRun);
        } else {
            draft.requeue_after((ttl - since).unsigned_abs());
        }
    }
    draft.into_plan()
}

/// Plans the deletion of a run: delete the Jobs, wait for the pods, then remove the finalizer. Creates nothing.
pub(crate) fn deletion(observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    if !observed.has_finalizer() {
        return plan;
    }
    for job in &observed.jobs {
        if job.metadata.deletion_timestamp.is_none() {
            plan.actions.push(Action::DeleteJob {
                name: job.name_any(),
                uid: job.uid().unwrap_or_default(),
            });
        }
    }
    if observed.jobs.is_empty() && observed.live_pods().next().is_none() {
        release(observed, |action| plan.actions.push(action));
        plan.actions.push(Action::RemoveFinalizer);
    } else {
        plan.requeue = Some(WORKSPACE_RECHECK.max(Duration::from_secs(1)));
    }
    plan
}

/// Releases the workspace, only once no pod of the run is left: the volume enforces no exclusion.
fn release(observed: &Observed, mut act: impl FnMut(Action)) {
    if !observed.run.kind.shares_workspace() || !observed.holds_workspace() {
        return;
    }
    let Some(claim) = &observed.workspace else {
        return;
    };
    act(Action::ReleaseWorkspace {
        claim: claim.name_any(),
        resource_version: claim.metadata.resource_version.clone().unwrap_or_default(),
    });
}
