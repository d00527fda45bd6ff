//! Decides what to do about a run: [`Observed`] in, [`Plan`] out. Pure and total.
//!
//! The state of a run is its list of attempts. Each reconciliation updates the list from the Jobs, and only the list decides
//! what comes next; so a controller that stopped between any two writes continues where it was.

mod ending;
mod gates;
mod record;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::ResourceExt;

use super::{
    archive::FinishedAttempt,
    job_state::{self, JobState},
    jobs,
    observed::{Observed, active_version, is_cancelled},
};
use flightdeck_core::{
    backoff::Backoff,
    resources::{Attempt, RunStatus},
    runs::{Phase, Run, Stage, naming, reason},
};
pub use status::CONDITIONS;
use status::Draft;
pub(crate) use status::rfc3339;

/// Reasons set by the controller, in addition to those of [`reason`] and [`job_state`].
pub(crate) mod why {
    pub(crate) const IN_USE: &str = "InUse";
    pub(crate) const FOREIGN: &str = "Foreign";
    pub(crate) const TERMINATING: &str = "Terminating";
    pub(crate) const SUSPENDED: &str = "Suspended";
    pub(crate) const STOPPING: &str = "Stopping";
    pub(crate) const SUCCEEDED: &str = "Succeeded";
    pub(crate) const BACK_OFF: &str = "BackOff";
    pub(crate) const JOB_LOST: &str = "JobLost";
    pub(crate) const WORKSPACE_LOST: &str = "WorkspaceLost";
    pub(crate) const INVALID: &str = "Invalid";
    pub(crate) const CONFIG_INVALID: &str = "ConfigInvalid";
    pub(crate) const ENVIRONMENT_REFUSED: &str = "EnvironmentRefused";
    pub(crate) const HOST_REFUSED: &str = "HostRefused";
}

/// Requeue interval of a run that waits for a workspace, in case a change was missed.
const WORKSPACE_RECHECK: Duration = Duration::from_secs(30);
/// Backoff before a failed stage is retried.
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(640));
/// Automatic retries of prep and publish after a lost pod; they cost no money.
const FREE_RETRIES: i32 = 2;

/// Retries of a stage whose Job was deleted before its result was read.
const LOST_RETRIES: i32 = 3;

/// A write. `apply` carries them out in order and stops at the first failure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    AddFinalizer,
    RemoveFinalizer,
    CreateConfigMap(Box<ConfigMap>),
    CreateWorkspace(Box<PersistentVolumeClaim>),
    /// Make this run the holder of the shared claim, if the claim still has this resource version.
    HoldWorkspace {
        claim: String,
        resource_version: String,
    },
    /// Remove this run as the holder.
    ReleaseWorkspace {
        claim: String,
        resource_version: String,
    },
    /// Delete a Job and its pods.
    DeleteJob {
        name: String,
        uid: String,
    },
    /// Stop a pod but keep its log, by moving its deadline to now.
    StopPod {
        name: String,
        uid: String,
    },
    /// Let the cluster delete a finished Job after [`jobs::JOB_TTL`].
    ExpireJob {
        name: String,
    },
    /// Delete the run.
    DeleteRun,
}

/// An Event about the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// The writes of one reconciliation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub actions: Vec<Action>,
    /// Finished attempts whose logs are archived before any other write.
    pub archives: Vec<FinishedAttempt>,
    /// Jobs whose archived logs exceed the limit.
    pub expired_archives: Vec<String>,
    /// The complete new status; `None` if unchanged.
    pub status: Option<RunStatus>,
    /// The Job of the next stage. It is created only after the status that records it was written against the newest version of
    /// the run, so a stage never starts based on stale data.
    pub job: Option<Box<Job>>,
    /// Events, written after the status.
    pub notes: Vec<Note>,
    /// When to reconcile again without a change.
    pub requeue: Option<Duration>,
}

/// Decides what to do.
#[must_use]
pub(crate) fn plan(observed: &Observed) -> Plan {
    let run = &observed.run;
    if run.metadata.deletion_timestamp.is_some() {
        return ending::deletion(observed);
    }
    let seen = run.status.observed_context_version;
    let version = active_version(run);
    if run.phase().finished() && seen == Some(version) {
        return ending::after(observed);
    }
    let mut draft = Draft::new(observed, version);
    advance(&mut draft);
    draft.into_plan()
}

/// Returns the plan that reports a write the cluster rejected: a person must act, and would otherwise see a run that merely
/// waits. Empty for a run that has ended or is being deleted.
#[must_use]
pub(crate) fn refused(observed: &Observed, reason: &str, message: &str) -> Plan {
    let run = &observed.run;
    let version = active_version(run);
    let ended = run.phase().finished() && run.status.observed_context_version == Some(version);
    if ended || run.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut draft = Draft::new(observed, version);
    draft.set_phase(&Phase::Pending, Some(reason), message);
    if run.status.reason.as_deref() != Some(reason) {
        draft.warn(reason, message);
    }
    draft.into_plan()
}

/// Returns whether nothing is left to do for a run, judging only by the run: its result is recorded, and the finalizer, which
/// is removed last, is gone. Spares a restarted controller from reading the objects of thousands of ended runs.
#[must_use]
pub(crate) fn is_settled(run: &Run) -> bool {
    is_released(run)
        && run.status.observed_generation == run.metadata.generation
        && run.spec.ttl_seconds_after_finished.is_none()
}

/// Returns whether the run has ended and released everything: the finalizer, which is removed last, is gone.
#[must_use]
pub(crate) fn is_released(run: &Run) -> bool {
    let finalizers = run.metadata.finalizers.as_deref().unwrap_or_default();
    run.phase().finished()
        && run.status.observed_context_version == Some(active_version(run))
        && !finalizers.iter().any(|name| name == naming::FINALIZER)
}

/// Minimum and maximum seconds between checks of a pod that is not running, because the cause may only be in Events. The
/// interval grows with the time it has waited.
const EVENT_RECHECK: (i64, i64) = (10, 300);

/// Updates the attempts, then takes the next step.
fn advance(draft: &mut Draft) {
    record::find_attempts(draft);
    let active = record::close_ended_attempts(draft);
    ending::stop_orphans(draft);
    let cancelled = is_cancelled(&draft.observed.run);
    if let Some((attempt, state)) = active {
        // Saving what the stopped agent had finished is part of stopping.
        if cancelled && !(is_publish(&attempt) && draft.agent_failure().is_some()) {
            stop(draft, &attempt);
        } else {
            follow(draft, &attempt, &state);
        }
        return;
    }
    let Some(last) = draft.attempts().last().cloned() else {
        if cancelled {
            draft.finish(&Phase::Cancelled, reason::CANCELLED, "stopped on request");
        } else {
            let stage = record::first_stage(draft);
            start(draft, stage);
        }
        return;
    };
    if is_publish(&last) && last.reason.is_none() {
        if draft.published_all() {
            draft.succeed();
        } else {
            finish_without_success(draft, &last);
        }
    } else if cancelled {
        save_or_finish(draft, &last);
    } else if last.reason.is_some() {
        repeat_or_fail(draft, &last);
    } else {
        let next = Stage::parse(&last.stage).and_then(Stage::next);
        start(draft, next.unwrap_or(Stage::Prep));
    }
}

fn is_publish(attempt: &Attempt) -> bool {
    attempt.stage == Stage::Publish.as_str()
}

/// Publishes what a failed or stopped agent had finished, or ends the run.
fn save_or_finish(draft: &mut Draft, failed: &Attempt) {
    let observed = draft.observed;
    let worked = failed.stage == Stage::Agent.as_str()
        && failed.reason.is_some()
        && failed.pod_name.is_some();
    let workspace = observed.workspace.as_ref();
    let kept = workspace.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none());
    if !worked || !kept {
        finish_without_success(draft, failed);
    } else if observed.live_pods().next().is_some() {
        draft.set_phase(
            &Phase::Running,
            Some(why::STOPPING),
            "waiting for the agent to stop, to publish what it finished",
        );
        draft.requeue_after(WORKSPACE_RECHECK.as_secs());
    } else {
        start(draft, Stage::Publish);
    }
}

/// Ends a run after its last attempt. If the agent failed or was stopped, that is why, whatever publish reports; the message
/// also says what was published.
fn finish_without_success(draft: &mut Draft, last: &Attempt) {
    let cancelled = is_cancelled(&draft.observed.run);
    let failed = draft.agent_failure().unwrap_or_else(|| last.clone());
    let stage = Stage::parse(&failed.stage).unwrap_or(Stage::Prep);
    let mut message = if cancelled {
        "stopped on request".to_owned()
    } else {
        draft.failure_message(stage)
    };
    draft.set_current(&failed);
    if is_publish(last) && stage != Stage::Publish {
        message = format!("{message}; {}", draft.failure_message(Stage::Publish));
    }
    if cancelled {
        draft.finish(&Phase::Cancelled, reason::CANCELLED, &message);
    } else {
        let why = failed.reason.unwrap_or_default();
        draft.finish(&Phase::Failed, &why, &message);
    }
}

/// Updates the status from the state of the active attempt.
fn follow(draft: &mut Draft, attempt: &Attempt, state: &JobState) {
    draft.set_current(attempt);
    // Someone removed the finalizer while a stage is running.
    draft.ensure_finalizer();
    match state {
        JobState::Running => draft.set_phase(&Phase::Running, None, ""),
        JobState::Waiting { reason, message } => {
            let new = draft.observed.run.status.reason.as_deref() != Some(reason);
            draft.set_phase(&Phase::Pending, Some(reason), message);
            if new {
                draft.warn(reason, message);
            }
            requeue_for_events(draft, attempt);
        }
        JobState::Starting | JobState::Ended(_) => {
            draft.set_phase(&Phase::Pending, None, &starting(&attempt.stage));
            requeue_for_events(draft, attempt);
        }
    }
}

/// Set when the stage is recorded, so that creating its Job requires no second status write.
fn starting(stage: &str) -> String {
    format!("waiting for the pod of the {stage} stage")
}

fn requeue_for_events(draft: &mut Draft, attempt: &Attempt) {
    let (min, max) = EVENT_RECHECK;
    let job = draft.observed.job(&attempt.job_name);
    let created = job.and_then(ResourceExt::creation_timestamp);
    let waited = created.map(|created| draft.observed.now.as_second() - created.0.as_second());
    draft.requeue_after(waited.unwrap_or(min).clamp(min, max).unsigned_abs());
}

/// Stops the active attempt. A pod that has started keeps its log.
fn stop(draft: &mut Draft, attempt: &Attempt) {
    draft.set_current(attempt);
    let phase = draft.observed.run.phase();
    let phase = if phase == Phase::Running {
        phase
    } else {
        Phase::Pending
    };
    draft.set_phase(&phase, Some(why::STOPPING), "stopping on request");
    let job = draft.observed.job(&attempt.job_name);
    if let Some(action) = job.and_then(|job| stop_job(draft.observed, job)) {
        draft.act(action);
    }
}

/// Returns the write that stops a Job, or `None` if it was already done. A pod that has started is stopped by its deadline,
/// which keeps the log.
fn stop_job(observed: &Observed, job: &Job) -> Option<Action> {
    match observed.pod(job) {
        Some(pod) if job_state::has_started(pod) => {
            let spec = pod.spec.as_ref();
            let stopping = spec.and_then(|spec| spec.active_deadline_seconds) == Some(1);
            (!stopping && !job_state::is_terminated(pod)).then(|| Action::StopPod {
                name: pod.name_any(),
                uid: pod.uid().unwrap_or_default(),
            })
        }
        _ if job.metadata.deletion_timestamp.is_some() => None,
        _ => Some(Action::DeleteJob {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
        }),
    }
}

/// Retries a failed stage with backoff if allowed, else fails the run.
fn repeat_or_fail(draft: &mut Draft, failed: &Attempt) {
    let why = failed.reason.clone().unwrap_or_default();
    let stage = Stage::parse(&failed.stage).unwrap_or(Stage::Prep);
    let lost = why == why::JOB_LOST;
    let similar = draft
        .attempts()
        .filter(|attempt| attempt.stage == failed.stage)
        // Every attempt of the agent costs money, whatever ended it.
        .filter(|attempt| {
            stage == Stage::Agent || (attempt.reason.as_deref() == Some(why::JOB_LOST)) == lost
        })
        .count();
    let times = i32::try_from(similar).unwrap_or(i32::MAX);
    let earlier = u32::try_from(similar.saturating_sub(1)).unwrap_or(u32::MAX);
    if times > retries(stage, &why, draft.observed.run.spec.retries) {
        save_or_finish(draft, failed);
        return;
    }
    // A Job deleted by hand did not fail: retry at once, but back off if that repeats.
    let delay = match (lost, times) {
        (true, ..=1) => 0,
        _ => RETRY_BACKOFF.delay(earlier).as_secs().cast_signed(),
    };
    let ended = failed
        .finished_at
        .as_deref()
        .and_then(|at| status::seconds_since(at, draft.observed.now));
    // An end far in the future is from another clock: ignore it.
    let passed = ended.filter(|passed| *passed >= -delay).unwrap_or(delay);
    if passed < delay {
        let message = format!("the {stage} stage ended with {why}; retrying shortly");
        draft.set_phase(&Phase::Pending, Some(why::BACK_OFF), &message);
        draft.requeue_after((delay - passed).unsigned_abs());
    } else {
        start(draft, stage);
    }
}

/// Returns how often a stage that ended for `why` is retried automatically.
fn retries(stage: Stage, why: &str, requested: i32) -> i32 {
    match (stage, why) {
        (Stage::Agent, reason::BUDGET_EXCEEDED) => 0,
        // Also after a deletion by hand: a new attempt is paid again.
        (Stage::Agent, _) => requested,
        // A Job deleted by hand says nothing about the work.
        (_, why::JOB_LOST) => LOST_RETRIES,
        (Stage::Prep | Stage::Publish, job_state::POD_LOST | job_state::EVICTED) => FREE_RETRIES,
        (Stage::Prep | Stage::Publish, _) => 0,
    }
}

/// Starts a stage if its requirements are met.
fn start(draft: &mut Draft, stage: Stage) {
    draft.status.stage = Some(stage.to_string());
    let agent_failure = draft
        .agent_failure()
        .and_then(|failed| failed.reason)
        .filter(|_| stage == Stage::Publish);
    // Work that is paid for is saved even while the run is suspended.
    if draft.observed.run.spec.suspend && agent_failure.is_none() {
        draft.set_phase(
            &Phase::Pending,
            Some(why::SUSPENDED),
            "suspended; set suspend to false to continue",
        );
        return;
    }
    if !gates::configuration(draft) || !gates::workspace(draft, stage) {
        return;
    }
    let observed = draft.observed;
    let run = &observed.run;
    let before = draft
        .attempts()
        .filter(|attempt| attempt.stage == stage.as_str())
        .map(|attempt| attempt.attempt);
    let number = before.max().unwrap_or(0).saturating_add(1);
    let place = jobs::Place {
        stage,
        version: draft.version,
        attempt: number,
        agent_failure: agent_failure.as_deref(),
    };
    let job = jobs::job(run, place, &observed.settings);
    draft.ensure_finalizer();
    let attempt = Attempt {
        stage: stage.to_string(),
        context_version: draft.version,
        attempt: number,
        job_name: naming::job_name(run.name(), run.uid(), stage, draft.version, number),
        ..Attempt::default()
    };
    draft.create(job);
    draft.set_current(&attempt);
    let recorded = run.status.attempts.contains(&attempt);
    draft.status.attempts.push(attempt);
    if recorded {
        // Keep the message of the recorded attempt, which may be an error of the cluster.
        return;
    }
    draft.status.started_at.get_or_insert(rfc3339(observed.now));
    draft.set_phase(&Phase::Pending, None, &starting(stage.as_str()));
    // One reason per stage: Events with the same reason are aggregated.
    let reason = format!("{}Started", status::title(stage));
    draft.note(&reason, &format!("{stage} started"));
}
