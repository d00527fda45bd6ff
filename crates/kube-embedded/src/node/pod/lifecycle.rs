//! Writes a pod's status, and decides when the pod is stopped: by its deadline, its deletion, or the end of its grace
//! period.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{ObservedPod, PodRunner, RETRY, is_gone};

const DEADLINE: (&str, &str) = (
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
);

/// How far a pod is being stopped; never decreases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    Run,
    Terminate,
    Kill,
}

pub(super) fn is_stopping(stop: &watch::Receiver<Stop>) -> bool {
    *stop.borrow() > Stop::Run
}

/// Returns the result of `runner`, or `None` if the pod is stopped first.
pub(super) async fn until_stopped<T>(
    stop: &mut watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop > Stop::Run) => None,
        done = work => Some(done),
    }
}

/// Returns the rest of the grace period. An earlier node may have started it.
fn grace_left(pod: &Pod, now: Timestamp) -> Duration {
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let Some(ends) = &pod.metadata.deletion_timestamp else {
        return grace;
    };
    // The deletion timestamp is the end of the grace period, cut to whole seconds.
    let left = ends.0.duration_since(now).as_millis() + 1000;
    grace.min(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Why a timer fired.
#[derive(Clone, Copy)]
pub(super) enum Due {
    /// The pod's `activeDeadlineSeconds` have passed.
    Deadline,
    /// The grace period has passed.
    Kill,
}

/// Writes a pod's status, and stops the pod in time.
pub(super) struct Lifecycle<'a> {
    runner: &'a PodRunner,
    stop: watch::Sender<Stop>,
    pod: Arc<Pod>,
    /// The last status written by this node.
    status: Option<PodStatus>,
    /// Whether the final status is written, or the pod is gone.
    pub written: bool,
    kill_at: Option<Instant>,
}

impl<'a> Lifecycle<'a> {
    pub(super) fn new(runner: &'a PodRunner, stop: watch::Sender<Stop>) -> Self {
        Self {
            runner,
            stop,
            pod: Arc::clone(&runner.pod),
            status: runner.pod.status.clone(),
            written: false,
            kill_at: None,
        }
    }

    fn stop(&self, wanted: Stop) {
        self.stop.send_if_modified(|stop| {
            let more = wanted > *stop;
            *stop = wanted.max(*stop);
            more
        });
    }

    /// Handles a change of the pod.
    pub(super) fn observe(&mut self, observed: ObservedPod) {
        let Some(pod) = observed else {
            self.written = true;
            return self.stop(Stop::Kill);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            let left = grace_left(&pod, Timestamp::now());
            *self.runner.grace() = Some(left.as_secs());
            let kill_at = Instant::now().checked_add(left);
            self.kill_at = match (self.kill_at, kill_at) {
                (Some(before), Some(now)) => Some(before.min(now)),
                (before, now) => before.or(now),
            };
            self.stop(Stop::Terminate);
        }
        self.pod = pod;
    }

    /// Returns when the pod's deadline passes.
    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let started = self.runner.record().start_time?;
        let passed = Timestamp::now().duration_since(started).as_millis();
        let left = i128::from(seconds) * 1000 - passed;
        Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Resolves when a timer fires; never if none is running.
    pub(super) fn due(&self) -> impl Future<Output = Due> + use<> {
        let record = self.runner.record();
        let ending = record.finished || record.stop_reason.is_some();
        let deadline = self.deadline().filter(|_| !ending);
        let kill_at = self.kill_at.filter(|_| *self.stop.borrow() < Stop::Kill);
        async move {
            tokio::select! {
                () = sleep_until_some(deadline) => Due::Deadline,
                () = sleep_until_some(kill_at) => Due::Kill,
            }
        }
    }

    pub(super) fn stop_for(&self, due: Due) {
        match due {
            Due::Deadline => {
                let (reason, message) = DEADLINE;
                let stop_reason = (reason.to_owned(), message.to_owned());
                self.runner
                    .update(|record| record.stop_reason = Some(stop_reason));
                let recorder = &self.runner.node.recorder;
                recorder.normal(&self.runner.reference, reason, message);
                self.stop(Stop::Terminate);
            }
            Due::Kill => self.stop(Stop::Kill),
        }
    }

    /// Waits for an update of the record and writes the status. Cancel-safe: what was not written is written by the
    /// next call.
    pub(super) async fn write(&mut self) {
        let record = self.runner.record();
        let status = record.status(&self.pod, Timestamp::now());
        if self.status.as_ref() == Some(&status) || self.written {
            if record.finished {
                self.written = true;
            }
            return self.runner.changed.notified().await;
        }
        let name = self.pod.name_any();
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": self.pod.uid()},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch: json_patch::Patch = match serde_json::from_value(patch) {
            Ok(patch) => patch,
            Err(error) => {
                tracing::error!(pod = name, %error, "cannot build the status patch");
                return self.runner.changed.notified().await;
            }
        };
        let parameters = PatchParams {
            field_manager: Some(self.runner.node.options.identity.component.clone()),
            ..PatchParams::default()
        };
        let written = self
            .runner
            .api
            .patch_status(&name, &parameters, &Patch::<Pod>::Json(patch))
            .await;
        match written {
            Ok(_) => {
                self.written = record.finished;
                self.status = Some(status);
            }
            Err(error) if is_gone(&error) => {
                self.written = record.finished;
                self.status = Some(status);
            }
            Err(error) => {
                tracing::warn!(pod = name, %error, "cannot write the pod's status");
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_period_is_not_extended_by_restarts() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": 30}}))
        .unwrap();
        for (now, seconds) in [
            ("2026-01-01T00:00:30Z", 30),
            ("2026-01-01T00:00:50Z", 11),
            ("2026-01-01T00:02:00Z", 0),
        ] {
            let left = grace_left(&pod, now.parse().unwrap());
            assert_eq!(left, Duration::from_secs(seconds), "at {now}");
        }
    }
}
