//! The result of an attempt, with reason and message from its pod and containers. The agent is trusted least.

use k8s_openapi::api::core::v1::Pod;

use super::{EVICTED, Ending, OUT_OF_MEMORY, POD_LOST, one_line, statuses};
use flightdeck_core::runs::{Stage, StageReport, reason};

/// Merges the reports of the pod's containers; fields of a later container win.
fn report(pod: Option<&Pod>) -> StageReport {
    let mut merged = serde_json::Map::new();
    for status in pod.into_iter().flat_map(statuses) {
        let ended = status
            .state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let message = ended.and_then(|ended| ended.message.as_deref());
        let part = StageReport::parse(message.unwrap_or_default());
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(part) {
            merged.extend(fields);
        }
    }
    serde_json::from_value(merged.into()).unwrap_or_default()
}

/// Returns the result of a successful Job.
pub(super) fn succeeded(pod: Option<&Pod>) -> Ending {
    Ending {
        failure: None,
        exit_code: pod.map(|_| 0),
        report: report(pod),
    }
}

/// Returns the result of a failed Job. The most reliable source wins: the node, the deadlines, the stage, its containers.
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
        let detail = one_line(evicted.message.as_deref().unwrap_or_default());
        (
            EVICTED.to_owned(),
            format!("the pod of the {stage} stage was evicted from its node: {detail}"),
        )
    } else if pod_deadline {
        (
            reason::DEADLINE_EXCEEDED.to_owned(),
            format!(
                "the {stage} stage exceeded its deadline; raise deadlineSeconds to allow more time"
            ),
        )
    } else if job_deadline {
        (
            reason::DEADLINE_EXCEEDED.to_owned(),
            format!("the {stage} stage did not start in time; its Job exceeded its deadline"),
        )
    } else if let Some(reason) = report
        .reason
        .as_deref()
        .and_then(|word| trusted(stage, word))
    {
        let message = report.message.as_deref().unwrap_or_default();
        (reason.to_owned(), one_line(message))
    } else if let Some((container, ended)) = failed {
        if ended.reason.as_deref() == Some("OOMKilled") {
            (
                OUT_OF_MEMORY.to_owned(),
                format!("the container {container} of the {stage} stage exceeded its memory limit"),
            )
        } else {
            let cause = match (ended.signal, ended.reason.as_deref()) {
                (Some(signal), _) if signal > 0 => format!("was killed by signal {signal}"),
                (_, Some(word)) if word != "Error" && !word.is_empty() => {
                    format!("exited with code {} ({word})", ended.exit_code)
                }
                _ => format!("exited with code {}", ended.exit_code),
            };
            let detail = report
                .message
                .as_deref()
                .or(ended.message.as_deref())
                .map(one_line);
            let detail = detail.filter(|detail| !detail.is_empty() && !detail.starts_with('{'));
            (
                default_reason(stage).to_owned(),
                match detail {
                    Some(detail) => {
                        format!("the container {container} of the {stage} stage {cause}: {detail}")
                    }
                    None => format!(
                        "the container {container} of the {stage} stage {cause}; see its log"
                    ),
                },
            )
        }
    } else {
        (
            POD_LOST.to_owned(),
            format!(
                "the pod of the {stage} stage was deleted or evicted before its result was read"
            ),
        )
    };
    Ending {
        failure: Some((reason, message)),
        exit_code,
        report,
    }
}

/// Returns the reported reason if the stage may give it. The agent can write anything into its report.
fn trusted(stage: Stage, word: &str) -> Option<&str> {
    let camel_case = word.len() <= 64
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric());
    let allowed = match stage {
        Stage::Agent => [
            reason::AGENT_FAILED,
            reason::AGENT_NOT_STARTED,
            reason::BUDGET_EXCEEDED,
        ]
        .contains(&word),
        Stage::Prep | Stage::Publish => camel_case,
    };
    allowed.then_some(word)
}

const fn default_reason(stage: Stage) -> &'static str {
    match stage {
        Stage::Prep => reason::CLONE_FAILED,
        Stage::Agent => reason::AGENT_FAILED,
        Stage::Publish => reason::PUSH_FAILED,
    }
}
