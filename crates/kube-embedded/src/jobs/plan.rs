//! Plans the next step of a Job. Pure: all inputs, including the time, are arguments.
//!
//! Each attempt is one pod (parallelism and completions are 1), named after the Job's uid and the number of earlier
//! failures, so that an attempt cannot be created twice. A failure is counted once, when its pod has failed or is gone.

mod pods;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobCondition, JobSpec, JobStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;

use pods::{finished_at, is_active, is_deleting, is_ready, phase, pod, pod_name, restarts};

/// Back-off before the second attempt in seconds, doubled for each further one.
const BACK_OFF: i64 = 10;
const MAX_BACK_OFF: i64 = 360;

/// Steps for a Job, in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// Pods to delete.
    pub delete: Vec<Pod>,
    pub create: Option<Pod>,
    /// The new status; `None` if it is unchanged.
    pub status: Option<JobStatus>,
    /// Whether to delete the Job, because its TTL has expired.
    pub expire: bool,
    /// When to reconcile again even if nothing changes.
    pub requeue_at: Option<Timestamp>,
}

/// Returns the plan for `job` and the pods it controls.
#[must_use]
pub(super) fn plan(job: &Job, pods: &[Pod], now: Timestamp) -> Plan {
    let spec = job.spec.clone().unwrap_or_default();
    if job.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let before = job.status.clone().unwrap_or_default();
    if let Some(end) = finished(&before) {
        return expire(&spec, end, now);
    }
    let mut planner = Planner {
        job,
        pods,
        now: whole_seconds(now),
        status: before.clone(),
        plan: Plan::default(),
    };
    planner.decide(&spec);
    let Planner { status, plan, .. } = planner;
    Plan {
        status: (status != before).then_some(status),
        ..plan
    }
}

/// Returns when a Job finished.
fn finished(status: &JobStatus) -> Option<Timestamp> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let end = conditions
        .iter()
        .find(|one| matches!(one.type_.as_str(), "Complete" | "Failed") && one.status == "True")?;
    end.last_transition_time.as_ref().map(|time| time.0)
}

fn expire(spec: &JobSpec, end: Timestamp, now: Timestamp) -> Plan {
    let Some(seconds) = spec.ttl_seconds_after_finished else {
        return Plan::default();
    };
    let at = after(end, i64::from(seconds));
    if at <= now {
        Plan {
            expire: true,
            ..Plan::default()
        }
    } else {
        Plan {
            requeue_at: Some(at),
            ..Plan::default()
        }
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}

/// Cuts a time to whole seconds, as on the wire.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

struct Planner<'a> {
    job: &'a Job,
    pods: &'a [Pod],
    now: Timestamp,
    status: JobStatus,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self, spec: &JobSpec) {
        // Pods deleted by a suspension do not count as failures, so it lasts until they are gone.
        let suspended_pods_remain = self.condition("Suspended").is_some()
            && self
                .pods
                .iter()
                .any(|pod| pod.metadata.deletion_timestamp.is_some());
        let suspended = spec.suspend == Some(true) || suspended_pods_remain;
        self.update_suspension(suspended);
        self.count();
        if self.condition("FailureTarget").is_some() {
            return self.fail_when_stopped();
        }
        if suspended {
            self.delete_active();
            self.status.start_time = None;
            return;
        }
        let start = self.status.start_time.get_or_insert(Time(self.now)).0;
        if self.pods.iter().any(|pod| phase(pod) == "Succeeded") {
            return self.complete();
        }
        if let Some(seconds) = spec.active_deadline_seconds {
            let deadline = after(start, seconds);
            if deadline <= self.now {
                return self.fail(
                    "DeadlineExceeded",
                    "Job was active longer than specified deadline",
                );
            }
            self.requeue_at(deadline);
        }
        let limit = spec.backoff_limit.unwrap_or(6);
        let failures = self.status.failed.unwrap_or(0);
        let failing = i32::from(self.attempt(failures).is_some_and(is_deleting));
        let restarts: i32 = self.pods.iter().map(restarts).sum();
        let on_failure = spec.template.spec.as_ref();
        let on_failure = on_failure.and_then(|spec| spec.restart_policy.as_deref());
        let restarts_exhausted =
            on_failure == Some("OnFailure") && restarts > 0 && restarts >= limit;
        if failures + failing > limit || restarts_exhausted {
            return self.fail(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            );
        }
        if self.pods.iter().any(is_active) || failing > 0 {
            return;
        }
        self.create_attempt(spec, failures);
    }

    /// Creates the next attempt once its back-off has passed.
    fn create_attempt(&mut self, spec: &JobSpec, failures: i32) {
        let last = self.pods.iter().filter_map(finished_at).max();
        if let (1.., Some(last)) = (failures, last) {
            let doubled = BACK_OFF.saturating_mul(1 << (failures - 1).min(16));
            let at = after(last, doubled.min(MAX_BACK_OFF));
            if at > self.now {
                return self.requeue_at(at);
            }
        }
        self.plan.create = Some(pod(self.job, spec, failures));
        self.status.active = Some(1);
    }

    /// Updates the counters. The current attempt counts as failed if its pod has failed or is gone.
    fn count(&mut self) {
        let count =
            |test: fn(&Pod) -> bool| self.pods.iter().filter(|pod| test(pod)).count() as i32;
        let live = count(is_active);
        let terminating = count(is_deleting);
        let was_active = self.status.active.unwrap_or(0) + self.status.terminating.unwrap_or(0) > 0;
        let failures = self.status.failed.unwrap_or(0);
        let suspended = self.condition("Suspended").is_some();
        let failed = match self.attempt(failures) {
            _ if suspended => false,
            Some(pod) => phase(pod) == "Failed",
            None => was_active,
        };
        let status = &mut self.status;
        status.failed = positive(failures + i32::from(failed));
        status.active = positive(live);
        status.ready = Some(self.pods.iter().filter(|pod| is_ready(pod)).count() as i32);
        status.terminating = Some(terminating);
        let succeeded = self.pods.iter().filter(|pod| phase(pod) == "Succeeded");
        status.succeeded = positive(succeeded.count() as i32);
    }

    /// Returns the pod of the attempt after this many failures.
    fn attempt(&self, failures: i32) -> Option<&Pod> {
        let name = pod_name(self.job, failures);
        self.pods.iter().find(|pod| pod.name_any() == name)
    }

    fn requeue_at(&mut self, at: Timestamp) {
        let before = self.plan.requeue_at;
        self.plan.requeue_at = Some(before.map_or(at, |before| before.min(at)));
    }

    fn delete_active(&mut self) {
        let active = self.pods.iter().filter(|pod| is_active(pod));
        self.plan.delete = active.cloned().collect();
    }

    fn complete(&mut self) {
        self.delete_active();
        let (reason, message) = (
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        );
        self.set_condition("SuccessCriteriaMet", true, reason, message);
        if !self
            .pods
            .iter()
            .any(|pod| is_active(pod) || is_deleting(pod))
        {
            self.set_condition("Complete", true, reason, message);
            self.status.completion_time = Some(Time(self.now));
        }
    }

    fn fail(&mut self, reason: &str, message: &str) {
        self.set_condition("FailureTarget", true, reason, message);
        self.fail_when_stopped();
    }

    /// Sets the Failed condition once none of the pods runs.
    fn fail_when_stopped(&mut self) {
        self.delete_active();
        if self
            .pods
            .iter()
            .any(|pod| is_active(pod) || is_deleting(pod))
        {
            return;
        }
        let Some(target) = self.condition("FailureTarget") else {
            return;
        };
        let (reason, message) = (target.reason.clone(), target.message.clone());
        self.set_condition(
            "Failed",
            true,
            &reason.unwrap_or_default(),
            &message.unwrap_or_default(),
        );
    }

    fn update_suspension(&mut self, suspended: bool) {
        let was = self.condition("Suspended").is_some();
        if suspended && !was {
            self.set_condition("Suspended", true, "JobSuspended", "Job suspended");
        } else if !suspended && was {
            self.set_condition("Suspended", false, "JobResumed", "Job resumed");
        }
    }

    fn condition(&self, kind: &str) -> Option<&JobCondition> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        conditions
            .iter()
            .find(|one| one.type_ == kind && one.status == "True")
    }

    fn set_condition(&mut self, kind: &str, condition: bool, reason: &str, message: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        conditions.retain(|one| one.type_ != kind);
        conditions.push(JobCondition {
            type_: kind.to_owned(),
            status: if condition { "True" } else { "False" }.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_probe_time: Some(Time(self.now)),
            last_transition_time: Some(Time(self.now)),
        });
    }
}

/// Returns `None` for zero, which Kubernetes omits.
fn positive(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Time of the tables, in seconds since the epoch.
    const NOW: i64 = 1000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(spec: &Value, status: &Value) -> Job {
        let mut job = json!({
            "metadata": {"name": "job", "namespace": "n", "uid": "u"},
            "spec": {"template": {"metadata": {"labels": {"job-name": "job"}}, "spec": {"restartPolicy": "Never", "containers": []}}},
            "status": status,
        });
        for (key, value) in spec.as_object().unwrap() {
            job["spec"][key] = value.clone();
        }
        serde_json::from_value(job).unwrap()
    }

    /// A pod of the attempt after `failures`, finished at `NOW - 5` if it has finished.
    fn attempt(failures: i32, phase: &str) -> Pod {
        let job = job(&json!({}), &json!({}));
        serde_json::from_value(json!({
            "metadata": {"name": pod_name(&job, failures)},
            "status": {"phase": phase, "containerStatuses": [{
                "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 2,
                "state": {"terminated": {"exitCode": 1, "finishedAt": at(NOW - 5).to_string()}},
            }]},
        }))
        .unwrap()
    }

    fn deleting(mut pod: Pod) -> Pod {
        pod.metadata.deletion_timestamp = Some(Time(at(NOW)));
        pod
    }

    fn started(rest: &Value) -> Value {
        let mut status = json!({"startTime": at(NOW - 100).to_string()});
        for (key, value) in rest.as_object().unwrap() {
            status[key] = value.clone();
        }
        status
    }

    fn condition(kind: &str) -> Value {
        json!([{"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": at(NOW - 50).to_string()}])
    }

    /// Describes a plan in words.
    fn words(job: &Job, pods: &[Pod]) -> Vec<String> {
        let plan = plan(job, pods, at(NOW));
        let mut words = Vec::new();
        if !plan.delete.is_empty() {
            words.push("delete".to_owned());
        }
        if plan.create.is_some() {
            words.push("create".to_owned());
        }
        if plan.expire {
            words.push("expire".to_owned());
        }
        if let Some(requeue_at) = plan.requeue_at {
            words.push(format!("wake in {}", requeue_at.as_second() - NOW));
        }
        if let Some(status) = plan.status {
            if status.failed != job.status.as_ref().and_then(|status| status.failed) {
                words.push(format!("failed {}", status.failed.unwrap_or(0)));
            }
            let old = job.status.clone().unwrap_or_default().conditions;
            let old = old.unwrap_or_default();
            let new = status.conditions.unwrap_or_default();
            words.extend(new.iter().filter(|one| !old.contains(one)).map(|one| {
                let not = if one.status == "True" { "" } else { "not " };
                format!(
                    "{not}{} {}",
                    one.type_,
                    one.reason.clone().unwrap_or_default()
                )
            }));
        }
        words
    }

    #[test]
    fn plans_match_table() {
        let under_way = || started(&json!({"active": 1}));
        let limit = |limit: i32| json!({"backoffLimit": limit});
        let rows: Vec<(&str, Job, Vec<Pod>, &[&str])> = vec![
            (
                "a new job starts its pod",
                job(&json!({}), &json!({})),
                vec![],
                &["create"],
            ),
            (
                "a job whose pod runs waits",
                job(&json!({}), &under_way()),
                vec![attempt(0, "Running")],
                &[],
            ),
            (
                "a pod made but not yet counted is not made again",
                job(&json!({}), &started(&json!({}))),
                vec![attempt(0, "Pending")],
                &[],
            ),
            (
                "a success completes the job",
                job(&json!({}), &under_way()),
                vec![attempt(0, "Succeeded")],
                &[
                    "SuccessCriteriaMet CompletionsReached",
                    "Complete CompletionsReached",
                ],
            ),
            (
                "without retries a failure fails the job",
                job(&limit(0), &under_way()),
                vec![attempt(0, "Failed")],
                &[
                    "failed 1",
                    "FailureTarget BackoffLimitExceeded",
                    "Failed BackoffLimitExceeded",
                ],
            ),
            (
                "with retries a failure waits before the next attempt",
                job(&limit(2), &under_way()),
                vec![attempt(0, "Failed")],
                &["wake in 5", "failed 1"],
            ),
            (
                "each wait is twice the one before",
                job(&limit(2), &started(&json!({"failed": 2}))),
                vec![attempt(0, "Failed"), attempt(1, "Failed")],
                &["wake in 15"],
            ),
            (
                "a failure counts once",
                job(&limit(1), &started(&json!({"failed": 1, "active": 1}))),
                vec![attempt(0, "Failed"), attempt(1, "Running")],
                &[],
            ),
            (
                "a pod that is nowhere to be found was lost",
                job(&limit(0), &under_way()),
                vec![],
                &[
                    "failed 1",
                    "FailureTarget BackoffLimitExceeded",
                    "Failed BackoffLimitExceeded",
                ],
            ),
            (
                "a lost pod is followed by another when retries are left",
                job(&limit(1), &under_way()),
                vec![],
                &["create", "failed 1"],
            ),
            (
                "a pod being deleted fails the job only once it is gone",
                job(&limit(0), &under_way()),
                vec![deleting(attempt(0, "Running"))],
                &["FailureTarget BackoffLimitExceeded"],
            ),
            (
                "and then it does",
                job(
                    &limit(0),
                    &started(&json!({"terminating": 1, "conditions": condition("FailureTarget")})),
                ),
                vec![],
                &["failed 1", "Failed BackoffLimitExceeded"],
            ),
            (
                "a pod being deleted is waited for before the next attempt",
                job(&limit(3), &under_way()),
                vec![deleting(attempt(0, "Running"))],
                &[],
            ),
            (
                "a deadline to come is a reason to wake",
                job(&json!({"activeDeadlineSeconds": 130}), &under_way()),
                vec![attempt(0, "Running")],
                &["wake in 30"],
            ),
            (
                "a deadline deletes the pod",
                job(&json!({"activeDeadlineSeconds": 100}), &under_way()),
                vec![attempt(0, "Running")],
                &["delete", "FailureTarget DeadlineExceeded"],
            ),
            (
                "a deadline also ends a job whose pod never started",
                job(&json!({"activeDeadlineSeconds": 100}), &under_way()),
                vec![attempt(0, "Pending")],
                &["delete", "FailureTarget DeadlineExceeded"],
            ),
            (
                "a suspended job starts nothing",
                job(&json!({"suspend": true}), &json!({})),
                vec![],
                &["Suspended JobSuspended"],
            ),
            (
                "suspending deletes the pod",
                job(&json!({"suspend": true}), &under_way()),
                vec![attempt(0, "Running")],
                &["delete", "Suspended JobSuspended"],
            ),
            (
                "a pod that suspension deleted is no failure",
                job(
                    &json!({"suspend": true, "backoffLimit": 0}),
                    &json!({"terminating": 1, "conditions": condition("Suspended")}),
                ),
                vec![],
                &[],
            ),
            (
                "a pod that ends because of it is none either",
                job(
                    &json!({"suspend": true, "backoffLimit": 0}),
                    &json!({"terminating": 1, "conditions": condition("Suspended")}),
                ),
                vec![deleting(attempt(0, "Failed"))],
                &[],
            ),
            (
                "resuming waits until that pod is gone",
                job(
                    &json!({"suspend": false, "backoffLimit": 0}),
                    &json!({"terminating": 1, "conditions": condition("Suspended")}),
                ),
                vec![deleting(attempt(0, "Failed"))],
                &[],
            ),
            (
                "resuming starts again",
                job(
                    &json!({"suspend": false, "backoffLimit": 0}),
                    &json!({"terminating": 0, "conditions": condition("Suspended")}),
                ),
                vec![],
                &["create", "not Suspended JobResumed"],
            ),
            (
                "restarts within the pod wear a job out too",
                job(
                    &json!({"backoffLimit": 2, "template": {"spec": {"restartPolicy": "OnFailure", "containers": []}}}),
                    &under_way(),
                ),
                vec![attempt(0, "Running")],
                &["delete", "FailureTarget BackoffLimitExceeded"],
            ),
            (
                "a finished job without a time to live stays",
                job(&json!({}), &json!({"conditions": condition("Complete")})),
                vec![],
                &[],
            ),
            (
                "a finished job lives as long as it may",
                job(
                    &json!({"ttlSecondsAfterFinished": 60}),
                    &json!({"conditions": condition("Failed")}),
                ),
                vec![attempt(0, "Failed")],
                &["wake in 10"],
            ),
            (
                "and no longer",
                job(
                    &json!({"ttlSecondsAfterFinished": 0}),
                    &json!({"conditions": condition("Complete")}),
                ),
                vec![attempt(0, "Succeeded")],
                &["expire"],
            ),
        ];
        for (situation, job, pods, expected) in rows {
            assert_eq!(words(&job, &pods), expected, "{situation}");
        }
    }

    #[test]
    fn plan_is_stable_once_applied() {
        let mut job = job(&json!({"backoffLimit": 0}), &json!({}));
        let first = plan(&job, &[], at(NOW));
        let pod = first.create.unwrap();
        assert_eq!(pod.labels()["job-name"], "job");
        assert_eq!(pod.owner_references()[0].uid, "u");
        job.status = first.status;
        let mut pods = [pod];
        let again = plan(&job, &pods, at(NOW + 1));
        job.status = again.status.or(job.status);
        assert_eq!(plan(&job, &pods, at(NOW + 2)), Plan::default());
        pods[0].status = attempt(0, "Succeeded").status;
        job.status = plan(&job, &pods, at(NOW + 3)).status;
        assert_eq!(plan(&job, &pods, at(NOW + 4)), Plan::default());
    }

    #[test]
    fn pod_names_are_unique() {
        let mut job = job(&json!({}), &json!({}));
        let (first, second) = (pod_name(&job, 0), pod_name(&job, 1));
        job.metadata.uid = Some("other".to_owned());
        let other = pod_name(&job, 0);
        assert!(first != second && first != other);
        job.metadata.name = Some("j".repeat(63));
        assert_eq!(pod_name(&job, 0).len(), 63);
    }
}
