//! After a run's end, and at its deletion: what it held is given back, in an order that loses nothing.

use std::time::Duration;

use kube::ResourceExt;

use super::{
    Action, LOOK_AGAIN, Plan, end_job,
    status::{Draft, seconds_since},
};
use crate::controller::{
    judge,
    observed::{Observed, active_version},
};
use flightdeck_core::resources::Attempt;

/// Ends every Job that is none of an attempt under way: a controller that was cut off may have made it after all, and what runs
/// unrecorded is paid for nothing.
pub fn end_strays(draft: &mut Draft) {
    for job in &draft.observed.jobs {
        let name = job.name_any();
        let under_way =
            |attempt: &Attempt| attempt.job_name == name && attempt.finished_at.is_none();
        let stray = !judge::is_final(job) && !draft.status.attempts.iter().any(under_way);
        if stray && let Some(action) = end_job(draft.observed, job) {
            draft.act(action);
        }
    }
}

/// The end is recorded: Jobs may expire, the workspace and the finalizer are given back.
pub fn after(observed: &Observed) -> Plan {
    let run = &observed.run;
    let mut draft = Draft::new(observed, active_version(run));
    end_strays(&mut draft);
    for job in &observed.jobs {
        let kept = job
            .spec
            .as_ref()
            .is_some_and(|spec| spec.ttl_seconds_after_finished.is_none());
        let leaving = job.metadata.deletion_timestamp.is_some();
        if kept && judge::is_final(job) && !leaving {
            draft.act(Action::ExpireJob {
                name: job.name_any(),
            });
        }
    }
    let quiet = observed.jobs.iter().all(judge::is_final);
    if quiet && observed.live_pods().next().is_none() {
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
            draft.wake((ttl - since).unsigned_abs());
        }
    }
    draft.into_plan()
}

/// The run is being deleted: its Jobs go first, its pods stop, and only then is it let go. Nothing is made any more.
pub fn deletion(observed: &Observed) -> Plan {
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
        plan.wake = Some(LOOK_AGAIN.max(Duration::from_secs(1)));
    }
    plan
}

/// Gives a shared workspace back. Only when no pod of the run is left: the volume itself keeps nobody out.
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
