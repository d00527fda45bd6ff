//! What Jobs, pods, events and reports come to.

#![allow(clippy::needless_pass_by_value)] // JSON is written where it is passed.

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
    serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status }))
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
    let JobState::Ended(ending) = judge(Stage::Prep, &job("Complete", ""), Some(&pod), &[]) else {
        panic!("it has ended");
    };
    assert_eq!(ending.report.commit.as_deref(), Some("b"));
    assert_eq!(ending.report.tasks_verified.as_deref(), Some("Verified"));
}
