//! What the types of the built-in kinds know, and of every other kind its metadata. Pure.

use k8s_openapi::{
    api::{batch::v1 as batch, coordination::v1 as coordination, core::v1 as core},
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    kinds::{DEFINITIONS, JOBS, Kind, LEASES, NAMESPACES, PODS},
    object::text,
};

/// Takes out of an object what its type does not know, and nulls; the paths of what was taken out. The sentence of an
/// error says where it does not have the types of its kind.
pub fn prune(kind: &Kind, value: &mut Value) -> Result<Vec<String>, String> {
    let (part, at, known): (&mut Value, &str, Known) = match &*kind.resource {
        NAMESPACES => (value, "", known::<core::Namespace>),
        "configmaps" => (value, "", known::<core::ConfigMap>),
        "secrets" => (value, "", known::<core::Secret>),
        "persistentvolumeclaims" => (value, "", known::<core::PersistentVolumeClaim>),
        "events" => (value, "", known::<core::Event>),
        PODS => (value, "", known::<core::Pod>),
        JOBS => (value, "", known::<batch::Job>),
        LEASES => (value, "", known::<coordination::Lease>),
        DEFINITIONS => (value, "", known::<extensions::CustomResourceDefinition>),
        _ => (&mut value["metadata"], "metadata", known::<ObjectMeta>),
    };
    let known = known(part)?;
    exact_times(kind, part)?;
    let mut removed = Vec::new();
    keep(part, &known, at, &mut removed);
    Ok(removed)
}

/// Times in microseconds have exactly six digits after the second; the API server reads no others.
fn exact_times(kind: &Kind, value: &Value) -> Result<(), String> {
    let places: &[&str] = match &*kind.resource {
        LEASES => &["/spec/acquireTime", "/spec/renewTime"],
        "events" => &["/eventTime", "/series/lastObservedTime"],
        _ => &[],
    };
    for place in places {
        let text = text(value, place);
        let fraction = text.split_once('.').map(|(_, rest)| rest);
        let digits = fraction.map_or(0, |rest| {
            rest.bytes().take_while(u8::is_ascii_digit).count()
        });
        if !text.is_empty() && digits != 6 {
            return Err(format!(
                "parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse it"
            ));
        }
    }
    Ok(())
}

/// What a type takes in of a value.
type Known = fn(&Value) -> Result<Value, String>;

fn known<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, String> {
    let read = T::deserialize(value).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

/// Keeps of `value` what is in `known` too, and in its words: times are values that can be written in many ways.
fn keep(value: &mut Value, known: &Value, at: &str, removed: &mut Vec<String>) {
    match (value, known) {
        (Value::Object(map), Value::Object(known)) => {
            let join = |name: &str| match at {
                "" => name.to_owned(),
                at => format!("{at}.{name}"),
            };
            map.retain(|name, child| {
                let stays = known.contains_key(name);
                if !stays && !child.is_null() {
                    removed.push(join(name));
                }
                stays
            });
            for (name, child) in map.iter_mut() {
                if let Some(known) = known.get(name) {
                    keep(child, known, &join(name), removed);
                }
            }
        }
        (Value::Array(items), Value::Array(known)) if items.len() == known.len() => {
            for (index, (item, known)) in items.iter_mut().zip(known).enumerate() {
                keep(item, known, &format!("{at}[{index}]"), removed);
            }
        }
        (value, known) => value.clone_from(known),
    }
}
