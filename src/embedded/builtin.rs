//! What the API server itself fills in and refuses for built-in kinds. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    definitions,
    failure::Cause,
    kinds::{DEFINITIONS, JOBS, Kind, LEASES, NAMESPACES, PODS},
    object::{add_finalizer, child_mut, list, map_mut, text},
};

/// Fills in defaults before an object is created. Its name and uid are there already.
pub fn complete_new(kind: &Kind, value: &mut Value, now: &str) {
    match &*kind.resource {
        NAMESPACES => {
            let name = value["metadata"]["name"].clone();
            child_mut(&mut value["metadata"], "labels")
                .entry("kubernetes.io/metadata.name")
                .or_insert(name);
            value["status"] = json!({"phase": "Active"});
        }
        PODS => {
            complete_pod_spec(&mut value["spec"]);
            value["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
        }
        "persistentvolumeclaims" => value["status"] = json!({"phase": "Pending"}),
        JOBS => complete_job(value),
        DEFINITIONS => add_finalizer(value, definitions::CLEANUP_FINALIZER),
        _ => {}
    }
    complete(kind, value, now);
}

/// Fills in what is derived anew at every write.
pub fn complete(kind: &Kind, value: &mut Value, now: &str) {
    match &*kind.resource {
        "secrets" => complete_secret(value),
        DEFINITIONS => definitions::complete(value, now),
        _ => {}
    }
}

fn complete_secret(secret: &mut Value) {
    let plain = map_mut(secret).shift_remove("stringData");
    if let Some(Value::Object(plain)) = plain {
        let data = child_mut(secret, "data");
        for (key, text) in plain {
            let encoded = BASE64_STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, encoded.into());
        }
    }
    map_mut(secret)
        .entry("type")
        .or_insert_with(|| "Opaque".into());
}

fn complete_job(job: &mut Value) {
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
    complete_pod_spec(&mut job["spec"]["template"]["spec"]);
}

fn complete_pod_spec(spec: &mut Value) {
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

/// What the Job controller here does not do is refused, never passed over: it runs one pod, again after a failure.
fn unsupported_job(spec: &Value) -> Vec<Cause> {
    let only = [
        ("parallelism", json!(1)),
        ("completions", json!(1)),
        ("completionMode", json!("NonIndexed")),
        ("manualSelector", json!(false)),
        ("podFailurePolicy", Value::Null),
        ("successPolicy", Value::Null),
        ("backoffLimitPerIndex", Value::Null),
        ("managedBy", Value::Null),
    ];
    only.into_iter()
        .filter(|(field, only)| spec[*field] != *only)
        .map(|(field, only)| Cause {
            reason: "FieldValueNotSupported",
            field: format!("spec.{field}"),
            message: match only {
                Value::Null => "Unsupported value: the embedded cluster does not support it".to_owned(),
                only => format!(
                    "Unsupported value: {}: supported values: {only} (the embedded cluster runs one pod of a Job at a time)",
                    spec[field]
                ),
            },
        })
        .collect()
}

/// Whether an object has the types of its kind; the sentence says where it has not.
pub fn check_types(kind: &Kind, value: &Value) -> Result<(), String> {
    use k8s_openapi::{
        api::{batch::v1 as batch, coordination::v1 as coordination, core::v1 as core},
        apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    };

    fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<(), String> {
        T::deserialize(value)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
    match &*kind.resource {
        NAMESPACES => read::<core::Namespace>(value),
        "configmaps" => read::<core::ConfigMap>(value),
        "secrets" => read::<core::Secret>(value),
        "persistentvolumeclaims" => read::<core::PersistentVolumeClaim>(value),
        "events" => read::<core::Event>(value),
        PODS => read::<core::Pod>(value),
        JOBS => read::<batch::Job>(value),
        LEASES => read::<coordination::Lease>(value),
        DEFINITIONS => read::<extensions::CustomResourceDefinition>(value),
        _ => Ok(()),
    }
}

/// What is wrong with an object, or with the change from `old`.
pub fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = match &*kind.resource {
        PODS => pod(new, old),
        JOBS => job(new, old),
        LEASES => lease(new),
        DEFINITIONS => definitions::validate(new),
        "configmaps" | "secrets" => immutable_data(new, old),
        "persistentvolumeclaims" => match old {
            None if list(new, "/spec/accessModes").is_empty() => {
                vec![Cause::required("spec.accessModes")]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    causes.extend(labels(new));
    causes
}

fn labels(value: &Value) -> Vec<Cause> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let fits = |text: &str| {
        text.len() <= 63
            && text.chars().all(allowed)
            && edge(text.chars().next())
            && edge(text.chars().next_back())
    };
    let labels = value["metadata"]["labels"].as_object();
    labels
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.as_str().is_some_and(fits))
        .map(|(_, value)| {
            Cause::invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', must start and end with an alphanumeric character, and have at most 63 characters",
            )
        })
        .collect()
}

fn containers(spec: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if list(spec, "/containers").is_empty() {
        causes.push(Cause::required(format!("{at}.containers")));
    }
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            let at = format!("{at}.{field}[{index}]");
            for name in ["name", "image"] {
                if text(container, &format!("/{name}")).is_empty() {
                    causes.push(Cause::required(format!("{at}.{name}")));
                }
            }
            let name = text(container, "/name");
            if !name.is_empty() && !is_dns_label(name) {
                causes.push(Cause::invalid(
                    format!("{at}.name"),
                    &container["name"],
                    "must be a lowercase RFC 1123 label of at most 63 characters",
                ));
            }
            for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
                let known = list(spec, "/volumes")
                    .iter()
                    .any(|volume| volume["name"] == mount["name"]);
                if !known {
                    causes.push(Cause {
                        reason: "FieldValueNotFound",
                        field: format!("{at}.volumeMounts[{index}].name"),
                        message: format!("Not found: {}", mount["name"]),
                    });
                }
            }
        }
    }
    causes
}

fn pod(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else {
        return containers(&new["spec"], "spec");
    };
    let mut causes = Vec::new();
    let deadline = |pod: &Value| pod["spec"]["activeDeadlineSeconds"].as_i64();
    match (deadline(old), deadline(new)) {
        (Some(before), Some(after)) if after > before => causes.push(Cause::invalid(
            "spec.activeDeadlineSeconds",
            &after.into(),
            format!("must be less than or equal to previous value {before}"),
        )),
        (Some(_), None) => causes.push(Cause::invalid(
            "spec.activeDeadlineSeconds",
            &Value::Null,
            "must not update from a positive integer to nil value",
        )),
        (_, Some(after)) if after < 1 => causes.push(Cause::invalid(
            "spec.activeDeadlineSeconds",
            &after.into(),
            "must be between 1 and 2147483647, inclusive",
        )),
        _ => {}
    }
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        let map = map_mut(&mut spec);
        for field in ["activeDeadlineSeconds", "nodeName", "tolerations"] {
            map.shift_remove(field);
        }
        for field in ["containers", "initContainers"] {
            if let Some(Value::Array(all)) = map.get_mut(field) {
                for container in all {
                    map_mut(container).shift_remove("image");
                }
            }
        }
        spec
    };
    let bound = text(old, "/spec/nodeName");
    if fixed(old) != fixed(new) || !bound.is_empty() && bound != text(new, "/spec/nodeName") {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds` and `spec.tolerations`",
        ));
    }
    causes
}

fn job(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else {
        let mut causes = containers(&new["spec"]["template"]["spec"], "spec.template.spec");
        let policy = text(new, "/spec/template/spec/restartPolicy");
        if !matches!(policy, "Never" | "OnFailure") {
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                field: "spec.template.spec.restartPolicy".to_owned(),
                message: format!(
                    "Unsupported value: {policy:?}: supported values: \"OnFailure\", \"Never\""
                ),
            });
        }
        causes.extend(unsupported_job(&new["spec"]));
        if text(new, "/metadata/name").len() > 63 {
            causes.push(Cause::invalid(
                "spec.template.labels",
                &new["metadata"]["name"],
                "must be no more than 63 characters",
            ));
        }
        return causes;
    };
    let suspended = old["spec"]["suspend"] == true;
    ["template", "selector", "completions", "completionMode"]
        .into_iter()
        .filter(|field| !(suspended && *field == "template"))
        .filter(|field| old["spec"][*field] != new["spec"][*field])
        .map(|field| {
            Cause::invalid(
                format!("spec.{field}"),
                &new["spec"][field],
                "field is immutable",
            )
        })
        .collect()
}

fn lease(new: &Value) -> Vec<Cause> {
    let spec = &new["spec"];
    let mut causes = Vec::new();
    if spec["leaseDurationSeconds"]
        .as_i64()
        .is_some_and(|seconds| seconds < 1)
    {
        causes.push(Cause::invalid(
            "spec.leaseDurationSeconds",
            &spec["leaseDurationSeconds"],
            "must be greater than 0",
        ));
    }
    if spec["leaseTransitions"]
        .as_i64()
        .is_some_and(|count| count < 0)
    {
        causes.push(Cause::invalid(
            "spec.leaseTransitions",
            &spec["leaseTransitions"],
            "must be greater than or equal to 0",
        ));
    }
    causes
}

fn immutable_data(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return Vec::new();
    };
    ["immutable", "data", "binaryData", "type"]
        .into_iter()
        .filter(|field| old[*field] != new[*field])
        .map(|field| Cause::forbidden(field, "field is immutable when `immutable` is set"))
        .collect()
}

/// Whether `name` may name a namespace or a container.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_dns_subdomain(name)
}

/// Whether `name` may name an object.
pub fn is_dns_subdomain(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|part| {
            part.starts_with(edge)
                && part.ends_with(edge)
                && part.chars().all(|c| edge(c) || c == '-')
        })
}
