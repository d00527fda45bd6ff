//! How a pod comes to this node: new, or with what an earlier node left of it.
//!
//! | file in the pod's directory | says |
//! |---|---|
//! | `ticket` | its number in the queue |
//! | `begun` | it had its place: containers of it may run |

use std::{fs, io, path::Path};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::super::{
    Node,
    queue::{Place, Ticket},
};

/// A pod's number in the queue, and since when it has which places when it runs already.
pub struct Arrival {
    pub ticket: Ticket,
    pub begun: Option<(Timestamp, Place)>,
}

/// What an earlier node left of a pod.
#[derive(Default)]
pub struct Trace {
    pub ticket: Option<Ticket>,
    pub begun: Option<Timestamp>,
}

impl Trace {
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

/// Keeps a pod's number for the next node. Blocking.
pub fn keep_ticket(directory: &Path, ticket: Ticket) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("ticket"), ticket.to_string())
}

/// How many containers of a pod run at once.
#[must_use]
pub fn size(pod: &Pod) -> usize {
    pod.spec.as_ref().map_or(1, |spec| spec.containers.len())
}

/// Pods with their traces, the ones that were here first in front. Blocking.
pub fn in_order(node: &Node, pods: Vec<Pod>) -> Vec<(Pod, Trace)> {
    let mut all: Vec<(Pod, Trace)> = pods
        .into_iter()
        .map(|pod| {
            let uid = pod.uid().unwrap_or_default();
            let trace = Trace::read(&node.pod_directory(&uid));
            (pod, trace)
        })
        .collect();
    all.sort_by_cached_key(|(pod, trace)| order(pod, trace));
    all
}

/// A pod without a number was never touched by a node, so that its version still tells when it was made.
fn order(pod: &Pod, trace: &Trace) -> (bool, Ticket, Option<Timestamp>, u64) {
    let version = pod.resource_version().unwrap_or_default();
    (
        trace.ticket.is_none(),
        trace.ticket.unwrap_or_default(),
        pod.creation_timestamp().map(|time| time.0),
        version.parse().unwrap_or(u64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_queue_up_as_they_did_before_and_new_ones_behind_them() {
        let pod = |name: &str, second: u32, version: &str| -> Pod {
            let at = format!("2026-01-01T00:00:{second:02}Z");
            let metadata =
                json!({"name": name, "creationTimestamp": at, "resourceVersion": version});
            serde_json::from_value(json!({ "metadata": metadata })).unwrap()
        };
        let trace = |ticket| Trace {
            ticket,
            begun: None,
        };
        let mut all = [
            (pod("new-b", 1, "11"), trace(None)),
            (pod("new-a", 1, "9"), trace(None)),
            (pod("second", 1, "50"), trace(Some(12))),
            (pod("first", 9, "60"), trace(Some(7))),
        ];
        all.sort_by_cached_key(|(pod, trace)| order(pod, trace));
        let names = all.map(|(pod, _)| pod.name_any());
        assert_eq!(names, ["first", "second", "new-a", "new-b"]);
    }

    #[test]
    fn what_was_kept_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let pod = directory.path().join("uid");
        let trace = Trace::read(&pod);
        assert!(trace.ticket.is_none() && trace.begun.is_none());
        keep_ticket(&pod, 42).unwrap();
        fs::write(pod.join("begun"), "").unwrap();
        let trace = Trace::read(&pod);
        assert!(trace.ticket == Some(42) && trace.begun.is_some());
    }
}
