//! State of a pod that outlives the node.
//!
//! | file in the pod's directory | meaning |
//! |---|---|
//! | `ticket` | its position in the queue |
//! | `begun` | it was admitted, so its containers may be running |

use std::{fs, io, path::Path};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::super::{
    Node,
    queue::{Slots, Ticket},
};

/// Start of a pod: its ticket, and its slots if it was admitted by an earlier node.
pub(crate) struct PodStart {
    pub ticket: Ticket,
    /// Time of the admission, and the slots.
    pub begun: Option<(Timestamp, Slots)>,
}

/// State of a pod saved by an earlier node.
#[derive(Default)]
pub(crate) struct SavedState {
    pub ticket: Option<Ticket>,
    pub begun: Option<Timestamp>,
}

impl SavedState {
    fn read(directory: &Path) -> Self {
        let ticket = fs::read_to_string(directory.join("ticket")).ok();
        let begun = fs::metadata(directory.join("begun")).ok();
        Self {
            ticket: ticket.and_then(|text| text.parse().ok()),
            begun: begun.map(|file| {
                let written = file.modified().ok();
                let at = written.and_then(|at| Timestamp::try_from(at).ok());
                at.unwrap_or_else(Timestamp::now)
            }),
        }
    }
}

/// Saves a pod's ticket. Blocking.
pub(super) fn save_ticket(directory: &Path, ticket: Ticket) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("ticket"), ticket.to_string())
}

/// Returns the number of slots a pod needs: its containers run at once.
#[must_use]
pub(crate) fn slots(pod: &Pod) -> usize {
    pod.spec.as_ref().map_or(1, |spec| spec.containers.len())
}

/// Returns pods with their saved state, in the order they queue. Blocking.
pub(crate) fn in_queue_order(node: &Node, pods: Vec<Pod>) -> Vec<(Pod, SavedState)> {
    let mut all: Vec<(Pod, SavedState)> = pods
        .into_iter()
        .map(|pod| {
            let uid = pod.uid().unwrap_or_default();
            let saved = SavedState::read(&node.pod_directory(&uid));
            (pod, saved)
        })
        .collect();
    all.sort_by_cached_key(|(pod, saved)| queue_order(pod, saved));
    all
}

/// Returns the sort key of a pod. A pod without ticket was never touched by a node, so its resource version still tells
/// when it was created.
fn queue_order(pod: &Pod, saved: &SavedState) -> (bool, Ticket, Option<Timestamp>, u64) {
    let version = pod.resource_version().unwrap_or_default();
    (
        saved.ticket.is_none(),
        saved.ticket.unwrap_or_default(),
        pod.creation_timestamp().map(|time| time.0),
        version.parse().unwrap_or(u64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_pods_keep_their_order_before_new_ones() {
        let pod = |name: &str, second: u32, version: &str| -> Pod {
            let at = format!("2026-01-01T00:00:{second:02}Z");
            let metadata =
                json!({"name": name, "creationTimestamp": at, "resourceVersion": version});
            serde_json::from_value(json!({ "metadata": metadata })).unwrap()
        };
        let saved = |ticket| SavedState {
            ticket,
            begun: None,
        };
        let mut all = [
            (pod("new-b", 1, "11"), saved(None)),
            (pod("new-a", 1, "9"), saved(None)),
            (pod("second", 1, "50"), saved(Some(12))),
            (pod("first", 9, "60"), saved(Some(7))),
        ];
        all.sort_by_cached_key(|(pod, saved)| queue_order(pod, saved));
        let names = all.map(|(pod, _)| pod.name_any());
        assert_eq!(names, ["first", "second", "new-a", "new-b"]);
    }

    #[test]
    fn saved_state_round_trips() {
        let directory = tempfile::tempdir().unwrap();
        let pod = directory.path().join("uid");
        let saved = SavedState::read(&pod);
        assert!(saved.ticket.is_none() && saved.begun.is_none());
        save_ticket(&pod, 42).unwrap();
        fs::write(pod.join("begun"), "").unwrap();
        let saved = SavedState::read(&pod);
        assert!(saved.ticket == Some(42) && saved.begun.is_some());
    }
}
