//! How an attempt ended: the reason and the sentence, from what its pod and its containers say. The agent is believed least.

use k8s_openapi::api::core::v1::Pod;

use super::{EVICTED, Ending, OUT_OF_MEMORY, POD_LOST, one_line, statuses};
use flightdeck_core::runs::{Stage, StageReport, reason};

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

/// All containers ended well.
pub(super) fn succeeded(pod: Option<&Pod>) -> Ending {
    Ending {
        failure: None,
        exit_code: pod.map(|_| 0),
        report: report(pod),
    }
}

/// Why the Job failed, by what knows best: the node, the deadlines, the stage itself, its containers.
pub(super) fn failure(stage: Stage, pod: Option<&Pod>, job_deadline: bool) -> Ending {
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
