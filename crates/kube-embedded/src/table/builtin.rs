//! Columns of built-in kinds, as in Kubernetes.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    job, pod,
    values::{or_none, since},
};
use crate::{
    kinds::{DEFINITIONS, JOBS, LEASES, NAMESPACES, PODS},
    object::{list, text},
};

/// A column, and the function for its cell.
pub(super) struct Column {
    pub name: &'static str,
    /// `string` or `integer`.
    pub kind: &'static str,
    /// Whether the column is in wide output only.
    pub wide: bool,
    pub cell: fn(&Value, Timestamp) -> Value,
}

const fn shown(
    name: &'static str,
    kind: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        name,
        kind,
        wide: false,
        cell,
    }
}

const fn wide(
    name: &'static str,
    kind: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        wide: true,
        ..shown(name, kind, cell)
    }
}

const NAME: Column = shown("Name", "string", |object, _| {
    object["metadata"]["name"].clone()
});
const AGE: Column = shown("Age", "string", |object, now| {
    since(&object["metadata"]["creationTimestamp"], now).into()
});

/// Returns the columns of the kind stored as `resource`; name and age for unknown ones.
pub(super) fn columns(resource: &str) -> &'static [Column] {
    match resource {
        NAMESPACES => {
            const {
                &[
                    NAME,
                    shown("Status", "string", |namespace, _| {
                        namespace["status"]["phase"].clone()
                    }),
                    AGE,
                ]
            }
        }
        "configmaps" => {
            const {
                &[
                    NAME,
                    shown("Data", "integer", |map, _| {
                        (entries(&map["data"]) + entries(&map["binaryData"])).into()
                    }),
                    AGE,
                ]
            }
        }
        "secrets" => {
            const {
                &[
                    NAME,
                    shown("Type", "string", |secret, _| secret["type"].clone()),
                    shown("Data", "integer", |secret, _| {
                        entries(&secret["data"]).into()
                    }),
                    AGE,
                ]
            }
        }
        "persistentvolumeclaims" => {
            const {
                &[
                    NAME,
                    shown("Status", "string", claim_status),
                    shown("Volume", "string", |claim, _| {
                        text(claim, "/spec/volumeName").into()
                    }),
                    shown("Capacity", "string", |claim, _| {
                        if_bound(claim, text(claim, "/status/capacity/storage").to_owned())
                    }),
                    shown("Access Modes", "string", |claim, _| {
                        if_bound(claim, access_modes(claim))
                    }),
                    shown("StorageClass", "string", |claim, _| {
                        text(claim, "/spec/storageClassName").into()
                    }),
                    shown("VolumeAttributesClass", "string", |claim, _| {
                        match text(claim, "/spec/volumeAttributesClassName") {
                            "" => "<unset>",
                            class => class,
                        }
                        .into()
                    }),
                    AGE,
                    wide("VolumeMode", "string", |claim, _| {
                        match text(claim, "/spec/volumeMode") {
                            "" => "<unset>",
                            mode => mode,
                        }
                        .into()
                    }),
                ]
            }
        }
        PODS => {
            const {
                &[
                    NAME,
                    shown("Ready", "string", |pod, _| pod::ready(pod).into()),
                    shown("Status", "string", |pod, _| pod::status(pod).into()),
                    shown("Restarts", "string", |pod, now| {
                        pod::restarts(pod, now).into()
                    }),
                    AGE,
                    wide("IP", "string", |pod, _| or_none(text(pod, "/status/podIP"))),
                    wide("Node", "string", |pod, _| {
                        or_none(text(pod, "/spec/nodeName"))
                    }),
                    wide("Nominated Node", "string", |pod, _| {
                        or_none(text(pod, "/status/nominatedNodeName"))
                    }),
                    wide("Readiness Gates", "string", |_, _| or_none("")),
                ]
            }
        }
        JOBS => {
            const {
                &[
                    NAME,
                    shown("Status", "string", |job, _| job::status(job).into()),
                    shown("Completions", "string", |job, _| {
                        job::completions(job).into()
                    }),
                    shown("Duration", "string", |job, now| {
                        job::duration(job, now).into()
                    }),
                    AGE,
                    wide("Containers", "string", |job, _| {
                        job::containers(job, "name").into()
                    }),
                    wide("Images", "string", |job, _| {
                        job::containers(job, "image").into()
                    }),
                    wide("Selector", "string", |job, _| or_none(&job::selector(job))),
                ]
            }
        }
        "events" => {
            const {
                &[
                    shown("Last Seen", "string", |event, now| {
                        since(last_seen(event), now).into()
                    }),
                    shown("Type", "string", |event, _| event["type"].clone()),
                    shown("Reason", "string", |event, _| event["reason"].clone()),
                    shown("Object", "string", |event, _| event_object(event).into()),
                    wide("Subobject", "string", |event, _| {
                        text(event, "/involvedObject/fieldPath").into()
                    }),
                    wide("Source", "string", |event, _| event_source(event).into()),
                    shown("Message", "string", |event, _| {
                        text(event, "/message").trim().into()
                    }),
                    wide("First Seen", "string", |event, now| {
                        since(first_seen(event), now).into()
                    }),
                    wide("Count", "integer", event_count),
                    Column { wide: true, ..NAME },
                ]
            }
        }
        LEASES => {
            const {
                &[
                    NAME,
                    shown("Holder", "string", |lease, _| {
                        text(lease, "/spec/holderIdentity").into()
                    }),
                    AGE,
                ]
            }
        }
        DEFINITIONS => {
            const {
                &[
                    NAME,
                    shown("Created At", "date", |definition, _| {
                        definition["metadata"]["creationTimestamp"].clone()
                    }),
                ]
            }
        }
        _ => const { &[NAME, AGE] },
    }
}

fn entries(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

fn claim_status(claim: &Value, _: Timestamp) -> Value {
    if claim["metadata"].get("deletionTimestamp").is_some() {
        "Terminating".into()
    } else {
        claim["status"]["phase"].clone()
    }
}

/// Returns a cell that is empty until the claim has a volume.
fn if_bound(claim: &Value, cell: String) -> Value {
    if text(claim, "/spec/volumeName").is_empty() {
        String::new()
    } else {
        cell
    }
    .into()
}

fn access_modes(claim: &Value) -> String {
    let modes: Vec<&str> = list(claim, "/status/accessModes")
        .iter()
        .filter_map(|mode| match mode.as_str()? {
            "ReadWriteOnce" => Some("RWO"),
            "ReadOnlyMany" => Some("ROX"),
            "ReadWriteMany" => Some("RWX"),
            "ReadWriteOncePod" => Some("RWOP"),
            _ => None,
        })
        .collect();
    modes.join(",")
}

fn first_seen(event: &Value) -> &Value {
    match &event["firstTimestamp"] {
        Value::Null => &event["eventTime"],
        time => time,
    }
}

fn last_seen(event: &Value) -> &Value {
    match (
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
    ) {
        (Value::Null, Value::Null) => first_seen(event),
        (Value::Null, time) | (time, _) => time,
    }
}

fn event_object(event: &Value) -> String {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    match text(event, "/involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn event_source(event: &Value) -> String {
    let component = match text(event, "/source/component") {
        "" => text(event, "/reportingComponent"),
        component => component,
    };
    match text(event, "/source/host") {
        "" => component.to_owned(),
        host => format!("{component}, {host}"),
    }
}

fn event_count(event: &Value, _: Timestamp) -> Value {
    let count = [&event["series"]["count"], &event["count"]]
        .into_iter()
        .filter_map(Value::as_i64)
        .find(|count| *count > 0);
    count.unwrap_or(1).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cells(resource: &str, object: &Value) -> Vec<String> {
        let now = "2024-01-01T01:00:00Z".parse().unwrap();
        columns(resource)
            .iter()
            .map(|column| match (column.cell)(object, now) {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            })
            .collect()
    }

    #[test]
    fn rows_match_kubernetes() {
        let metadata = json!({"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"});
        for (resource, object, expected) in [
            (
                "namespaces",
                json!({"metadata": metadata, "status": {"phase": "Active"}}),
                vec!["x", "Active", "60m"],
            ),
            (
                "configmaps",
                json!({"metadata": metadata, "data": {"a": "1", "b": "2"}, "binaryData": {"c": ""}}),
                vec!["x", "3", "60m"],
            ),
            (
                "secrets",
                json!({"metadata": metadata, "type": "Opaque"}),
                vec!["x", "Opaque", "0", "60m"],
            ),
            (
                "persistentvolumeclaims",
                json!({"metadata": metadata, "spec": {"volumeName": "v", "storageClassName": "s"},
                       "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": "1Gi"}}}),
                vec![
                    "x", "Bound", "v", "1Gi", "RWO,ROX", "s", "<unset>", "60m", "<unset>",
                ],
            ),
            (
                "persistentvolumeclaims",
                json!({"metadata": metadata, "status": {"phase": "Pending", "accessModes": ["ReadWriteOnce"]}}),
                vec!["x", "Pending", "", "", "", "", "<unset>", "60m", "<unset>"],
            ),
            (
                "events",
                json!({"metadata": metadata, "type": "Normal", "reason": "R", "message": " m\n", "involvedObject": {"kind": "Pod", "name": "p"},
                       "source": {"component": "c", "host": "h"}, "lastTimestamp": "2024-01-01T00:59:00Z", "firstTimestamp": "2024-01-01T00:50:00Z"}),
                vec![
                    "60s", "Normal", "R", "pod/p", "", "c, h", "m", "10m", "1", "x",
                ],
            ),
            (
                "events",
                json!({"metadata": metadata, "type": "Normal", "reason": "R", "message": "m", "involvedObject": {"kind": "Pod"},
                       "reportingComponent": "c", "eventTime": "2024-01-01T00:50:00.000000Z", "series": {"count": 7, "lastObservedTime": "2024-01-01T00:59:59Z"}}),
                vec!["1s", "Normal", "R", "pod", "", "c", "m", "10m", "7", "x"],
            ),
            (
                "leases.coordination.k8s.io",
                json!({"metadata": metadata, "spec": {"holderIdentity": "me"}}),
                vec!["x", "me", "60m"],
            ),
            (
                "customresourcedefinitions.apiextensions.k8s.io",
                json!({"metadata": metadata}),
                vec!["x", "2024-01-01T00:00:00Z"],
            ),
        ] {
            assert_eq!(cells(resource, &object), expected, "{object}");
        }
    }
}
