//! Conversion of container records to and from container statuses. Pure.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container as ContainerSpec, ContainerState, ContainerStateRunning,
        ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{ContainerRecord, State, Termination};

/// Reads container records from their statuses.
pub(super) fn from_statuses(
    containers: &[ContainerSpec],
    statuses: Option<&[ContainerStatus]>,
) -> Vec<ContainerRecord> {
    let end = |state: &ContainerState| {
        let terminated = state.terminated.as_ref()?;
        Some(Termination {
            exit_code: terminated.exit_code,
            signal: terminated.signal,
            reason: terminated.reason.clone().unwrap_or_default(),
            message: terminated.message.clone(),
            started_at: terminated.started_at.as_ref().map(|time| time.0),
            finished_at: terminated
                .finished_at
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        })
    };
    let read_state = |state: &ContainerState| {
        let running = state.running.as_ref();
        let started = running.and_then(|running| running.started_at.as_ref());
        let waiting = state.waiting.as_ref().map(|waiting| State::Waiting {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        });
        started
            .map(|time| State::Running(time.0))
            .or_else(|| end(state).map(State::Terminated))
            .or(waiting)
    };
    let one = |container: &ContainerSpec| {
        let mut statuses = statuses.unwrap_or_default().iter();
        let Some(status) = statuses.find(|status| status.name == container.name) else {
            return ContainerRecord::default();
        };
        let fresh = ContainerRecord::default();
        ContainerRecord {
            state: status
                .state
                .as_ref()
                .and_then(read_state)
                .unwrap_or(fresh.state),
            last: status.last_state.as_ref().and_then(end),
            restarts: status.restart_count,
        }
    };
    containers.iter().map(one).collect()
}

/// Cuts a time to whole seconds, as on the wire, so that a written status equals the one read back.
pub(super) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Converts container records to statuses.
pub(super) fn to_statuses(
    containers: &[ContainerSpec],
    record: &[ContainerRecord],
    init: bool,
) -> Vec<ContainerStatus> {
    containers
        .iter()
        .zip(record)
        .map(|(container, record)| {
            let running = matches!(record.state, State::Running(_));
            let done = record.end().is_some_and(|end| end.exit_code == 0);
            ContainerStatus {
                name: container.name.clone(),
                image: container.image.clone().unwrap_or_default(),
                image_id: String::new(),
                container_id: (record.restarts > 0
                    || !matches!(record.state, State::Waiting { .. }))
                .then(|| format!("process://{}/{}", container.name, record.restarts)),
                ready: if init { done } else { running },
                started: Some(running),
                restart_count: record.restarts,
                state: Some(to_state(&record.state)),
                last_state: record.last.as_ref().map(|end| ContainerState {
                    terminated: Some(terminated(end)),
                    ..ContainerState::default()
                }),
                ..ContainerStatus::default()
            }
        })
        .collect()
}

fn to_state(record: &State) -> ContainerState {
    let mut state = ContainerState::default();
    match record {
        State::Waiting { reason, message } => {
            state.waiting = Some(ContainerStateWaiting {
                reason: Some(reason.clone()),
                message: Some(message.clone()).filter(|message| !message.is_empty()),
            });
        }
        State::Running(at) => {
            state.running = Some(ContainerStateRunning {
                started_at: Some(Time(whole_seconds(*at))),
            });
        }
        State::Terminated(end) => state.terminated = Some(terminated(end)),
    }
    state
}

fn terminated(end: &Termination) -> ContainerStateTerminated {
    let started = end.started_at.unwrap_or(end.finished_at);
    ContainerStateTerminated {
        exit_code: end.exit_code,
        signal: end.signal,
        reason: Some(end.reason.clone()),
        message: end.message.clone(),
        started_at: Some(Time(whole_seconds(started))),
        finished_at: Some(Time(whole_seconds(end.finished_at))),
        container_id: None,
    }
}
