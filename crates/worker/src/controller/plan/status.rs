//! The status while it is being written: every sentence, condition and Event of a plan goes through here.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use k8s_openapi::api::batch::v1::Job;

use super::{Action, Note, Plan, why};
use crate::controller::{judge::one_line, keep::End, objects, observed::Observed};
use flightdeck_core::{
    resources::{Attempt, Condition, ConditionStatus, Documents, RunStatus, set_condition},
    runs::{Phase, Stage, naming},
};

/// Every condition of a run, in the order they become true.
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
/// Attempts that a status keeps.
const ATTEMPTS: usize = 20;

/// A time as a status writes it: whole seconds, UTC.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// The condition that tells of a stage.
pub const fn condition_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => "Prepared",
        Stage::Agent => "AgentFinished",
        Stage::Publish => "PullRequestReady",
    }
}

/// The stage as the first word of a reason.
pub const fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => "Prep",
        Stage::Agent => "Agent",
        Stage::Publish => "Publish",
    }
}

/// A plan in the making.
pub struct Draft<'a> {
    pub observed: &'a Observed,
    pub version: i32,
    pub status: RunStatus,
    plan: Plan,
}

impl<'a> Draft<'a> {
    /// Begins with the status as it is; with a clean one when `version` is new.
    pub fn new(observed: &'a Observed, version: i32) -> Self {
        let mut draft = Self {
            observed,
            version,
            status: observed.run.status.clone(),
            plan: Plan::default(),
        };
        if draft.status.observed_context_version != Some(version) {
            draft.begin();
        }
        draft.status.observed_generation = observed.run.metadata.generation;
        draft
    }

    /// What holds of a version from its first moment on. Attempts, branch, session, usage and pull request go on, and so does
    /// what this controller does not know.
    fn begin(&mut self) {
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
                written: old.documents.map_or(0, |documents| documents.written),
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

    /// The attempts of the version that is being worked on.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        let version = self.version;
        let all = self.status.attempts.iter();
        all.filter(move |attempt| attempt.context_version == version)
    }

    /// Now, as a status writes it.
    pub fn now(&self) -> String {
        rfc3339(self.observed.now)
    }

    pub fn act(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    /// A stage has ended: its log is to be kept.
    pub fn keep(&mut self, end: End) {
        self.plan.ends.push(end);
    }

    /// Makes the Job, once the status is written.
    pub fn make(&mut self, job: Job) {
        self.plan.job = Some(Box::new(job));
    }

    pub fn ensure_finalizer(&mut self) {
        if !self.observed.has_finalizer() {
            self.act(Action::AddFinalizer);
        }
    }

    /// Looks again after so many seconds.
    pub fn wake(&mut self, seconds: u64) {
        self.plan.wake = Some(Duration::from_secs(seconds));
    }

    pub fn note(&mut self, reason: &str, message: &str) {
        self.push_note(false, reason, message);
    }

    pub fn warn(&mut self, reason: &str, message: &str) {
        self.push_note(true, reason, message);
    }

    fn push_note(&mut self, warning: bool, reason: &str, message: &str) {
        self.plan.notes.push(Note {
            warning,
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }

    pub fn set(&mut self, kind: &str, status: ConditionStatus, reason: &str, message: &str) {
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

    /// The attempt that the status speaks of.
    pub fn at(&mut self, attempt: &Attempt) {
        self.status.stage = Some(attempt.stage.clone());
        self.status.job_name = Some(attempt.job_name.clone());
    }

    /// Phase, reason and sentence of a run that goes on.
    pub fn say(&mut self, phase: &Phase, reason: Option<&str>, message: &str) {
        self.status.phase = Some(phase.as_str().to_owned());
        self.status.reason = reason.map(str::to_owned);
        self.status.message = Some(one_line(message)).filter(|message| !message.is_empty());
        let word = reason.unwrap_or(phase.as_str()).to_owned();
        self.set("Ready", ConditionStatus::False, &word, message);
        self.set("Finished", ConditionStatus::False, phase.as_str(), "");
    }

    /// The run, or this version of it, is over.
    pub fn end(&mut self, phase: &Phase, reason: &str, message: &str) {
        let good = *phase == Phase::Succeeded;
        self.say(phase, Some(reason), message);
        self.status.finished_at = Some(self.now());
        self.status.work_completed = Some(good);
        self.set("Finished", ConditionStatus::True, phase.as_str(), message);
        self.set("Ready", good.into(), reason, message);
        self.push_note(*phase == Phase::Failed, reason, message);
        // What follows an end (releasing, tidying) rests on the end being recorded, so it is a plan of its own.
        self.wake(0);
    }

    /// All stages went well.
    pub fn succeed(&mut self) {
        let branch = self.status.branch.clone().unwrap_or_default();
        let said = self.observed_publish_message();
        let message = match (&self.status.pull_request_url, said) {
            (Some(url), Some(said)) if said != *url => format!("published as {url}; {said}"),
            (Some(url), _) => format!("published as {url}"),
            (None, Some(said)) => said,
            (None, None) => format!("pushed to {branch}"),
        };
        self.end(&Phase::Succeeded, why::SUCCEEDED, &message);
    }

    /// What publish says beside the pull request, or why there is none, as the condition has it.
    fn observed_publish_message(&self) -> Option<String> {
        let condition = self.condition(condition_of(Stage::Publish))?;
        Some(condition.message.clone()).filter(|message| !message.is_empty())
    }

    /// The sentence of a stage's failure, as its condition has it.
    pub fn failure_message(&self, stage: Stage) -> String {
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

    /// The plan; its status only if something changed.
    pub fn into_plan(mut self) -> Plan {
        let excess = self.status.attempts.len().saturating_sub(ATTEMPTS);
        let old = self.status.attempts.drain(..excess);
        self.plan
            .forgotten
            .extend(old.map(|attempt| attempt.job_name));
        if self.status != self.observed.run.status {
            self.plan.status = Some(self.status);
        }
        self.plan
    }
}

/// Seconds from `then` to `now`; `None` when `then` is no time.
pub fn seconds_since(then: &str, now: Timestamp) -> Option<i64> {
    let then: Timestamp = then.parse().ok()?;
    let span = now.since((Unit::Second, then)).ok()?;
    span.total(Unit::Second).ok().map(|seconds| seconds as i64)
}
