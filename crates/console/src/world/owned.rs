//! The Jobs and pods of runs, the events about them, and why pods wait.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};

use super::RunId;
use flightdeck_core::runs::naming;

/// The objects of runs, by uid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owned {
    pub jobs: HashMap<String, Box<Job>>,
    pub pods: HashMap<String, Box<Pod>>,
    pub events: HashMap<String, Box<Event>>,
}

/// Waiting reasons of containers that start normally.
const HARMLESS: [&str; 2] = ["ContainerCreating", "PodInitializing"];

impl Owned {
    fn run_of_event(&self, event: &Event) -> Option<RunId> {
        let about = event.involved_object.uid.as_ref()?;
        let pod = self.pods.get(about).map(|pod| &pod.metadata);
        let job = self.jobs.get(about).map(|job| &job.metadata);
        match pod.or(job) {
            Some(metadata) => metadata
                .labels
                .as_ref()?
                .get(naming::LABEL_RUN_UID)
                .cloned(),
            None => Some(about.clone()),
        }
    }

    /// Events about a run and what it owns, newest first.
    pub fn events_of(&self, run: &str) -> Vec<&Event> {
        let mut events: Vec<&Event> = self
            .events
            .values()
            .map(AsRef::as_ref)
            .filter(|event| self.run_of_event(event).as_deref() == Some(run))
            .collect();
        let at = |event: &Event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            last.or_else(|| {
                event
                    .metadata
                    .creation_timestamp
                    .as_ref()
                    .map(|time| time.0)
            })
        };
        // Break ties by uid, so that the order on screen is stable.
        events.sort_by(|a, b| {
            let newer = at(b).cmp(&at(a));
            newer.then_with(|| b.metadata.uid.cmp(&a.metadata.uid))
        });
        events
    }

    /// The runs with a pod that has not finished.
    pub fn pods_of_runs(&self) -> HashSet<&str> {
        let here = self.pods.values().filter(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        });
        here.filter_map(|pod| {
            let labels = pod.metadata.labels.as_ref()?;
            labels.get(naming::LABEL_RUN_UID).map(String::as_str)
        })
        .collect()
    }

    /// Why a pod of each run waits, as a sentence.
    pub fn troubles(&self) -> HashMap<RunId, String> {
        let waits = self.pods.values().filter_map(|pod| {
            let labels = pod.metadata.labels.as_ref()?;
            let run = labels.get(naming::LABEL_RUN_UID)?;
            Some((run.clone(), waiting(pod)?))
        });
        waits.collect()
    }
}

/// Returns why a pod waits, unless it starts normally.
fn waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unschedulable {
        let why = condition.message.as_deref().or(condition.reason.as_deref());
        return Some(format!(
            "waiting for a node: {}",
            why.unwrap_or("none fits")
        ));
    }
    let containers = status.init_container_statuses.iter().flatten();
    containers
        .chain(status.container_statuses.iter().flatten())
        .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
        .find_map(|waiting| {
            let reason = waiting
                .reason
                .as_deref()
                .filter(|reason| !HARMLESS.contains(reason))?;
            Some(waiting.message.as_ref().map_or_else(
                || format!("waiting: {reason}"),
                |message| format!("waiting: {message} ({reason})"),
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_host::cluster::Object;

    fn pod(status: &serde_json::Value) -> Object {
        let pod = serde_json::json!({
            "metadata": { "uid": "p", "labels": { naming::LABEL_RUN_UID: "r" } },
            "status": status,
        });
        Object::Pod(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn explains_waiting_pods_unless_starting() {
        let waiting = |reason: &str, message: &str| {
            serde_json::json!({ "containerStatuses": [{
                "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": message } },
            }] })
        };
        for (status, trouble) in [
            (
                waiting("CreateContainerConfigError", "secret \"x\" not found"),
                Some("waiting: secret \"x\" not found (CreateContainerConfigError)"),
            ),
            (waiting("ContainerCreating", ""), None),
            (
                serde_json::json!({ "conditions": [{
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
                }] }),
                Some("waiting for a node: 0/1 nodes are available"),
            ),
            (serde_json::json!({}), None),
        ] {
            let mut owned = Owned::default();
            let object = pod(&status);
            if let Object::Pod(pod) = object {
                owned.pods.insert("p".into(), pod);
            }
            let troubles = owned.troubles();
            assert_eq!(troubles.get("r").map(String::as_str), trouble);
            assert!(troubles.keys().all(|run| run == "r"));
        }
    }
}
