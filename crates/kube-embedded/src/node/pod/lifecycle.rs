//! Keeps a pod's status written, and decides when the pod is stopped: its deadline, its deletion, the grace after that.

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

use super::{RETRY, Seen, Work, is_gone};

const DEADLINE: (&str, &str) = (
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
);

/// How far a pod is to be stopped; it only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    Go,
    Ask,
    Kill,
}

pub fn is_stopping(stop: &watch::Receiver<Stop>) -> bool {
    *stop.borrow() > Stop::Go
}

/// What `work` comes to, unless the pod is stopped first.
pub async fn until_stopped<T>(
    stop: &mut watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop > Stop::Go) => None,
        done = work => Some(done),
    }
}

/// How long a pod that is being deleted may still take: an earlier node may have asked it to stop already.
fn grace_left(pod: &Pod, now: Timestamp) -> Duration {
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
    let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let Some(ends) = &pod.metadata.deletion_timestamp else {
        return grace;
    };
    // The end of the grace, in whole seconds.
    let left = ends.0.duration_since(now).as_millis() + 1000;
    grace.min(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What a pod's time being up means.
#[derive(Clone, Copy)]
pub enum Due {
    /// Its own deadline has passed.
    Deadline,
    /// It was asked to stop long enough ago.
    Kill,
}

/// Keeps a pod's status written, and stops the pod when its time is up or it is deleted.
pub struct Driver<'a> {
    work: &'a Work,
    stop: watch::Sender<Stop>,
    pod: Arc<Pod>,
    /// What the pod's status says, as far as this node wrote it.
    status: Option<PodStatus>,
    /// Whether the final status is on record, or nobody can be told any more.
    pub written: bool,
    kill_at: Option<Instant>,
}

impl<'a> Driver<'a> {
    pub fn new(work: &'a Work, stop: watch::Sender<Stop>) -> Self {
        Self {
            work,
            stop,
            pod: Arc::clone(&work.pod),
            status: work.pod.status.clone(),
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

    /// Takes in the pod as it is now.
    pub fn look(&mut self, seen: Seen) {
        let Some(pod) = seen else {
            self.written = true;
            return self.stop(Stop::Kill);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            let left = grace_left(&pod, Timestamp::now());
            *self.work.grace() = Some(left.as_secs());
            let kill_at = Instant::now().checked_add(left);
            self.kill_at = match (self.kill_at, kill_at) {
                (Some(before), Some(now)) => Some(before.min(now)),
                (before, now) => before.or(now),
            };
            self.stop(Stop::Ask);
        }
        self.pod = pod;
    }

    /// When the pod's own deadline is.
    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let started = self.work.known().start_time?;
        let passed = Timestamp::now().duration_since(started).as_millis();
        let left = i128::from(seconds) * 1000 - passed;
        Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Resolves when the pod's time is up. Never, when nothing is due.
    pub fn due(&self) -> impl Future<Output = Due> + use<> {
        let known = self.work.known();
        let ending = known.over || known.verdict.is_some();
        let deadline = self.deadline().filter(|_| !ending);
        let kill_at = self.kill_at.filter(|_| *self.stop.borrow() < Stop::Kill);
        async move {
            tokio::select! {
                () = until(deadline) => Due::Deadline,
                () = until(kill_at) => Due::Kill,
            }
        }
    }

    pub fn stop_for(&self, due: Due) {
        match due {
            Due::Deadline => {
                let (reason, message) = DEADLINE;
                let verdict = (reason.to_owned(), message.to_owned());
                self.work.note(|known| known.verdict = Some(verdict));
                let recorder = &self.work.node.recorder;
                recorder.normal(&self.work.reference, reason, message);
                self.stop(Stop::Ask);
            }
            Due::Kill => self.stop(Stop::Kill),
        }
    }

    /// Waits for news of the pod and writes them. May be dropped at any time: what was not written stays to be written.
    pub async fn write(&mut self) {
        let known = self.work.known();
        let status = known.status(&self.pod, Timestamp::now());
        if self.status.as_ref() == Some(&status) || self.written {
            if known.over {
                self.written = true;
            }
            return self.work.changed.notified().await;
        }
        let name = self.pod.name_any();
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": self.pod.uid()},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch: json_patch::Patch = match serde_json::from_value(patch) {
            Ok(patch) => patch,
            Err(error) => {
                tracing::error!(pod = name, %error, "a status cannot be written");
                return self.work.changed.notified().await;
            }
        };
        let parameters = PatchParams {
            field_manager: Some(self.work.node.options.identity.component.clone()),
            ..PatchParams::default()
        };
        let written = self
            .work
            .api
            .patch_status(&name, &parameters, &Patch::<Pod>::Json(patch))
            .await;
        match written {
            Ok(_) => {
                self.written = known.over;
                self.status = Some(status);
            }
            Err(error) if is_gone(&error) => {
                self.written = known.over;
                self.status = Some(status);
            }
            Err(error) => {
                tracing::warn!(pod = name, %error, "the pod's status cannot be written");
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_is_one_however_often_the_server_comes_back() {
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
