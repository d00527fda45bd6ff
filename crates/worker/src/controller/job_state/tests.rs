//! Tables of Jobs, pods, Events and reports with their states.

#![allow(clippy::needless_pass_by_value)] // JSON literals read better by value.

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
fn failed_jobs_have_a_reason_and_a_cause() {
    type Row = (Job, Option<Pod>, &'static str, &'static str);
    let failed = || job("Failed", "BackoffLimitExceeded");
    let rows: Vec<Row> = vec![
        (
            failed(),
            Some(pod(ended(1, json!({})), json!({}))),
            "AgentFailed",
            "exited with code 1; see its log",
        ),
        (
            failed(),
            Some(pod(ended(3, json!({ "reason": "StartError" })), json!({}))),
            "AgentFailed",
            "code 3 (StartError)",
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
            "code 1",
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
            "did not start in time",
        ),
        (failed(), None, "PodLost", "deleted or evicted"),
    ];
    for (job, pod, reason, words) in rows {
        let JobState::Ended(ending) = evaluate(Stage::Agent, &job, pod.as_ref(), &[]) else {
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
fn only_persistent_problems_are_waiting() {
    let waiting = |reason: &str, message: &str| {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        evaluate(
            Stage::Agent,
            &job("", ""),
            Some(&pod(state, json!({}))),
            &[],
        )
    };
    assert_eq!(waiting("ContainerCreating", ""), JobState::Starting);
    assert_eq!(waiting("PodInitializing", ""), JobState::Starting);
    for (reason, detail, words) in [
        (
            "CreateContainerConfigError",
            "secret \"pat\" not found",
            "the Secret pat with the key token is required",
        ),
        (
            "CreateContainerConfigError",
            "couldn't find key token in Secret default/pat",
            "the Secret pat with the key token",
        ),
        (
            "ErrImagePull",
            "manifest unknown",
            "cannot pull the image registry.example/agent:1: manifest unknown",
        ),
        ("CreateContainerError", "", "CreateContainerError"),
    ] {
        let JobState::Waiting { message, .. } = waiting(reason, detail) else {
            panic!("{reason} is waiting");
        };
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn failed_mount_event_counts_until_a_container_starts() {
    let event: Event = serde_json::from_value(json!({
        "metadata": {}, "involvedObject": {}, "reason": "FailedMount", "message": "configmap \"x\" not found",
    }))
    .unwrap();
    let events = [event];
    let creating = pod(
        json!({ "waiting": { "reason": "ContainerCreating" } }),
        json!({}),
    );
    let state = evaluate(Stage::Agent, &job("", ""), Some(&creating), &events);
    assert!(
        matches!(state, JobState::Waiting { ref reason, .. } if reason == "FailedMount"),
        "{state:?}"
    );
    let running = pod(json!({ "running": {} }), json!({}));
    assert_eq!(
        evaluate(Stage::Agent, &job("", ""), Some(&running), &events),
        JobState::Running
    );
}

#[test]
fn announcing_conditions_are_not_final() {
    for condition in ["FailureTarget", "SuccessCriteriaMet", "Suspended"] {
        assert!(!is_final(&job(condition, "")), "{condition}");
    }
    assert!(is_final(&job("Complete", "")) && is_final(&job("Failed", "")));
}

#[test]
fn merges_reports_of_containers_and_the_later_wins() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "status": {
            "initContainerStatuses": [{ "name": "clone", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": ended(0, json!({ "message": "{\"commit\":\"a\",\"tasksVerified\":\"Verified\"}" })) }],
            "containerStatuses": [{ "name": "setup", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": ended(0, json!({ "message": "{\"commit\":\"b\"}" })) }],
        },
    }))
    .unwrap();
    let JobState::Ended(ending) = evaluate(Stage::Prep, &job("Complete", ""), Some(&pod), &[])
    else {
        panic!("it has ended");
    };
    assert_eq!(ending.report.commit.as_deref(), Some("b"));
    assert_eq!(ending.report.tasks_verified.as_deref(), Some("Verified"));
}
