//! The status under construction: every message, condition and Event of a plan is set here.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::batch::v1::Job;

use super::{Action, Note, Plan, why};
use crate::controller::{
    archive::FinishedAttempt, job_state::one_line, objects, observed::Observed,
};
use flightdeck_core::{
    resources::{Attempt, Condition, ConditionStatus, Documents, RunStatus, set_condition},
    runs::{Phase, Stage, naming, reason},
};

/// All conditions of a run, in the order they become true.
pub const CONDITIONS: [&str; 8] = [
    "TasksVerified",
    "ConfigReady",
    "WorkspaceReady",
    "Prepared",
    "AgentFinished",
    "PullRequestReady",
    "Finished",
    "Ready",
];
/// Maximum number of attempts in a status.
const ATTEMPTS: usize = 20;

/// Formats a time for a status: whole seconds, UTC.
#[must_use]
pub(crate) fn rfc3339(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// Returns the condition of a stage.
pub(crate) const fn condition_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => "Prepared",
        Stage::Agent => "AgentFinished",
        Stage::Publish => "PullRequestReady",
    }
}

/// Returns the stage as a prefix of a reason.
pub(crate) const fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => "Prep",
        Stage::Agent => "Agent",
        Stage::Publish => "Publish",
    }
}

/// A plan under construction.
pub(crate) struct Draft<'a> {
    pub observed: &'a Observed,
    pub version: i32,
    pub status: RunStatus,
    plan: Plan,
}

impl<'a> Draft<'a> {
    /// Starts from the current status, or from a clean one if `version` is new.
    pub(super) fn new(observed: &'a Observed, version: i32) -> Self {
        let mut draft = Self {
            observed,
            version,
            status: observed.run.status.clone(),
            plan: Plan::default(),
        };
        if draft.status.observed_context_version != Some(version) {
            draft.start_version();
        }
        draft.status.observed_generation = observed.run.metadata.generation;
        draft
    }

    /// Resets the status for a new version. Keeps attempts, branch, session, usage and pull request, and fields unknown to this
    /// controller.
    fn start_version(&mut self) {
        let run = &self.observed.run;
        let old = std::mem::take(&mut self.status);
        self.status = RunStatus {
            phase: Some(Phase::Pending.as_str().to_owned()),
            observed_context_version: Some(self.version),
            config_map_name: Some(naming::config_map_name(run.name(), run.uid(), self.version)),
            workspace_name: Some(objects::workspace_name(run)),
            branch: Some(run.branch()),
            documents: run.kind.writes_documents().then(|| Documents {
                expected: i32::try_from(run.expected_documents().len()).unwrap_or(i32::MAX),
                // An attempt that starts over has none of the earlier documents.
                written: old
                    .documents
                    .filter(|_| run.spec.continue_session)
                    .map_or(0, |documents| documents.written),
                missing: Vec::new(),
            }),
            attempts: old.attempts,
            commit: old.commit,
            base_commit: old.base_commit,
            session_id: old.session_id,
            usage: old.usage,
            pull_request_url: old.pull_request_url,
            pull_request_number: old.pull_request_number,
            conditions: old.conditions,
            unknown_fields: old.unknown_fields,
            ..RunStatus::default()
        };
        for kind in CONDITIONS {
            self.set(kind, ConditionStatus::Unknown, "Pending", "");
        }
    }

    /// Returns the attempts of the active version.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let version = self.version;
        let all = self.status.attempts.iter();
        all.filter(move |attempt| attempt.context_version == version)
    }

    /// Returns the last attempt of the agent in the active version, if it failed or was stopped.
    pub(super) fn agent_failure(&self) -> Option<Attempt> {
        let last = self
            .attempts()
            .filter(|attempt| attempt.stage == Stage::Agent.as_str())
            .last();
        last.filter(|attempt| attempt.reason.is_some()).cloned()
    }

    /// Returns whether the published work is complete, although the agent may have failed.
    pub(super) fn published_all(&self) -> bool {
        let Some(failed) = self.agent_failure() else {
            return true;
        };
        let condition = self.condition(condition_of(Stage::Publish));
        failed.reason.as_deref() != Some(reason::CANCELLED)
            && condition.is_none_or(|condition| condition.reason != reason::PARTIAL)
    }

    /// Returns the current time for a status.
    pub(super) fn now(&self) -> String {
        rfc3339(self.observed.now)
    }

    pub(super) fn act(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    /// Archives the log of a finished attempt.
    pub(super) fn archive(&mut self, finished: FinishedAttempt) {
        self.plan.archives.push(finished);
    }

    /// Creates the Job after the status is written.
    pub(super) fn create(&mut self, job: Job) {
        self.plan.job = Some(Box::new(job));
    }

    pub(super) fn ensure_finalizer(&mut self) {
        if !self.observed.has_finalizer() {
            self.act(Action::AddFinalizer);
        }
    }

    /// Reconciles again after a delay.
    pub(super) fn requeue_after(&mut self, seconds: u64) {
        self.plan.requeue = Some(Duration::from_secs(seconds));
    }

    pub(super) fn note(&mut self, reason: &str, message: &str) {
        self.push_note(false, reason, message);
    }

    pub(super) fn warn(&mut self, reason: &str, message: &str) {
        self.push_note(true, reason, message);
    }

    fn push_note(&mut self, warning: bool, reason: &str, message: &str) {
        self.plan.notes.push(Note {
            warning,
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }

    pub(super) fn set(&mut self, kind: &str, status: ConditionStatus, reason: &str, message: &str) {
        let condition = Condition {
            r#type: kind.to_owned(),
            status,
            reason: reason.to_owned(),
            message: one_line(message),
            last_transition_time: self.now(),
            observed_generation: self.observed.run.metadata.generation,
        };
        set_condition(&mut self.status.conditions, condition);
    }

    /// Sets the current attempt of the status.
    pub(super) fn set_current(&mut self, attempt: &Attempt) {
        self.status.stage = Some(attempt.stage.clone());
        self.status.job_name = Some(attempt.job_name.clone());
    }

    /// Sets phase, reason and message of a run that has not ended.
    pub(super) fn set_phase(&mut self, phase: &Phase, reason: Option<&str>, message: &str) {
        self.status.phase = Some(phase.as_str().to_owned());
        self.status.reason = reason.map(str::to_owned);
        self.status.message = Some(one_line(message)).filter(|message| !message.is_empty());
        let word = reason.unwrap_or(phase.as_str()).to_owned();
        self.set("Ready", ConditionStatus::False, &word, message);
        self.set("Finished", ConditionStatus::False, phase.as_str(), "");
    }

    /// Ends the run, or this version of it.
    pub(super) fn finish(&mut self, phase: &Phase, reason: &str, message: &str) {
        let succeeded = *phase == Phase::Succeeded;
        self.set_phase(phase, Some(reason), message);
        self.status.finished_at = Some(self.now());
        self.status.work_completed = Some(succeeded);
        self.set("Finished", ConditionStatus::True, phase.as_str(), message);
        self.set("Ready", succeeded.into(), reason, message);
        self.push_note(*phase == Phase::Failed, reason, message);
        // Cleanup requires that the end is recorded, so it is a separate plan.
        self.requeue_after(0);
    }

    /// Ends a run whose stages all succeeded.
    pub(super) fn succeed(&mut self) {
        let branch = self.status.branch.clone().unwrap_or_default();
        let notes = self.observed_publish_message();
        let early = self.agent_failure().and_then(|failed| failed.reason);
        let early = early.map_or_else(String::new, |why| {
            format!("; the agent ended early ({why}), but its work is complete")
        });
        let message = match (&self.status.pull_request_url, notes) {
            (Some(url), Some(notes)) if notes != *url => format!("published as {url}; {notes}"),
            (Some(url), _) => format!("published as {url}"),
            (None, Some(notes)) => notes,
            (None, None) => format!("pushed to {branch}"),
        };
        self.finish(
            &Phase::Succeeded,
            why::SUCCEEDED,
            &format!("{message}{early}"),
        );
    }

    /// Returns the message of publish: notes about the pull request, or why there is none.
    fn observed_publish_message(&self) -> Option<String> {
        let condition = self.condition(condition_of(Stage::Publish))?;
        Some(condition.message.clone()).filter(|message| !message.is_empty())
    }

    /// Returns the failure message of a stage, from its condition.
    pub(super) fn failure_message(&self, stage: Stage) -> String {
        let condition = self.condition(condition_of(stage));
        let message = condition.map(|condition| condition.message.clone());
        message.unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status
            .conditions
            .iter()
            .find(|condition| condition.r#type == kind)
    }

    /// Returns the plan, with the status only if it changed.
    pub(super) fn into_plan(mut self) -> Plan {
        let excess = self.status.attempts.len().saturating_sub(ATTEMPTS);
        let old = self.status.attempts.drain(..excess);
        self.plan
            .expired_archives
            .extend(old.map(|attempt| attempt.job_name));
        if self.status != self.observed.run.status {
            self.plan.status = Some(self.status);
        }
        self.plan
    }
}

/// Returns the seconds from `then` to `now`; `None` if `then` is not a time.
pub(crate) fn seconds_since(then: &str, now: Timestamp) -> Option<i64> {
    let then: Timestamp = then.parse().ok()?;
    let span = now.since((Unit::Second, then)).ok()?;
    span.total(Unit::Second).ok().map(|seconds| seconds as i64)
}
