//! What a Job and its pod say, in one word: starting, waiting for something, running, or ended and how.
//!
//! Pure. Everything read here was written by a kubelet, a scheduler or a stage; the agent's stage is believed least.

mod ending;
#[cfg(test)]
mod tests;
mod waiting;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Event, Pod},
};

use flightdeck_core::{
    runs::{Stage, StageReport, reason},
    text,
};

/// The pod is gone, and nothing says how it ended.
pub const POD_LOST: &str = "PodLost";
/// A node had no room left for the pod, and ended it.
pub const EVICTED: &str = "Evicted";
/// A container was killed for its memory.
pub const OUT_OF_MEMORY: &str = "OutOfMemory";
/// Longest message taken from outside, in characters.
const MESSAGE_LIMIT: usize = 1000;

/// Where one attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// On its way, nothing wrong yet.
    Starting,
    /// It cannot go on; a person may have to do something.
    Waiting { reason: String, message: String },
    /// A container runs.
    Running,
    /// Final: its pod has stopped.
    Ended(Box<Ending>),
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ending {
    /// Reason and sentence; `None` when it succeeded.
    pub failure: Option<(String, String)>,
    pub exit_code: Option<i32>,
    /// What the stage said of itself, put together from its containers.
    pub report: StageReport,
}

/// Reads the Job, the newest of its pods, and the events about either.
#[must_use]
pub fn judge(stage: Stage, job: &Job, pod: Option<&Pod>, events: &[Event]) -> JobState {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    };
    // FailureTarget and SuccessCriteriaMet come first, while pods still stop: only these two are final.
    if status.terminating.unwrap_or(0) == 0 {
        if condition("Complete").is_some() {
            return JobState::Ended(Box::new(ending::succeeded(pod)));
        }
        if let Some(failed) = condition("Failed") {
            let by_deadline = failed.reason.as_deref() == Some(reason::DEADLINE_EXCEEDED);
            return JobState::Ended(Box::new(ending::failure(stage, pod, by_deadline)));
        }
    }
    let Some(pod) = pod else {
        return waiting::without_a_pod(events).unwrap_or(JobState::Starting);
    };
    if let Some(waiting) = waiting::of(pod, events) {
        return waiting;
    }
    let runs = statuses(pod)
        .filter_map(|status| status.state.as_ref())
        .any(|container| container.running.is_some() || container.terminated.is_some());
    if runs {
        JobState::Running
    } else {
        JobState::Starting
    }
}

/// Whether the Job has ended and all its pods have stopped.
#[must_use]
pub fn is_final(job: &Job) -> bool {
    matches!(judge(Stage::Prep, job, None, &[]), JobState::Ended(_))
}

/// When the Job ended for good, in seconds since 1970; `None` while it has not, or does not say.
#[must_use]
pub fn ended_at(job: &Job) -> Option<i64> {
    let conditions = job.status.as_ref()?.conditions.as_deref()?;
    let last = conditions.iter().find(|condition| {
        condition.status == "True" && matches!(&*condition.type_, "Complete" | "Failed")
    })?;
    is_final(job).then_some(last.last_transition_time.as_ref()?.0.as_second())
}

/// Whether the pod has stopped for good.
#[must_use]
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether a node has taken the pod: only then does its own deadline count, and only then is there a log to keep.
#[must_use]
pub fn has_started(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| status.start_time.is_some())
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

/// Text from outside as one bounded line: conditions refuse line breaks, and screens refuse control sequences.
#[must_use]
pub fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let line = words.join(" ");
    let line = text::sanitize(&line);
    if line.chars().count() <= MESSAGE_LIMIT {
        return line.into_owned();
    }
    line.chars().take(MESSAGE_LIMIT - 1).chain(['…']).collect()
}
