//! Validation of built-in kinds, with the messages of the API server. Pure.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    crd,
    kinds::{DEFINITIONS, JOBS, Kind, LEASES, PODS},
    metadata,
    object::{list, map_mut, text},
    status::Cause,
};

/// Validates an object, or the change from `old`.
pub(crate) fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = match &*kind.resource {
        PODS => pod(new, old),
        JOBS => job(new, old),
        LEASES => lease(new),
        DEFINITIONS => crd::validate(new),
        "events" => event(new),
        "configmaps" | "secrets" => data(new, old),
        "persistentvolumeclaims" => claim(new, old),
        _ => Vec::new(),
    };
    causes.extend(metadata::validate(new));
    causes
}

/// Returns what is wrong with the spec of a pod or a pod template, which is at `at`.
fn pod_spec(spec: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = HashSet::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        causes.extend(own_name(
            volume,
            &format!("{at}.volumes[{index}]"),
            &mut names,
        ));
    }
    if list(spec, "/containers").is_empty() {
        causes.push(Cause::required(format!("{at}.containers")));
    }
    let mut names = HashSet::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in list(spec, &format!("/{field}")).iter().enumerate() {
            let at = format!("{at}.{field}[{index}]");
            causes.extend(own_name(container, &at, &mut names));
            if text(container, "/image").is_empty() {
                causes.push(Cause::required(format!("{at}.image")));
            }
            causes.extend(environment(container, &at));
            for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
                let known = list(spec, "/volumes")
                    .iter()
                    .any(|volume| volume["name"] == mount["name"]);
                if !known {
                    let field = format!("{at}.volumeMounts[{index}].name");
                    causes.push(Cause::not_found(field, &mount["name"]));
                }
            }
        }
    }
    causes
}

/// Checks the name of a volume or container at `at`: a DNS label that is not among `names` yet.
fn own_name<'a>(item: &'a Value, at: &str, names: &mut HashSet<&'a str>) -> Option<Cause> {
    let field = format!("{at}.name");
    let name = text(item, "/name");
    if name.is_empty() {
        return Some(Cause::required(field));
    }
    if let Err(why) = metadata::label(name) {
        return Some(Cause::invalid(field, &item["name"], why));
    }
    (!names.insert(name)).then(|| Cause::duplicate(field, &item["name"]))
}

/// Checks the names of a container's environment variables, and the prefixes of those that come from an object.
fn environment(container: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (list_name, field) in [("env", "name"), ("envFrom", "prefix")] {
        for (index, item) in list(container, &format!("/{list_name}")).iter().enumerate() {
            let at = format!("{at}.{list_name}[{index}].{field}");
            let name = text(item, &format!("/{field}"));
            if name.is_empty() && field == "name" {
                causes.push(Cause::required(at));
            } else if !name.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
                causes.push(Cause::invalid(
                    at,
                    &item[field],
                    "a valid environment variable name must consist only of printable ASCII characters other than '='",
                ));
            }
        }
    }
    causes
}

fn pod(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else {
        return pod_spec(&new["spec"], "spec");
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
        let mut causes = pod_spec(&new["spec"]["template"]["spec"], "spec.template.spec");
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
    let template = |job: &Value| {
        let mut template = job["spec"]["template"].clone();
        // A suspended Job that has not started may still change its scheduling.
        if old["spec"]["suspend"] == true && old["status"]["startTime"].is_null() {
            if let Some(Value::Object(spec)) = template.get_mut("spec") {
                for field in ["nodeSelector", "affinity", "tolerations", "schedulingGates"] {
                    spec.shift_remove(field);
                }
            }
            if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
                metadata.shift_remove("labels");
                metadata.shift_remove("annotations");
            }
        }
        template
    };
    let immutable = |field: &str| {
        Cause::invalid(
            format!("spec.{field}"),
            &new["spec"][field],
            "field is immutable",
        )
    };
    let mut causes: Vec<Cause> = [
        "selector",
        "completions",
        "completionMode",
        "podFailurePolicy",
        "successPolicy",
        "backoffLimitPerIndex",
        "managedBy",
    ]
    .into_iter()
    .filter(|field| old["spec"][*field] != new["spec"][*field])
    .map(immutable)
    .collect();
    if template(old) != template(new) {
        causes.push(immutable("template"));
    }
    causes
}

/// Rejects what the Job controller does not support; it runs one pod at a time.
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

fn event(new: &Value) -> Vec<Cause> {
    let about = text(new, "/involvedObject/namespace");
    if about.is_empty() || about == text(new, "/metadata/namespace") {
        return Vec::new();
    }
    vec![Cause::invalid(
        "involvedObject.namespace",
        &about.into(),
        "does not match event.namespace",
    )]
}

/// Maximum size of the data of a ConfigMap or Secret, in bytes.
const MAX_DATA: u64 = 1 << 20;

/// Validates a ConfigMap or Secret.
fn data(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in new[field].as_object().into_iter().flatten() {
            size += value
                .as_str()
                .map_or(0, |text| decoded_size(new, field, text));
            if !is_data_key(key) {
                causes.push(Cause::invalid(
                    format!("{field}[{key}]"),
                    &key.as_str().into(),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                ));
            }
        }
    }
    if size > MAX_DATA {
        let at = if new["kind"] == "Secret" { "data" } else { "" };
        causes.push(Cause::too_long(at, MAX_DATA));
    }
    let Some(old) = old else { return causes };
    if new["kind"] == "Secret" && old["type"] != new["type"] {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
    if old["immutable"] == true {
        let changed = ["immutable", "data", "binaryData"]
            .into_iter()
            .filter(|field| old[*field] != new[*field]);
        causes
            .extend(changed.map(|field| {
                Cause::forbidden(field, "field is immutable when `immutable` is set")
            }));
    }
    causes
}

/// Returns the size of a value; binary values are base64.
fn decoded_size(object: &Value, field: &str, text: &str) -> u64 {
    let binary = field == "binaryData" || object["kind"] == "Secret";
    let length = text.len() as u64;
    if binary { length / 4 * 3 } else { length }
}

fn is_data_key(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty()
        && key.len() <= 253
        && key.chars().all(fits)
        && !key.starts_with("..")
        && key != "."
}

fn claim(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(old) = old else {
        return if list(new, "/spec/accessModes").is_empty() {
            vec![Cause::required("spec.accessModes")]
        } else {
            Vec::new()
        };
    };
    let bound = old["status"]["phase"] == "Bound";
    let fixed = |claim: &Value| {
        let mut spec = claim["spec"].clone();
        if bound {
            if let Some(resources) = spec.get_mut("resources") {
                map_mut(resources).shift_remove("requests");
            }
            map_mut(&mut spec).shift_remove("volumeAttributesClassName");
        }
        if text(old, "/spec/volumeName").is_empty() {
            map_mut(&mut spec).shift_remove("volumeName");
        }
        spec
    };
    if fixed(old) == fixed(new) {
        return Vec::new();
    }
    vec![Cause::forbidden(
        "spec",
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
    )]
}
