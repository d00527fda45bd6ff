//! What a Job and its pod say, in one word: starting, waiting for something, running, or ended and how.
//!
//! Pure. Everything read here was written by a kubelet, a scheduler or a stage; the agent's stage is believed least.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, ContainerStatus, Event, Pod},
};

use crate::{
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
            return JobState::Ended(Box::new(succeeded(pod)));
        }
        if let Some(failed) = condition("Failed") {
            let by_deadline = failed.reason.as_deref() == Some(reason::DEADLINE_EXCEEDED);
            return JobState::Ended(Box::new(failure(stage, pod, by_deadline)));
        }
    }
    let Some(pod) = pod else {
        return latest(events, &["FailedCreate"]).map_or(JobState::Starting, |event| {
            JobState::Waiting {
                reason: "FailedCreate".into(),
                message: one_line(event.message.as_deref().unwrap_or_default()),
            }
        });
    };
    if let Some(waiting) = node_lost(pod).or_else(|| waiting(pod, events)) {
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

/// A node that does not answer: whether its pod still runs, nobody knows, so nothing may take its place.
fn node_lost(pod: &Pod) -> Option<JobState> {
    let status = pod.status.as_ref()?;
    let lost = status.reason.as_deref() == Some("NodeLost");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    lost.then(|| JobState::Waiting {
        reason: "NodeLost".into(),
        message: format!(
            "the node {} does not answer; the stage goes on when it does, or ends when its pod is deleted",
            node.unwrap_or("of the pod")
        ),
    })
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

/// The reports of the pod's containers as one: what a later container says wins.
fn report(pod: Option<&Pod>) -> StageReport {
    let mut whole = serde_json::Map::new();
    for status in pod.into_iter().flat_map(statuses) {
        let ended = status
            .state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let message = ended.and_then(|ended| ended.message.as_deref());
        let part = StageReport::parse(message.unwrap_or_default());
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(part) {
            whole.extend(fields);
        }
    }
    serde_json::from_value(whole.into()).unwrap_or_default()
}

fn succeeded(pod: Option<&Pod>) -> Ending {
    Ending {
        failure: None,
        exit_code: pod.map(|_| 0),
        report: report(pod),
    }
}

fn failure(stage: Stage, pod: Option<&Pod>, job_deadline: bool) -> Ending {
    let report = report(pod);
    let failed = pod.into_iter().flat_map(statuses).find_map(|status| {
        let ended = status.state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then_some((status.name.as_str(), ended))
    });
    let exit_code = failed.map(|(_, ended)| ended.exit_code);
    let pod_deadline = pod
        .and_then(|pod| pod.status.as_ref()?.reason.as_deref())
        .is_some_and(|word| word == reason::DEADLINE_EXCEEDED);
    let evicted = pod.and_then(|pod| pod.status.as_ref());
    let evicted = evicted.filter(|status| status.reason.as_deref() == Some(EVICTED));
    let (reason, message) = if let Some(evicted) = evicted {
        let said = one_line(evicted.message.as_deref().unwrap_or_default());
        (
            EVICTED.to_owned(),
            format!("the pod of the {stage} stage was evicted from its node: {said}"),
        )
    } else if pod_deadline {
        (
            reason::DEADLINE_EXCEEDED.to_owned(),
            format!(
                "the {stage} stage was ended by its deadline; raise deadlineSeconds to give it longer"
            ),
        )
    } else if job_deadline {
        (
            reason::DEADLINE_EXCEEDED.to_owned(),
            format!(
                "the {stage} stage did not get as far as running in its time; its Job was ended by its deadline"
            ),
        )
    } else if let Some(reason) = report
        .reason
        .as_deref()
        .and_then(|word| believed(stage, word))
    {
        let message = report.message.as_deref().unwrap_or_default();
        (reason.to_owned(), one_line(message))
    } else if let Some((container, ended)) = failed {
        if ended.reason.as_deref() == Some("OOMKilled") {
            (
                OUT_OF_MEMORY.to_owned(),
                format!(
                    "the container {container} of the {stage} stage needed more memory than its limit"
                ),
            )
        } else {
            let cause = match (ended.signal, ended.reason.as_deref()) {
                (Some(signal), _) if signal > 0 => format!("was ended by signal {signal}"),
                (_, Some(word)) if word != "Error" && !word.is_empty() => {
                    format!("ended with exit code {} ({word})", ended.exit_code)
                }
                _ => format!("ended with exit code {}", ended.exit_code),
            };
            let said = report
                .message
                .as_deref()
                .or(ended.message.as_deref())
                .map(one_line);
            let said = said.filter(|said| !said.is_empty() && !said.starts_with('{'));
            (
                usual(stage).to_owned(),
                match said {
                    Some(said) => {
                        format!("the container {container} of the {stage} stage {cause}: {said}")
                    }
                    None => format!(
                        "the container {container} of the {stage} stage {cause}; its log says more"
                    ),
                },
            )
        }
    } else {
        (
            POD_LOST.to_owned(),
            format!("the pod of the {stage} stage was deleted or evicted before its end was seen"),
        )
    };
    Ending {
        failure: Some((reason, message)),
        exit_code,
        report,
    }
}

/// The reason a stage gives, where it may give that one. An agent can write what it likes into its report.
fn believed(stage: Stage, word: &str) -> Option<&str> {
    let camel_case = word.len() <= 64
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric());
    let allowed = match stage {
        Stage::Agent => [reason::AGENT_FAILED, reason::BUDGET_EXCEEDED].contains(&word),
        Stage::Prep | Stage::Publish => camel_case,
    };
    allowed.then_some(word)
}

const fn usual(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => reason::CLONE_FAILED,
        Stage::Agent => reason::AGENT_FAILED,
        Stage::Publish => reason::PUSH_FAILED,
    }
}

/// What keeps the pod from running, if something does that does not pass by itself within moments.
fn waiting(pod: &Pod, events: &[Event]) -> Option<JobState> {
    for status in statuses(pod) {
        let Some(waiting) = status
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref())
        else {
            continue;
        };
        let word = waiting.reason.as_deref().unwrap_or_default();
        if matches!(word, "" | "ContainerCreating" | "PodInitializing") {
            continue;
        }
        let mut message = one_line(waiting.message.as_deref().unwrap_or_default());
        if word == "CreateContainerConfigError" {
            if let Some((secret, key)) = secret_of(pod, &status.name, &message) {
                message = format!("the Secret {secret} with the key {key} is needed: {message}");
            }
        } else if matches!(
            word,
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"
        ) {
            message = format!("the image {} cannot be pulled: {message}", status.image);
        }
        if message.is_empty() {
            message = format!("the container {} is waiting: {word}", status.name);
        }
        return Some(JobState::Waiting {
            reason: word.to_owned(),
            message,
        });
    }
    let conditions = pod
        .status
        .as_ref()?
        .conditions
        .as_deref()
        .unwrap_or_default();
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled");
    if let Some(scheduled) = scheduled.filter(|condition| condition.status == "False") {
        return Some(JobState::Waiting {
            reason: scheduled
                .reason
                .clone()
                .unwrap_or_else(|| "Unschedulable".into()),
            message: format!(
                "no node takes the pod: {}",
                one_line(scheduled.message.as_deref().unwrap_or_default())
            ),
        });
    }
    let begun = statuses(pod).any(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.waiting.is_none())
    });
    let event = latest(events, &["FailedMount"]).filter(|_| !begun)?;
    Some(JobState::Waiting {
        reason: "FailedMount".into(),
        message: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

/// Secret and key that a container's environment names and the kubelet's sentence is about; the sentence leaves the key out.
fn secret_of<'a>(pod: &'a Pod, container: &str, message: &str) -> Option<(&'a str, &'a str)> {
    let spec = pod.spec.as_ref()?;
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let named = |wanted: &&Container| wanted.name == container;
    let environment = all.into_iter().find(named)?.env.as_deref()?;
    environment.iter().find_map(|variable| {
        let secret = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        let quoted = message.contains(&format!("\"{}\"", secret.name))
            || message.ends_with(&format!("/{}", secret.name));
        quoted.then_some((secret.name.as_str(), secret.key.as_str()))
    })
}

fn latest<'a>(events: &'a [Event], reasons: &[&str]) -> Option<&'a Event> {
    let wanted = events.iter().filter(|event| {
        let reason = event.reason.as_deref();
        reason.is_some_and(|reason| reasons.contains(&reason))
    });
    wanted.max_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| event.event_time.as_ref().map(|time| time.0))
    })
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

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // JSON is written where it is passed.
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(condition: &str, reason: &str) -> Job {
        let status = match condition {
            "" => json!({}),
            condition => {
                json!({ "conditions": [{ "type": condition, "status": "True", "reason": reason }] })
            }
        };
        serde_json::from_value(json!({ "metadata": { "name": "j" }, "status": status })).unwrap()
    }

    /// A pod whose container `agent` is in `state`.
    fn pod(state: Value, more: Value) -> Pod {
        let mut status = json!({
            "containerStatuses": [{
                "name": "agent", "image": "registry.example/agent:1", "imageID": "", "ready": false, "restartCount": 0, "state": state,
            }],
        });
        for (key, value) in more.as_object().unwrap() {
            status[key] = value.clone();
        }
        let environment = json!([{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "pat", "key": "token" } } }]);
        let spec = json!({ "containers": [{ "name": "agent", "env": environment }] });
        serde_json::from_value(
            json!({ "metadata": { "name": "p" }, "spec": spec, "status": status }),
        )
        .unwrap()
    }

    fn ended(code: i32, more: Value) -> Value {
        let mut ended = json!({ "exitCode": code });
        for (key, value) in more.as_object().unwrap() {
            ended[key] = value.clone();
        }
        json!({ "terminated": ended })
    }

    #[test]
    fn how_a_failed_job_ended_is_said_with_its_cause() {
        type Row = (Job, Option<Pod>, &'static str, &'static str);
        let failed = || job("Failed", "BackoffLimitExceeded");
        let rows: Vec<Row> = vec![
            (
                failed(),
                Some(pod(ended(1, json!({})), json!({}))),
                "AgentFailed",
                "exit code 1; its log says more",
            ),
            (
                failed(),
                Some(pod(ended(3, json!({ "reason": "StartError" })), json!({}))),
                "AgentFailed",
                "exit code 3 (StartError)",
            ),
            (
                failed(),
                Some(pod(ended(137, json!({ "signal": 9 })), json!({}))),
                "AgentFailed",
                "signal 9",
            ),
            (
                failed(),
                Some(pod(ended(137, json!({ "reason": "OOMKilled" })), json!({}))),
                "OutOfMemory",
                "memory",
            ),
            (
                failed(),
                Some(pod(
                    ended(1, json!({ "message": "no such file" })),
                    json!({}),
                )),
                "AgentFailed",
                ": no such file",
            ),
            (
                failed(),
                Some(pod(
                    ended(
                        1,
                        json!({ "message": "{\"reason\":\"BudgetExceeded\",\"message\":\"spent\"}" }),
                    ),
                    json!({}),
                )),
                "BudgetExceeded",
                "spent",
            ),
            (
                failed(),
                Some(pod(
                    ended(1, json!({ "message": "{\"reason\":\"OutsideTask\"}" })),
                    json!({}),
                )),
                "AgentFailed",
                "exit code 1",
            ),
            (
                failed(),
                Some(pod(
                    ended(143, json!({})),
                    json!({ "reason": "DeadlineExceeded" }),
                )),
                "DeadlineExceeded",
                "deadlineSeconds",
            ),
            (
                job_deadline(),
                None,
                "DeadlineExceeded",
                "did not get as far",
            ),
            (failed(), None, "PodLost", "deleted or evicted"),
        ];
        for (job, pod, reason, words) in rows {
            let JobState::Ended(ending) = judge(Stage::Agent, &job, pod.as_ref(), &[]) else {
                panic!("{reason} has not ended");
            };
            let (why, message) = ending.failure.unwrap();
            assert_eq!(why, reason, "{message}");
            assert!(message.contains(words), "{reason}: {message}");
        }
    }

    fn job_deadline() -> Job {
        job("Failed", "DeadlineExceeded")
    }

    #[test]
    fn only_what_does_not_pass_by_itself_is_waiting() {
        let waiting = |reason: &str, message: &str| {
            let state = json!({ "waiting": { "reason": reason, "message": message } });
            judge(
                Stage::Agent,
                &job("", ""),
                Some(&pod(state, json!({}))),
                &[],
            )
        };
        assert_eq!(waiting("ContainerCreating", ""), JobState::Starting);
        assert_eq!(waiting("PodInitializing", ""), JobState::Starting);
        for (reason, said, words) in [
            (
                "CreateContainerConfigError",
                "secret \"pat\" not found",
                "the Secret pat with the key token is needed",
            ),
            (
                "CreateContainerConfigError",
                "couldn't find key token in Secret default/pat",
                "the Secret pat with the key token",
            ),
            (
                "ErrImagePull",
                "manifest unknown",
                "the image registry.example/agent:1 cannot be pulled: manifest unknown",
            ),
            ("CreateContainerError", "", "CreateContainerError"),
        ] {
            let JobState::Waiting { message, .. } = waiting(reason, said) else {
                panic!("{reason} is waiting");
            };
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_volume_that_is_not_there_is_told_by_events_while_nothing_has_begun() {
        let event: Event = serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "reason": "FailedMount", "message": "configmap \"x\" not found",
        }))
        .unwrap();
        let events = [event];
        let creating = pod(
            json!({ "waiting": { "reason": "ContainerCreating" } }),
            json!({}),
        );
        let state = judge(Stage::Agent, &job("", ""), Some(&creating), &events);
        assert!(
            matches!(state, JobState::Waiting { ref reason, .. } if reason == "FailedMount"),
            "{state:?}"
        );
        let running = pod(json!({ "running": {} }), json!({}));
        assert_eq!(
            judge(Stage::Agent, &job("", ""), Some(&running), &events),
            JobState::Running
        );
    }

    #[test]
    fn conditions_that_only_announce_an_end_are_no_end() {
        for condition in ["FailureTarget", "SuccessCriteriaMet", "Suspended"] {
            assert!(!is_final(&job(condition, "")), "{condition}");
        }
        assert!(is_final(&job("Complete", "")) && is_final(&job("Failed", "")));
    }

    #[test]
    fn the_reports_of_a_pods_containers_are_one_and_the_later_wins() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p" },
            "status": {
                "initContainerStatuses": [{ "name": "clone", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": ended(0, json!({ "message": "{\"commit\":\"a\",\"tasksVerified\":\"Verified\"}" })) }],
                "containerStatuses": [{ "name": "lay", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": ended(0, json!({ "message": "{\"commit\":\"b\"}" })) }],
            },
        }))
        .unwrap();
        let JobState::Ended(ending) = judge(Stage::Prep, &job("Complete", ""), Some(&pod), &[])
        else {
            panic!("it has ended");
        };
        assert_eq!(ending.report.commit.as_deref(), Some("b"));
        assert_eq!(ending.report.tasks_verified.as_deref(), Some("Verified"));
    }
}
