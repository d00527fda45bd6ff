//! Pruning of objects by their Rust types: built-in kinds as a whole, custom resources by their metadata. Pure.

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

/// Removes unknown fields and nulls from an object. Returns the paths of unknown fields, or an error if a field has the
/// wrong type.
pub(crate) fn prune(kind: &Kind, value: &mut Value) -> Result<Vec<String>, String> {
    let (part, at, round_trip): (&mut Value, &str, RoundTrip) = match &*kind.resource {
        NAMESPACES => (value, "", round_trip::<core::Namespace>),
        "configmaps" => (value, "", round_trip::<core::ConfigMap>),
        "secrets" => (value, "", round_trip::<core::Secret>),
        "persistentvolumeclaims" => (value, "", round_trip::<core::PersistentVolumeClaim>),
        "events" => (value, "", round_trip::<core::Event>),
        PODS => (value, "", round_trip::<core::Pod>),
        JOBS => (value, "", round_trip::<batch::Job>),
        LEASES => (value, "", round_trip::<coordination::Lease>),
        DEFINITIONS => (
            value,
            "",
            round_trip::<extensions::CustomResourceDefinition>,
        ),
        _ => (&mut value["metadata"], "metadata", round_trip::<ObjectMeta>),
    };
    let round_trip = round_trip(part)?;
    check_micro_times(kind, part)?;
    let mut removed = Vec::new();
    retain_known(part, &round_trip, at, &mut removed);
    Ok(removed)
}

/// Checks that microsecond times have exactly six digits, as the API server demands.
fn check_micro_times(kind: &Kind, value: &Value) -> Result<(), String> {
    let pointers: &[&str] = match &*kind.resource {
        LEASES => &["/spec/acquireTime", "/spec/renewTime"],
        "events" => &["/eventTime", "/series/lastObservedTime"],
        _ => &[],
    };
    for pointer in pointers {
        let text = text(value, pointer);
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

/// Converts a value to a type and back, which drops unknown fields.
type RoundTrip = fn(&Value) -> Result<Value, String>;

fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, String> {
    let read = T::deserialize(value).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

/// Removes from `value` what `known` lacks, and takes over its values, since a time can be written in several ways.
fn retain_known(value: &mut Value, round_trip: &Value, at: &str, removed: &mut Vec<String>) {
    match (value, round_trip) {
        (Value::Object(map), Value::Object(round_trip)) => {
            let join = |name: &str| match at {
                "" => name.to_owned(),
                at => format!("{at}.{name}"),
            };
            map.retain(|name, child| {
                let stays = round_trip.contains_key(name);
                if !stays && !child.is_null() {
                    removed.push(join(name));
                }
                stays
            });
            for (name, child) in map.iter_mut() {
                if let Some(round_trip) = round_trip.get(name) {
                    retain_known(child, round_trip, &join(name), removed);
                }
            }
        }
        (Value::Array(items), Value::Array(round_trip)) if items.len() == round_trip.len() => {
            for (index, (item, round_trip)) in items.iter_mut().zip(round_trip).enumerate() {
                retain_known(item, round_trip, &format!("{at}[{index}]"), removed);
            }
        }
        (value, round_trip) => value.clone_from(round_trip),
    }
}
