//! Cells of a pod. The status is the most specific reason, not just the phase.

use jiff::Timestamp;
use serde_json::Value;

use super::values::since;
use crate::object::{list, text};

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Returns whether an init container is a sidecar, which counts as one of the pod's containers.
fn is_sidecar(pod: &Value, name: &str) -> bool {
    list(pod, "/spec/initContainers")
        .iter()
        .any(|container| container["name"] == name && container["restartPolicy"] == "Always")
}

/// Returns the statuses of sidecars and main containers.
fn long_lived(pod: &Value) -> impl Iterator<Item = &Value> {
    let sidecars = list(pod, "/status/initContainerStatuses")
        .iter()
        .filter(|status| is_sidecar(pod, text(status, "/name")));
    sidecars.chain(list(pod, "/status/containerStatuses"))
}

/// Returns ready and all containers, as `1/2`.
pub(super) fn ready(pod: &Value) -> String {
    let sidecars = list(pod, "/spec/initContainers")
        .iter()
        .filter(|container| container["restartPolicy"] == "Always");
    let all = list(pod, "/spec/containers").len() + sidecars.count();
    let ready = long_lived(pod)
        .filter(|status| status["ready"] == true)
        .count();
    format!("{ready}/{all}")
}

/// Returns the number of restarts, and the time since the last.
pub(super) fn restarts(pod: &Value, now: Timestamp) -> String {
    let initializing = list(pod, "/status/initContainerStatuses")
        .iter()
        .any(|status| !is_sidecar(pod, text(status, "/name")) && !init_done(status));
    let counted: Vec<&Value> = if initializing {
        list(pod, "/status/initContainerStatuses").iter().collect()
    } else {
        long_lived(pod).collect()
    };
    let count: i64 = counted
        .iter()
        .map(|status| number(&status["restartCount"]))
        .sum();
    let last = counted
        .iter()
        .filter_map(|status| status.pointer("/lastState/terminated/finishedAt"))
        .max_by_key(|time| time.as_str().unwrap_or_default().to_owned());
    match last {
        Some(time) if count > 0 => format!("{count} ({} ago)", since(time, now)),
        _ => count.to_string(),
    }
}

fn init_done(status: &Value) -> bool {
    status
        .pointer("/state/terminated")
        .is_some_and(|ended| number(&ended["exitCode"]) == 0)
}

/// Returns the status in a few words.
pub(super) fn status(pod: &Value) -> String {
    let own_reason = text(pod, "/status/reason");
    let mut reason = match own_reason {
        "" => text(pod, "/status/phase"),
        reason => reason,
    }
    .to_owned();
    let inits = list(pod, "/status/initContainerStatuses");
    let waiting_for = inits.iter().enumerate().find(|(_, status)| {
        let started_sidecar = is_sidecar(pod, text(status, "/name")) && status["started"] == true;
        !(init_done(status) || started_sidecar)
    });
    if let Some((index, init)) = waiting_for {
        reason = init_reason(init, index, list(pod, "/spec/initContainers").len());
    } else {
        let mut running = false;
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            if let Some(why) = stopped(status) {
                reason = why;
            } else if status["ready"] == true && status.pointer("/state/running").is_some() {
                running = true;
            }
        }
        if reason == "Completed" && running {
            reason = String::from(if is_ready(pod) { "Running" } else { "NotReady" });
        }
    }
    if pod["metadata"].get("deletionTimestamp").is_none() {
        reason
    } else if own_reason == "NodeLost" {
        "Unknown".to_owned()
    } else if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        reason
    } else {
        "Terminating".to_owned()
    }
}

/// Returns why a container does not run; `None` if it does.
fn stopped(status: &Value) -> Option<String> {
    let waiting = text(status, "/state/waiting/reason");
    if !waiting.is_empty() {
        return Some(waiting.to_owned());
    }
    let ended = status.pointer("/state/terminated")?;
    Some(ended_reason(ended))
}

fn ended_reason(ended: &Value) -> String {
    match text(ended, "/reason") {
        "" if number(&ended["signal"]) != 0 => format!("Signal:{}", number(&ended["signal"])),
        "" => format!("ExitCode:{}", number(&ended["exitCode"])),
        reason => reason.to_owned(),
    }
}

fn init_reason(init: &Value, index: usize, all: usize) -> String {
    let waiting = text(init, "/state/waiting/reason");
    if let Some(ended) = init.pointer("/state/terminated") {
        format!("Init:{}", ended_reason(ended))
    } else if !waiting.is_empty() && waiting != "PodInitializing" {
        format!("Init:{waiting}")
    } else {
        format!("Init:{index}/{all}")
    }
}

fn is_ready(pod: &Value) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_is_most_specific_reason() {
        let with = |status: Value| json!({"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]}, "status": status});
        let state = |state: Value| json!([{"name": "c", "state": state}]);
        for (pod, expected) in [
            (with(json!({"phase": "Pending"})), "Pending"),
            (
                with(json!({"phase": "Failed", "reason": "DeadlineExceeded"})),
                "DeadlineExceeded",
            ),
            (
                with(
                    json!({"phase": "Pending", "containerStatuses": state(json!({"waiting": {"reason": "ContainerCreating"}}))}),
                ),
                "ContainerCreating",
            ),
            (
                with(
                    json!({"phase": "Succeeded", "containerStatuses": state(json!({"terminated": {"reason": "Completed", "exitCode": 0}}))}),
                ),
                "Completed",
            ),
            (
                with(
                    json!({"phase": "Failed", "containerStatuses": state(json!({"terminated": {"exitCode": 3}}))}),
                ),
                "ExitCode:3",
            ),
            (
                with(
                    json!({"phase": "Failed", "containerStatuses": state(json!({"terminated": {"exitCode": 137, "signal": 9}}))}),
                ),
                "Signal:9",
            ),
            (
                with(json!({"phase": "Pending", "initContainerStatuses": [
                    {"name": "i", "state": {"terminated": {"exitCode": 0}}}, {"name": "j", "state": {"running": {}}}]})),
                "Init:1/2",
            ),
            (
                with(
                    json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}),
                ),
                "Init:Error",
            ),
            (
                with(
                    json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
                ),
                "Init:CrashLoopBackOff",
            ),
        ] {
            assert_eq!(status(&pod), expected, "{pod}");
            let mut deleted = pod.clone();
            deleted["metadata"]["deletionTimestamp"] = "t".into();
            let over = matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed");
            let expected = if over { expected } else { "Terminating" };
            assert_eq!(status(&deleted), expected, "{deleted}");
        }
    }

    #[test]
    fn counts_restarts_and_ready_containers() {
        let pod = json!({
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"containerStatuses": [
                {"name": "a", "ready": true, "restartCount": 2, "lastState": {"terminated": {"finishedAt": "2024-01-01T00:00:00Z"}}},
                {"name": "b", "ready": false, "restartCount": 1},
            ]},
        });
        assert_eq!(ready(&pod), "1/2");
        let now = "2024-01-01T00:00:30Z".parse().unwrap();
        assert_eq!(restarts(&pod, now), "3 (30s ago)");
        assert_eq!(restarts(&json!({}), now), "0");
    }
}
