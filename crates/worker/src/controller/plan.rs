//! What to do about a run, decided in one place: [`Observed`] in, [`Plan`] out. Pure and total.
//!
//! A run's story is its list of attempts. Each reconciliation brings that list up to date from the Jobs, and the list alone
//! says what comes next; so a controller that stopped between any two writes goes on where it was.

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
    jobs,
    judge::{self, JobState},
    keep::End,
    observed::{Observed, active_version, is_cancelled},
};
use flightdeck_core::{
    resources::{Attempt, RunStatus},
    runs::{Phase, Run, Stage, naming, reason},
};
use status::Draft;
pub use status::{CONDITIONS, rfc3339};

/// Reasons of the controller's own, beside those of [`reason`] and [`judge`].
pub mod why {
    pub const IN_USE: &str = "InUse";
    pub const FOREIGN: &str = "Foreign";
    pub const TERMINATING: &str = "Terminating";
    pub const SUSPENDED: &str = "Suspended";
    pub const STOPPING: &str = "Stopping";
    pub const CANCELLED: &str = "Cancelled";
    pub const SUCCEEDED: &str = "Succeeded";
    pub const BACK_OFF: &str = "BackOff";
    pub const JOB_LOST: &str = "JobLost";
    pub const WORKSPACE_LOST: &str = "WorkspaceLost";
    pub const INVALID: &str = "Invalid";
    pub const CONFIG_INVALID: &str = "ConfigInvalid";
    pub const ENVIRONMENT_REFUSED: &str = "EnvironmentRefused";
    pub const HOST_REFUSED: &str = "HostRefused";
}

/// Seconds after which a run that waits for a workspace looks again by itself, should a change have been missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Seconds before the first repeat of a stage; doubled each time.
const BACK_OFF: i64 = 10;
/// Times prep and publish are repeated by themselves when their pod was lost; they cost no money.
const FREE_RETRIES: i32 = 2;

/// Times a stage is begun again whose Job was deleted before its end was seen.
const LOST_RETRIES: i32 = 3;

/// One write, in terms of what it is for. `apply` carries them out in order and stops at the first that fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    AddFinalizer,
    RemoveFinalizer,
    CreateConfigMap(Box<ConfigMap>),
    CreateWorkspace(Box<PersistentVolumeClaim>),
    /// Write this run into the shared claim as its holder, if the claim is still the one of that resource version.
    HoldWorkspace {
        claim: String,
        resource_version: String,
    },
    /// The reverse.
    ReleaseWorkspace {
        claim: String,
        resource_version: String,
    },
    /// Delete a Job with its pods.
    DeleteJob {
        name: String,
        uid: String,
    },
    /// End a pod and keep its log: its own deadline is moved to now.
    StopPod {
        name: String,
        uid: String,
    },
    /// Let the cluster remove a finished Job after [`jobs::JOB_TTL`].
    ExpireJob {
        name: String,
    },
    /// Delete the run itself.
    DeleteRun,
}

/// Something a person should find among the run's Events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub warning: bool,
    pub reason: String,
    pub message: String,
}

/// What is to be done now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Stages that have ended, whose logs are to be kept before anything is written of it.
    pub ends: Vec<End>,
    /// Jobs whose kept logs are one too many.
    pub forgotten: Vec<String>,
    /// The whole status as it should be; `None` when it is so already.
    pub status: Option<RunStatus>,
    /// The next stage. It is made only once the status that names it stands in the newest version of the run: whatever was
    /// read, a stage is never begun on old facts.
    pub job: Option<Box<Job>>,
    /// Said once the status is written.
    pub notes: Vec<Note>,
    /// When to look again although nothing changes.
    pub wake: Option<Duration>,
}

/// Decides.
#[must_use]
pub fn plan(observed: &Observed) -> Plan {
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

/// What the status says when the cluster refused a write: a person has to do something, and would otherwise see a run that
/// merely waits. A run that has ended or is being deleted has nothing to add.
#[must_use]
pub fn refused(observed: &Observed, reason: &str, message: &str) -> Plan {
    let run = &observed.run;
    let version = active_version(run);
    let ended = run.phase().finished() && run.status.observed_context_version == Some(version);
    if ended || run.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let mut draft = Draft::new(observed, version);
    draft.say(&Phase::Pending, Some(reason), message);
    if run.status.reason.as_deref() != Some(reason) {
        draft.warn(reason, message);
    }
    draft.into_plan()
}

/// Whether there is nothing to do for a run, going by the run alone: its end is recorded, and the finalizer, which is given
/// back last of all, is gone. A controller that starts among thousands of ended runs reads nothing more about them.
#[must_use]
pub fn at_rest(run: &Run) -> bool {
    has_left(run)
        && run.status.observed_generation == run.metadata.generation
        && run.spec.ttl_seconds_after_finished.is_none()
}

/// Whether the run has ended and gives nothing back any more: the finalizer, which goes last of all, is gone.
#[must_use]
pub fn has_left(run: &Run) -> bool {
    let finalizers = run.metadata.finalizers.as_deref().unwrap_or_default();
    run.phase().finished()
        && run.status.observed_context_version == Some(active_version(run))
        && !finalizers.iter().any(|name| name == naming::FINALIZER)
}

/// Seconds after which a pod that does not run is looked at again, at first and at most: what keeps it may be told by Events
/// alone. The longer it waits, the longer the pause.
const LOOK_FOR_EVENTS: (i64, i64) = (10, 300);

/// Brings the attempts up to date, then does the next thing.
fn advance(draft: &mut Draft) {
    record::find_attempts(draft);
    let under_way = record::close_ended_attempts(draft);
    ending::end_strays(draft);
    let cancelled = is_cancelled(&draft.observed.run);
    if let Some((attempt, state)) = under_way {
        if cancelled {
            stop(draft, &attempt);
        } else {
            follow(draft, &attempt, &state);
        }
        return;
    }
    let last = draft.attempts().last().cloned();
    let done = last.as_ref().filter(|last| last.reason.is_none());
    let published = done.is_some_and(|last| Stage::parse(&last.stage) == Some(Stage::Publish));
    if published {
        draft.succeed();
    } else if cancelled {
        draft.end(&Phase::Cancelled, why::CANCELLED, "stopped, as asked");
    } else if let Some(failed) = last.as_ref().filter(|last| last.reason.is_some()) {
        repeat_or_fail(draft, failed);
    } else {
        let next = done.and_then(|last| Stage::parse(&last.stage)?.next());
        let stage = next.unwrap_or_else(|| record::first_stage(draft));
        start(draft, stage);
    }
}

/// Says of an attempt under way what its Job and pod say.
fn follow(draft: &mut Draft, attempt: &Attempt, state: &JobState) {
    draft.at(attempt);
    // Whoever took the finalizer away may not have known what runs here.
    draft.ensure_finalizer();
    match state {
        JobState::Running => draft.say(&Phase::Running, None, ""),
        JobState::Waiting { reason, message } => {
            let new = draft.observed.run.status.reason.as_deref() != Some(reason);
            draft.say(&Phase::Pending, Some(reason), message);
            if new {
                draft.warn(reason, message);
            }
            look_again(draft, attempt);
        }
        JobState::Starting | JobState::Ended(_) => {
            draft.say(&Phase::Pending, None, &starting(&attempt.stage));
            look_again(draft, attempt);
        }
    }
}

/// Said from the moment a stage is recorded, so that no write is needed once its Job is there.
fn starting(stage: &str) -> String {
    format!("waiting for the pod of the {stage} stage to start")
}

fn look_again(draft: &mut Draft, attempt: &Attempt) {
    let (least, most) = LOOK_FOR_EVENTS;
    let job = draft.observed.job(&attempt.job_name);
    let made = job.and_then(ResourceExt::creation_timestamp);
    let waited = made.map(|made| draft.observed.now.as_second() - made.0.as_second());
    draft.wake(waited.unwrap_or(least).clamp(least, most).unsigned_abs());
}

/// Ends the attempt under way. A pod that has begun keeps its log; one that never did has none.
fn stop(draft: &mut Draft, attempt: &Attempt) {
    draft.at(attempt);
    let phase = draft.observed.run.phase();
    let phase = if phase == Phase::Running {
        phase
    } else {
        Phase::Pending
    };
    draft.say(&phase, Some(why::STOPPING), "stopping, as asked");
    let job = draft.observed.job(&attempt.job_name);
    if let Some(action) = job.and_then(|job| end_job(draft.observed, job)) {
        draft.act(action);
    }
}

/// What ends a Job: a pod that has begun is ended by its own deadline, which keeps the log. `None` when that was done.
fn end_job(observed: &Observed, job: &Job) -> Option<Action> {
    match observed.pod(job) {
        Some(pod) if judge::has_started(pod) => {
            let spec = pod.spec.as_ref();
            let told = spec.and_then(|spec| spec.active_deadline_seconds) == Some(1);
            (!told && !judge::is_over(pod)).then(|| Action::StopPod {
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

/// A stage failed: once more after a while, if that may help and was asked for; else the run has failed.
fn repeat_or_fail(draft: &mut Draft, failed: &Attempt) {
    let why = failed.reason.clone().unwrap_or_default();
    let stage = Stage::parse(&failed.stage).unwrap_or(Stage::Prep);
    let lost = why == why::JOB_LOST;
    let alike = draft
        .attempts()
        .filter(|attempt| attempt.stage == failed.stage)
        .filter(|attempt| (attempt.reason.as_deref() == Some(why::JOB_LOST)) == lost)
        .count();
    let times = i32::try_from(alike).unwrap_or(i32::MAX);
    if times > retries(stage, &why, draft.observed.run.spec.retries) {
        let message = draft.failure_message(stage);
        draft.end(&Phase::Failed, &why, &message);
        return;
    }
    // A Job that somebody deleted did not fail: nothing is gained by waiting, unless something deletes them all.
    let pause = match (lost, times) {
        (true, ..=1) => 0,
        _ => BACK_OFF << (times - 1).clamp(0, 6),
    };
    let ended = failed
        .finished_at
        .as_deref()
        .and_then(|at| status::seconds_since(at, draft.observed.now));
    // An end that lies far ahead was written by another clock, and says nothing.
    let passed = ended.filter(|passed| *passed >= -pause).unwrap_or(pause);
    if passed < pause {
        let message = format!("the {stage} stage ended with {why}; it is tried again in a moment");
        draft.say(&Phase::Pending, Some(why::BACK_OFF), &message);
        draft.wake((pause - passed).unsigned_abs());
    } else {
        start(draft, stage);
    }
}

/// How often a stage that ended for `why` is repeated without being asked again.
fn retries(stage: Stage, why: &str, asked: i32) -> i32 {
    match (stage, why) {
        // A Job deleted by hand says nothing about the work.
        (_, why::JOB_LOST) => LOST_RETRIES,
        (Stage::Agent, reason::BUDGET_EXCEEDED) => 0,
        (Stage::Agent, _) => asked,
        (Stage::Prep | Stage::Publish, judge::POD_LOST | judge::EVICTED) => FREE_RETRIES,
        (Stage::Prep | Stage::Publish, _) => 0,
    }
}

/// Makes the next Job, once nothing stands in its way.
fn start(draft: &mut Draft, stage: Stage) {
    draft.status.stage = Some(stage.to_string());
    if draft.observed.run.spec.suspend {
        draft.say(
            &Phase::Pending,
            Some(why::SUSPENDED),
            "suspended; it goes on when suspend is taken away",
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
    let job = jobs::job(run, stage, draft.version, number, &observed.settings);
    draft.ensure_finalizer();
    let attempt = Attempt {
        stage: stage.to_string(),
        context_version: draft.version,
        attempt: number,
        job_name: naming::job_name(run.name(), run.uid(), stage, draft.version, number),
        ..Attempt::default()
    };
    draft.make(job);
    draft.at(&attempt);
    let recorded = run.status.attempts.contains(&attempt);
    draft.status.attempts.push(attempt);
    if recorded {
        // What is said already, of a cluster that refuses it perhaps, still holds.
        return;
    }
    draft.status.started_at.get_or_insert(rfc3339(observed.now));
    draft.say(&Phase::Pending, None, &starting(stage.as_str()));
    // A reason for each stage: Events of one reason are counted as one.
    let reason = format!("{}Started", status::title(stage));
    draft.note(&reason, &format!("the {stage} stage has begun"));
}
