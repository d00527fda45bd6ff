//! The pod status that a kubelet would write. Pure.

mod convert;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use convert::{from_statuses, to_statuses, whole_seconds};

/// Address of the node and its pods.
const ADDRESS: &str = "127.0.0.1";

/// State of a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Waiting { reason: String, message: String },
    Running(Timestamp),
    Terminated(Termination),
}

impl State {
    #[must_use]
    pub(super) fn waiting(reason: &str, message: impl Into<String>) -> Self {
        Self::Waiting {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Termination {
    pub exit_code: i32,
    pub signal: Option<i32>,
    pub reason: String,
    pub message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

/// Record of a container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ContainerRecord {
    pub state: State,
    /// How the previous attempt ended.
    pub last: Option<Termination>,
    pub restarts: i32,
}

impl Default for ContainerRecord {
    fn default() -> Self {
        Self {
            state: State::waiting("ContainerCreating", ""),
            last: None,
            restarts: 0,
        }
    }
}

impl ContainerRecord {
    /// Returns how the container ended, unless it waits or runs again.
    #[must_use]
    pub(super) fn end(&self) -> Option<&Termination> {
        match &self.state {
            State::Terminated(end) => Some(end),
            _ => None,
        }
    }
}

/// Record of a pod, from which its status is derived.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodRecord {
    /// Why the pod is not scheduled yet; `None` once it is.
    pub unscheduled: Option<String>,
    /// When the pod was scheduled.
    pub start_time: Option<Timestamp>,
    pub init: Vec<ContainerRecord>,
    pub main: Vec<ContainerRecord>,
    /// Reason and message if the node stopped the pod.
    pub stop_reason: Option<(String, String)>,
    /// Whether all containers have run; nothing will be started.
    pub finished: bool,
}

impl PodRecord {
    /// Reads the record from the status of `pod`.
    #[must_use]
    pub(super) fn from_pod(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref());
        let init_statuses = status.and_then(|status| status.init_container_statuses.as_deref());
        let statuses = status.and_then(|status| status.container_statuses.as_deref());
        Self {
            init: from_statuses(init.unwrap_or_default(), init_statuses),
            main: from_statuses(spec.map_or(&[], |spec| &spec.containers), statuses),
            start_time: status
                .and_then(|status| status.start_time.as_ref())
                .map(|time| time.0),
            ..Self::default()
        }
    }

    /// Records why the pod is not scheduled, unless it was before.
    pub(super) fn set_unscheduled(&mut self, why: String) {
        if self.start_time.is_none() {
            self.unscheduled = Some(why);
        }
    }

    /// Returns `Pending`, `Running`, `Succeeded` or `Failed`.
    #[must_use]
    pub(super) fn phase(&self) -> &'static str {
        let failed =
            |container: &ContainerRecord| container.end().is_some_and(|end| end.exit_code != 0);
        if self.finished {
            let done = self.main.iter().all(|container| container.end().is_some());
            let failed = self.init.iter().chain(&self.main).any(failed);
            if self.stop_reason.is_some() || failed || !done {
                return "Failed";
            }
            return "Succeeded";
        }
        let begun = |container: &ContainerRecord| {
            !matches!(container.state, State::Waiting { .. }) || container.restarts > 0
        };
        if self.main.iter().any(begun) {
            "Running"
        } else {
            "Pending"
        }
    }

    fn initialized(&self) -> bool {
        self.init
            .iter()
            .all(|container| container.end().is_some_and(|end| end.exit_code == 0))
    }

    /// Marks containers that wait for the init containers as `PodInitializing`.
    fn initializing(&self, mut all: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
        if self.initialized() {
            return all;
        }
        let states = all.iter_mut().filter_map(|status| status.state.as_mut());
        for waiting in states.filter_map(|state| state.waiting.as_mut()) {
            if waiting.reason.as_deref() == Some("ContainerCreating") && waiting.message.is_none() {
                waiting.reason = Some("PodInitializing".to_owned());
            }
        }
        all
    }

    /// Returns the status of `pod`. The transition time of a condition changes only with its status.
    #[must_use]
    pub(super) fn status(&self, pod: &Pod, now: Timestamp) -> PodStatus {
        let phase = self.phase();
        let ready = !self.finished
            && self
                .main
                .iter()
                .all(|container| matches!(container.state, State::Running(_)));
        let scheduled = self.start_time.is_some();
        let mut conditions = vec![condition(
            "PodScheduled",
            self.unscheduled.is_none(),
            self.unscheduled
                .as_ref()
                .map(|why| ("Unschedulable", why.clone())),
        )];
        if scheduled {
            let completed = (phase == "Succeeded").then(|| ("PodCompleted", String::new()));
            let waiting = || Some(("ContainersNotReady", String::new()));
            let unready = completed.clone().or_else(waiting);
            let initializing = || {
                Some((
                    "ContainersNotInitialized",
                    "init containers have not completed".to_owned(),
                ))
            };
            let initialized = self.initialized();
            conditions.push(condition(
                "Initialized",
                initialized,
                if initialized {
                    completed
                } else {
                    initializing()
                },
            ));
            for kind in ["ContainersReady", "Ready"] {
                let why = if ready { None } else { unready.clone() };
                conditions.push(condition(kind, ready, why));
            }
        }
        let before = pod.status.as_ref();
        let before = before.and_then(|status| status.conditions.as_deref());
        for condition in &mut conditions {
            let same = before
                .unwrap_or_default()
                .iter()
                .find(|old| old.type_ == condition.type_ && old.status == condition.status);
            condition.last_transition_time = same
                .and_then(|old| old.last_transition_time.clone())
                .or(Some(Time(whole_seconds(now))));
        }
        let spec = pod.spec.as_ref();
        let (reason, message) = self.stop_reason.clone().filter(|_| self.finished).unzip();
        PodStatus {
            phase: Some(phase.to_owned()),
            reason,
            message,
            conditions: Some(conditions),
            start_time: self.start_time.map(|at| Time(whole_seconds(at))),
            host_ip: scheduled.then(|| ADDRESS.to_owned()),
            host_ips: scheduled.then(|| {
                vec![HostIP {
                    ip: ADDRESS.to_owned(),
                }]
            }),
            pod_ip: scheduled.then(|| ADDRESS.to_owned()),
            pod_ips: scheduled.then(|| {
                vec![PodIP {
                    ip: ADDRESS.to_owned(),
                }]
            }),
            qos_class: Some("BestEffort".to_owned()),
            init_container_statuses: scheduled
                .then(|| {
                    let names = spec.and_then(|spec| spec.init_containers.as_deref());
                    self.initializing(to_statuses(names.unwrap_or_default(), &self.init, true))
                })
                .filter(|all| !all.is_empty()),
            container_statuses: scheduled.then(|| {
                let names = spec.map_or(&[][..], |spec| &spec.containers);
                self.initializing(to_statuses(names, &self.main, false))
            }),
            ..PodStatus::default()
        }
    }
}

fn condition(kind: &str, holds: bool, why: Option<(&str, String)>) -> PodCondition {
    let (reason, message) = why.unzip();
    PodCondition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.filter(|message| !message.is_empty()),
        ..PodCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(exit_code: i32) -> State {
        State::Terminated(Termination {
            exit_code,
            signal: None,
            reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
            message: None,
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::UNIX_EPOCH,
        })
    }

    fn container(state: State) -> ContainerRecord {
        ContainerRecord {
            state,
            ..ContainerRecord::default()
        }
    }

    #[test]
    fn phase_follows_containers() {
        let waiting = || State::waiting("ContainerCreating", "");
        let running = || State::Running(Timestamp::UNIX_EPOCH);
        for (init, main, finished, stop_reason, phase) in [
            (vec![], vec![waiting()], false, false, "Pending"),
            (vec![running()], vec![waiting()], false, false, "Pending"),
            (vec![end(0)], vec![running()], false, false, "Running"),
            (vec![], vec![end(1), running()], false, false, "Running"),
            (vec![], vec![end(0)], true, false, "Succeeded"),
            (vec![], vec![end(0), end(2)], true, false, "Failed"),
            (vec![end(1)], vec![waiting()], true, false, "Failed"),
            (vec![], vec![end(0)], true, true, "Failed"),
        ] {
            let known = PodRecord {
                init: init.into_iter().map(container).collect(),
                main: main.into_iter().map(container).collect(),
                finished,
                stop_reason: stop_reason.then(|| ("DeadlineExceeded".to_owned(), String::new())),
                ..PodRecord::default()
            };
            assert_eq!(known.phase(), phase, "{known:?}");
        }
    }

    #[test]
    fn transition_times_change_only_with_status() {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "c", "image": "x"}]},
        }))
        .unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut known = PodRecord::from_pod(&pod);
        known.unscheduled = Some("full".to_owned());
        let status = serde_json::to_value(known.status(&pod, at(1))).unwrap();
        assert_eq!(status["conditions"][0]["reason"], "Unschedulable");
        assert!(status.get("containerStatuses").is_none());

        known.unscheduled = None;
        known.start_time = Some(at(2));
        known.init[0].state = State::Running(at(2));
        pod.status = Some(known.status(&pod, at(2)));
        let status = serde_json::to_value(&pod.status).unwrap();
        assert_eq!(status["phase"], "Pending");
        assert_eq!(
            status["containerStatuses"][0]["state"]["waiting"]["reason"],
            "PodInitializing"
        );

        known.init[0].state = end(0);
        known.main[0].state = State::Running(at(3));
        let status = serde_json::to_value(known.status(&pod, at(3))).unwrap();
        let again = PodRecord::from_pod(&Pod {
            status: Some(known.status(&pod, at(3))),
            ..pod.clone()
        });
        assert_eq!(again, known, "the status is read back unchanged");
        let times: Vec<_> = (0..4)
            .map(|index| status["conditions"][index]["lastTransitionTime"].clone())
            .collect();
        assert_eq!(times[0], "1970-01-01T00:00:02Z");
        assert_eq!(times[3], "1970-01-01T00:00:03Z");
        assert_eq!(status["phase"], "Running");
    }
}
