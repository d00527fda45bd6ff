//! Records results: from Jobs and reports into attempts, conditions and status fields.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::{
    status::{Draft, condition_of, rfc3339},
    why,
};
use crate::controller::{
    archive::FinishedAttempt,
    job_state::{self, Ending, JobState, one_line},
    observed::{is_cancelled, was_seen},
};
use flightdeck_core::{
    resources::{Attempt, ConditionStatus, Usage},
    runs::{Stage, StageReport, naming, reason},
};

/// Failures of publish after which publishing again is enough, since the agent's work is unaffected.
const PUBLISH_AGAIN: [&str; 7] = [
    reason::PUSH_FAILED,
    reason::PULL_REQUEST_FAILED,
    reason::DEADLINE_EXCEEDED,
    job_state::POD_LOST,
    job_state::EVICTED,
    why::JOB_LOST,
    reason::CANCELLED,
];

/// Maximum length of a reported branch name, in bytes.
const BRANCH_LIMIT: usize = 1024;

/// Failures that stopping a stage may cause.
const STOP_REASONS: [&str; 4] = [
    reason::DEADLINE_EXCEEDED,
    why::JOB_LOST,
    job_state::POD_LOST,
    job_state::EVICTED,
];

/// Adds attempts for Jobs that the status does not have: a Job is recorded before it is created, but a status may be lost.
pub(crate) fn find_attempts(draft: &mut Draft) {
    let mut found = Vec::new();
    for job in &draft.observed.jobs {
        let name = job.name_any();
        let label = |key: &str| job.labels().get(key).map(String::as_str);
        let number = |key: &str| label(key).and_then(|text| text.parse::<i32>().ok());
        let (Some(stage), Some(context_version), Some(attempt)) = (
            label(naming::LABEL_STAGE).and_then(Stage::parse),
            number(naming::LABEL_VERSION),
            number(naming::LABEL_ATTEMPT),
        ) else {
            continue;
        };
        // Attempts before the newest have ended: the status keeps only the last ones.
        let newest = draft
            .attempts()
            .filter_map(|known| Some((Stage::parse(&known.stage)?, known.attempt)))
            .max();
        if context_version == draft.version && newest.is_none_or(|newest| newest < (stage, attempt))
        {
            found.push((stage, attempt, name, created_at(draft, job)));
        }
    }
    found.sort();
    for (stage, attempt, job_name, created) in found {
        draft.status.started_at.get_or_insert(created.clone());
        draft.status.attempts.push(Attempt {
            stage: stage.to_string(),
            context_version: draft.version,
            attempt,
            job_name,
            started_at: Some(created),
            ..Attempt::default()
        });
    }
}

fn created_at(draft: &Draft, job: &Job) -> String {
    let created = job.creation_timestamp();
    rfc3339(created.map_or(draft.observed.now, |time| time.0))
}

/// Closes every attempt whose Job has ended or is gone. Returns the active attempt with its state.
///
/// An attempt whose Job does not exist and was never seen or created was only recorded: it is removed, and the next attempt
/// gets its name.
pub(crate) fn close_ended_attempts(draft: &mut Draft) -> Option<(Attempt, JobState)> {
    let observed = draft.observed;
    draft.status.attempts.retain(|attempt| {
        attempt.finished_at.is_some()
            || was_seen(attempt)
            || observed.created.contains(&attempt.job_name)
            || observed.job(&attempt.job_name).is_some()
    });
    let mut active = None;
    for at in 0..draft.status.attempts.len() {
        let mut attempt = draft.status.attempts[at].clone();
        if attempt.finished_at.is_some() {
            continue;
        }
        let Some(stage) = Stage::parse(&attempt.stage) else {
            continue;
        };
        match observe_attempt(draft, &mut attempt, stage) {
            JobState::Ended(ending) => {
                close(draft, &mut attempt, stage, &ending);
                let job = draft.observed.job(&attempt.job_name);
                let pod = job.and_then(|job| draft.observed.pod(job));
                draft.archive(FinishedAttempt::new(&attempt, pod));
            }
            other => active = Some((attempt.clone(), other)),
        }
        draft.status.attempts[at] = attempt;
    }
    active
}

fn observe_attempt(draft: &Draft, attempt: &mut Attempt, stage: Stage) -> JobState {
    let observed = draft.observed;
    let Some(job) = observed.job(&attempt.job_name) else {
        let message = format!(
            "the Job {} of the {stage} stage was deleted before its result was read",
            attempt.job_name
        );
        return JobState::Ended(Box::new(Ending {
            failure: Some((why::JOB_LOST.to_owned(), message)),
            ..Ending::default()
        }));
    };
    let pod = observed.pod(job);
    let found = job_state::evaluate(stage, job, pod, &observed.events_about(job, pod));
    if let Some(pod) = pod.filter(|_| found != JobState::Starting) {
        attempt.pod_name = Some(pod.name_any());
        if let Some(time) = pod
            .status
            .as_ref()
            .and_then(|status| status.start_time.as_ref())
        {
            attempt.started_at = Some(rfc3339(time.0));
        }
    }
    found
}

fn close(draft: &mut Draft, attempt: &mut Attempt, stage: Stage, ending: &Ending) {
    let created = draft.observed.job(&attempt.job_name);
    let created = created.map_or_else(|| draft.now(), |job| created_at(draft, job));
    attempt.started_at.get_or_insert(created);
    attempt.finished_at = Some(draft.now());
    attempt.exit_code = ending.exit_code;
    record_results(draft, stage, &ending.report, ending.failure.is_none());
    let Some((why, message)) = &ending.failure else {
        if stage != Stage::Publish {
            draft.set(
                condition_of(stage),
                ConditionStatus::True,
                why::SUCCEEDED,
                "",
            );
        }
        let reason = format!("{}Finished", super::status::title(stage));
        draft.note(&reason, &format!("{stage} finished"));
        return;
    };
    // After a cancellation, a failure that the stop caused counts as cancelled.
    let cancelled = is_cancelled(&draft.observed.run) && STOP_REASONS.contains(&why.as_str());
    let (why, message) = if cancelled {
        (reason::CANCELLED, "stopped on request")
    } else {
        (why.as_str(), message.as_str())
    };
    attempt.reason = Some(why.to_owned());
    // The condition of a missing pull request has the specific reason.
    let specific = ending.report.pull_request_reason.as_deref();
    let specific = specific.filter(|name| !cancelled && stage == Stage::Publish && is_name(name));
    let reason = specific.unwrap_or(why);
    draft.set(condition_of(stage), ConditionStatus::False, reason, message);
    if why == reason::TASKS_MISMATCH {
        draft.set("TasksVerified", ConditionStatus::False, why, message);
    }
    if !cancelled {
        draft.warn(why, message);
    }
}

/// Records the reported results, each only from the stage that may report it, and only if valid.
fn record_results(draft: &mut Draft, stage: Stage, report: &StageReport, succeeded: bool) {
    match stage {
        Stage::Prep => {
            draft.status.base_commit = commit(report).or(draft.status.base_commit.take());
            match report.tasks_verified.as_deref() {
                Some(reason::VERIFIED) => {
                    let tasks = report.tasks.map_or_else(String::new, |tasks| {
                        format!(
                            "{} in tag {}",
                            flightdeck_core::text::count(tasks, "task"),
                            draft.observed.run.spec.tag
                        )
                    });
                    draft.set(
                        "TasksVerified",
                        ConditionStatus::True,
                        reason::VERIFIED,
                        &tasks,
                    );
                }
                Some(reason::NOT_CLAIMED) => draft.set(
                    "TasksVerified",
                    ConditionStatus::Unknown,
                    reason::NOT_CLAIMED,
                    "the run has no tasks revision to compare with",
                ),
                _ => {}
            }
        }
        Stage::Agent => {
            let session = report.session_id.as_deref().map(one_line);
            let session = session.filter(|id| !id.is_empty() && id.len() <= 128);
            draft.status.session_id = session.or(draft.status.session_id.take());
            if let Some(usage) = report.usage {
                let before = draft.status.usage.unwrap_or_default();
                draft.status.usage = Some(sum(before, usage));
            }
        }
        Stage::Publish => {
            if let Some(commit) = commit(report) {
                draft.status.commit = Some(commit);
                // May differ from the planned branch: commits of an earlier attempt are never replaced.
                draft.status.branch = branch(report).or(draft.status.branch.take());
            }
            if let Some(documents) = &report.documents {
                let mut documents = documents.clone();
                documents.missing.truncate(20);
                for path in &mut documents.missing {
                    *path = one_line(path);
                }
                draft.status.documents = Some(documents);
            }
            if let Some(url) = report
                .pull_request_url
                .as_deref()
                .filter(|url| is_web_address(url))
            {
                draft.status.pull_request_url = Some(url.to_owned());
                draft.status.pull_request_number = report.pull_request_number;
                // Notes about options that could not be applied.
                let notes = report.message.as_deref().filter(|notes| !notes.is_empty());
                let message = notes.unwrap_or(url);
                draft.set(condition_of(stage), ConditionStatus::True, "Open", message);
            } else if succeeded {
                let why = report
                    .pull_request_reason
                    .as_deref()
                    .or(report.reason.as_deref());
                let message = report.message.as_deref().unwrap_or_default();
                let why = why.filter(|why| is_name(why)).unwrap_or("NotReported");
                draft.set(condition_of(stage), ConditionStatus::False, why, message);
            }
        }
    }
}

fn commit(report: &StageReport) -> Option<String> {
    let id = report.commit.as_deref()?;
    let complete = [40, 64].contains(&id.len()) && id.chars().all(|c| c.is_ascii_hexdigit());
    complete.then(|| id.to_owned())
}

fn branch(report: &StageReport) -> Option<String> {
    let name = report.branch.as_deref()?;
    let plain = !name.is_empty() && name.len() <= BRANCH_LIMIT && one_line(name) == name;
    plain.then(|| name.to_owned())
}

/// Returns whether `name` is a valid reason of a condition.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 2048
        && url.chars().all(|c| c.is_ascii_graphic())
}

/// Adds the usage of attempts; ignores negative values.
fn sum(before: Usage, more: Usage) -> Usage {
    let add = |a: i64, b: i64| a.saturating_add(b.max(0));
    Usage {
        input_tokens: add(before.input_tokens, more.input_tokens),
        output_tokens: add(before.output_tokens, more.output_tokens),
        cache_read_tokens: add(before.cache_read_tokens, more.cache_read_tokens),
        cost_micro_usd: add(before.cost_micro_usd, more.cost_micro_usd),
        turns: add(before.turns, more.turns),
    }
}

/// Returns the stage a version starts with: publish, if a person asked for it, or if only publishing failed before and no context
/// was added since.
pub(crate) fn first_stage(draft: &mut Draft) -> Stage {
    let version = draft.version;
    let mut attempts = draft.status.attempts.iter();
    let last = attempts.rfind(|attempt| attempt.context_version < version);
    let again = last.is_some_and(|last| {
        let reason = last.reason.as_deref().unwrap_or_default();
        last.stage == Stage::Publish.as_str() && PUBLISH_AGAIN.contains(&reason)
    });
    let agent = draft.status.attempts.iter().rfind(|attempt| {
        attempt.context_version < version && attempt.stage == Stage::Agent.as_str()
    });
    let finished = agent.is_some_and(|agent| agent.reason.is_none());
    let requested = draft.observed.run.spec.publish_version == version;
    let added = format!("context-v{version}.md");
    let context = &draft.observed.run.spec.context;
    let new_context = context.iter().any(|file| file.filename == added);
    let kept = draft.observed.workspace.is_some();
    // A requested publish fails without the workspace: it must not start the agent.
    if requested || again && finished && !new_context && kept {
        for stage in [Stage::Prep, Stage::Agent] {
            let message = "done by an earlier version; publishing its work again";
            draft.set(condition_of(stage), ConditionStatus::True, "Kept", message);
        }
        Stage::Publish
    } else {
        Stage::Prep
    }
}
