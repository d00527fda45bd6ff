//! The state of a Job: starting, waiting, running, or ended and how. Pure.
//!
//! The input is untrusted: it was written by kubelets, schedulers and stages. The agent stage is trusted least.

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

/// The pod is gone without a known result.
pub(crate) const POD_LOST: &str = "PodLost";
/// The pod was evicted because its node ran out of a resource.
pub(crate) const EVICTED: &str = "Evicted";
/// A container exceeded its memory limit.
pub(crate) const OUT_OF_MEMORY: &str = "OutOfMemory";
/// Maximum length of a message from outside, in characters.
const MESSAGE_LIMIT: usize = 1000;

/// The state of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobState {
    /// Not running yet, without a problem.
    Starting,
    /// Blocked; a person may have to do something.
    Waiting { reason: String, message: String },
    /// A container is running.
    Running,
    /// Final: its pod has stopped.
    Ended(Box<Ending>),
}

/// The result of an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ending {
    /// Reason and message; `None` on success.
    pub failure: Option<(String, String)>,
    pub exit_code: Option<i32>,
    /// The report of the stage, merged from its containers.
    pub report: StageReport,
}

/// Evaluates a Job with its newest pod and the Events about both.
#[must_use]
pub(crate) fn evaluate(stage: Stage, job: &Job, pod: Option<&Pod>, events: &[Event]) -> JobState {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    };
    // FailureTarget and SuccessCriteriaMet are set earlier, while pods are still stopping; only these two are final.
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
    if let Some(waiting) = waiting::blocked(pod, events) {
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

/// Returns whether the Job has ended and all its pods have stopped.
#[must_use]
pub(crate) fn is_final(job: &Job) -> bool {
    matches!(evaluate(Stage::Prep, job, None, &[]), JobState::Ended(_))
}

/// Returns when the Job ended, in Unix seconds; `None` if it has not, or has no time.
#[must_use]
pub(crate) fn ended_at(job: &Job) -> Option<i64> {
    let conditions = job.status.as_ref()?.conditions.as_deref()?;
    let last = conditions.iter().find(|condition| {
        condition.status == "True" && matches!(&*condition.type_, "Complete" | "Failed")
    })?;
    is_final(job).then_some(last.last_transition_time.as_ref()?.0.as_second())
}

/// Returns whether the pod has stopped for good.
#[must_use]
pub(crate) fn is_terminated(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns whether a node has accepted the pod: only then its own deadline counts, and there is a log to keep.
#[must_use]
pub(crate) fn has_started(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| status.start_time.is_some())
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_ref());
    let main = status.and_then(|status| status.container_statuses.as_ref());
    init.into_iter().chain(main).flatten()
}

/// Collapses text from outside to one bounded line without control characters, as conditions and terminals require.
#[must_use]
pub(crate) fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    let line = words.join(" ");
    let line = text::sanitize(&line);
    if line.chars().count() <= MESSAGE_LIMIT {
        return line.into_owned();
    }
    line.chars().take(MESSAGE_LIMIT - 1).chain(['…']).collect()
}
