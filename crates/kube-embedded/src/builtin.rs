//! Defaults and validation ([`validate`]) of built-in kinds. Pure.

mod prune;
mod rules;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

pub(crate) use self::prune::prune;
pub(crate) use rules::validate;

use super::{
    crd,
    kinds::{DEFINITIONS, JOBS, Kind, NAMESPACES, PODS},
    object::{add_finalizer, child_mut, map_mut, text},
};

/// Label of every namespace, holding its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Sets the defaults of a new object, whose name and uid are already set.
pub(crate) fn prepare_for_create(kind: &Kind, value: &mut Value, now: &str) {
    match &*kind.resource {
        NAMESPACES => {
            child_mut(value, "spec")
                .entry("finalizers")
                .or_insert(json!(["kubernetes"]));
            value["status"] = json!({"phase": "Active"});
        }
        PODS => {
            default_pod_spec(&mut value["spec"]);
            value["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
        }
        "persistentvolumeclaims" => value["status"] = json!({"phase": "Pending"}),
        JOBS => default_job(value),
        DEFINITIONS => add_finalizer(value, crd::CLEANUP_FINALIZER),
        _ => {}
    }
    prepare_for_update(kind, value, now);
}

/// Sets the fields that are derived at every write.
pub(crate) fn prepare_for_update(kind: &Kind, value: &mut Value, now: &str) {
    match &*kind.resource {
        NAMESPACES => {
            let name = value["metadata"]["name"].clone();
            child_mut(&mut value["metadata"], "labels").insert(NAME_LABEL.into(), name);
        }
        "secrets" => encode_string_data(value),
        DEFINITIONS => crd::prepare(value, now),
        _ => {}
    }
}

fn encode_string_data(secret: &mut Value) {
    let string_data = map_mut(secret).shift_remove("stringData");
    if let Some(Value::Object(string_data)) = string_data {
        let data = child_mut(secret, "data");
        for (key, text) in string_data {
            let encoded = BASE64_STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, encoded.into());
        }
    }
    map_mut(secret)
        .entry("type")
        .or_insert_with(|| "Opaque".into());
}

fn default_job(job: &mut Value) {
    let name = text(job, "/metadata/name").to_owned();
    let uid = text(job, "/metadata/uid").to_owned();
    let spec = map_mut(&mut job["spec"]);
    for (field, default) in [
        ("parallelism", json!(1)),
        ("completions", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("manualSelector", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        spec.entry(field).or_insert(default);
    }
    if spec["manualSelector"] != true {
        let labels = [
            ("batch.kubernetes.io/controller-uid", uid.as_str()),
            ("batch.kubernetes.io/job-name", name.as_str()),
            ("controller-uid", uid.as_str()),
            ("job-name", name.as_str()),
        ];
        spec.insert(
            "selector".into(),
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
        );
        let template = map_mut(spec.entry("template").or_insert(Value::Null));
        let metadata = template.entry("metadata").or_insert(Value::Null);
        let wanted = child_mut(metadata, "labels");
        for (label, value) in labels {
            wanted.insert(label.into(), value.into());
        }
    }
    default_pod_spec(&mut job["spec"]["template"]["spec"]);
}

fn default_pod_spec(spec: &mut Value) {
    let spec = map_mut(spec);
    for (field, default) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        spec.entry(field).or_insert(default);
    }
    for field in ["initContainers", "containers"] {
        let Some(Value::Array(containers)) = spec.get_mut(field) else {
            continue;
        };
        for container in containers {
            let container = map_mut(container);
            for (field, default) in [
                ("terminationMessagePath", json!("/dev/termination-log")),
                ("terminationMessagePolicy", json!("File")),
                ("imagePullPolicy", json!("IfNotPresent")),
                ("resources", json!({})),
            ] {
                container.entry(field).or_insert(default);
            }
        }
    }
    let Some(Value::Array(volumes)) = spec.get_mut("volumes") else {
        return;
    };
    for volume in volumes {
        for source in ["configMap", "secret", "projected"] {
            if let Some(source) = volume.get_mut(source) {
                map_mut(source).entry("defaultMode").or_insert(json!(0o644));
            }
        }
    }
}
