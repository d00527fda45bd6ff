//! Containers as a pod's status has them, both ways. Pure.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container as Declared, ContainerState, ContainerStateRunning, ContainerStateTerminated,
        ContainerStateWaiting, ContainerStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{Container, End, Now};

/// Containers as their statuses have them.
pub fn recalled(containers: &[Declared], statuses: Option<&[ContainerStatus]>) -> Vec<Container> {
    let end = |state: &ContainerState| {
        let terminated = state.terminated.as_ref()?;
        Some(End {
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
    let now = |state: &ContainerState| {
        let running = state.running.as_ref();
        let started = running.and_then(|running| running.started_at.as_ref());
        let waiting = state.waiting.as_ref().map(|waiting| Now::Waiting {
            reason: waiting.reason.clone().unwrap_or_default(),
            message: waiting.message.clone().unwrap_or_default(),
        });
        started
            .map(|time| Now::Running(time.0))
            .or_else(|| end(state).map(Now::Terminated))
            .or(waiting)
    };
    let one = |container: &Declared| {
        let mut statuses = statuses.unwrap_or_default().iter();
        let Some(status) = statuses.find(|status| status.name == container.name) else {
            return Container::default();
        };
        let fresh = Container::default();
        Container {
            now: status.state.as_ref().and_then(now).unwrap_or(fresh.now),
            last: status.last_state.as_ref().and_then(end),
            restarts: status.restart_count,
        }
    };
    containers.iter().map(one).collect()
}

/// Times on the wire have no fraction; so that what was written equals what is read back.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// What is known, as it is written.
pub fn statuses(containers: &[Declared], known: &[Container], init: bool) -> Vec<ContainerStatus> {
    containers
        .iter()
        .zip(known)
        .map(|(container, known)| {
            let running = matches!(known.now, Now::Running(_));
            let done = known.end().is_some_and(|end| end.exit_code == 0);
            ContainerStatus {
                name: container.name.clone(),
                image: container.image.clone().unwrap_or_default(),
                image_id: String::new(),
                container_id: (known.restarts > 0 || !matches!(known.now, Now::Waiting { .. }))
                    .then(|| format!("process://{}/{}", container.name, known.restarts)),
                ready: if init { done } else { running },
                started: Some(running),
                restart_count: known.restarts,
                state: Some(state(&known.now)),
                last_state: known.last.as_ref().map(|end| ContainerState {
                    terminated: Some(terminated(end)),
                    ..ContainerState::default()
                }),
                ..ContainerStatus::default()
            }
        })
        .collect()
}

fn state(now: &Now) -> ContainerState {
    let mut state = ContainerState::default();
    match now {
        Now::Waiting { reason, message } => {
            state.waiting = Some(ContainerStateWaiting {
                reason: Some(reason.clone()),
                message: Some(message.clone()).filter(|message| !message.is_empty()),
            });
        }
        Now::Running(at) => {
            state.running = Some(ContainerStateRunning {
                started_at: Some(Time(whole_seconds(*at))),
            });
        }
        Now::Terminated(end) => state.terminated = Some(terminated(end)),
    }
    state
}

fn terminated(end: &End) -> ContainerStateTerminated {
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
