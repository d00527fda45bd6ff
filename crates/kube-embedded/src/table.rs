//! Tables: the columns of a kind and the rows of objects, as printed by `kubectl get`. Pure.
//!
//! Custom resources have the columns of their definition; built-in kinds those of Kubernetes.

mod builtin;
mod custom;
mod job;
mod pod;
mod values;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use custom::{Column, columns as custom_columns};

use super::{kinds::Kind, object::Object, representation::IncludeObject, write};

/// Returns the `columnDefinitions` of a kind.
pub(crate) fn definitions(kind: &Kind) -> Value {
    if kind.is_custom() {
        return custom::definitions(&kind.columns);
    }
    builtin::columns(&kind.resource)
        .iter()
        .map(|column| definition(column.name, column.kind, "", "", i64::from(column.wide)))
        .collect()
}

/// Returns a column definition. Clients find the name column by its format.
fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    let format = if name == "Name" { "name" } else { format };
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// Returns the row of an object at the time `now`.
pub(crate) fn row(
    kind: &Kind,
    api_version: &str,
    include: IncludeObject,
    object: &Object,
    now: Timestamp,
) -> Value {
    let cells: Vec<Value> = if kind.is_custom() {
        custom::cells(&kind.columns, &object.value, now)
    } else {
        builtin::columns(&kind.resource)
            .iter()
            .map(|column| (column.cell)(&object.value, now))
            .collect()
    };
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Metadata => partial(api_version, &object.value["metadata"]),
        IncludeObject::Object => write::from_stored(kind, &object.value),
    };
    json!({"cells": cells, "object": object})
}

/// Returns a `PartialObjectMetadata`.
pub(crate) fn partial(api_version: &str, metadata: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": metadata})
}
