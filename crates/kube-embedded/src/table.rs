//! Tables: the columns of a kind and the row of an object, as `kubectl get` prints them. Pure.
//!
//! A custom resource has the columns its definition asks for; built-in kinds have those Kubernetes gives them.

mod builtin;
mod custom;
mod job;
mod pod;
mod values;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use custom::{Column, columns as custom_columns};

use super::{kinds::Kind, object::Object, representation::IncludeObject, write};

/// `columnDefinitions` of a kind.
pub fn definitions(kind: &Kind) -> Value {
    if kind.is_custom() {
        return custom::definitions(&kind.columns);
    }
    builtin::columns(&kind.resource)
        .iter()
        .map(|column| definition(column.name, column.kind, "", "", i64::from(column.wide)))
        .collect()
}

/// A column as a table defines it. `Name` is known by its format, by which clients find it.
fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    let format = if name == "Name" { "name" } else { format };
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// One row: what an object has in each column at `now`.
pub fn row(
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
        IncludeObject::Object => write::shown(kind, &object.value),
    };
    json!({"cells": cells, "object": object})
}

/// `PartialObjectMetadata` with these metadata.
pub fn partial(api_version: &str, metadata: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": metadata})
}
