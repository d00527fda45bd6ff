//! Cells of a Job.

use jiff::Timestamp;
use serde_json::Value;

use super::values::between;
use crate::object::{list, text};

/// Returns the status in one word.
pub(super) fn status(job: &Value) -> &'static str {
    let has = |kind: &str| {
        list(job, "/status/conditions")
            .iter()
            .any(|condition| condition["type"] == kind && condition["status"] == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job["metadata"].get("deletionTimestamp").is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

/// Returns succeeded and wanted completions, as `1/3`.
pub(super) fn completions(job: &Value) -> String {
    let number = |value: &Value| value.as_i64();
    let done = number(&job["status"]["succeeded"]).unwrap_or(0);
    match (
        number(&job["spec"]["completions"]),
        number(&job["spec"]["parallelism"]).unwrap_or(0),
    ) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, many) if many > 1 => format!("{done}/1 of {many}"),
        (None, _) => format!("{done}/1"),
    }
}

/// Returns the duration, until now if the Job is running.
pub(super) fn duration(job: &Value, now: Timestamp) -> String {
    let time = |pointer: &str| text(job, pointer).parse::<Timestamp>().ok();
    time("/status/startTime").map_or_else(String::new, |start| {
        between(start, time("/status/completionTime").unwrap_or(now))
    })
}

/// Returns a field of each container, comma-separated.
pub(super) fn containers(job: &Value, field: &str) -> String {
    let all: Vec<&str> = list(job, "/spec/template/spec/containers")
        .iter()
        .filter_map(|container| container[field].as_str())
        .collect();
    all.join(",")
}

/// Returns the label selector of its pods.
pub(super) fn selector(job: &Value) -> String {
    let labels = job["spec"]["selector"]["matchLabels"].as_object();
    let all: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn returns_job_status() {
        let condition =
            |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
        for (job, expected) in [
            (condition("Complete"), "Complete"),
            (condition("Failed"), "Failed"),
            (condition("Suspended"), "Suspended"),
            (condition("FailureTarget"), "FailureTarget"),
            (json!({}), "Running"),
            (
                json!({"metadata": {"deletionTimestamp": "t"}}),
                "Terminating",
            ),
            (
                json!({"status": {"conditions": [{"type": "Failed", "status": "False"}]}}),
                "Running",
            ),
        ] {
            assert_eq!(status(&job), expected, "{job}");
        }
        for (job, expected) in [
            (json!({"spec": {"completions": 3}}), "0/3"),
            (
                json!({"spec": {"completions": 1, "parallelism": 1}, "status": {"succeeded": 1}}),
                "1/1",
            ),
            (json!({"spec": {"parallelism": 2}}), "0/1 of 2"),
        ] {
            assert_eq!(completions(&job), expected, "{job}");
        }
        let now = "2024-01-01T00:01:00Z".parse().unwrap();
        let started = json!({"status": {"startTime": "2024-01-01T00:00:00Z"}});
        assert_eq!(duration(&started, now), "60s");
        let done = json!({"status": {"startTime": "2024-01-01T00:00:00Z", "completionTime": "2024-01-01T00:00:05Z"}});
        assert_eq!(duration(&done, now), "5s");
        assert_eq!(duration(&json!({}), now), "");
    }
}
