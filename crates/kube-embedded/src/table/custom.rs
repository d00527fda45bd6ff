//! Columns of custom resources, from `additionalPrinterColumns`.

use jiff::Timestamp;
use serde_json::Value;

use super::{definition, values::since};
use crate::{
    json_path::JsonPath,
    object::{list, text},
};

/// A printer column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    kind: String,
    format: String,
    description: String,
    /// 0: always shown; greater: only in wide output.
    priority: i64,
    /// `None`: not a supported path; the cell stays empty.
    path: Option<JsonPath>,
}

/// Returns the columns of a version of a definition; by default, the age.
pub(crate) fn columns(version: &Value) -> Vec<Column> {
    let asked = list(version, "/additionalPrinterColumns");
    if asked.is_empty() {
        return vec![Column {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            path: JsonPath::parse(".metadata.creationTimestamp"),
        }];
    }
    asked
        .iter()
        .map(|column| Column {
            name: text(column, "/name").to_owned(),
            kind: text(column, "/type").to_owned(),
            format: text(column, "/format").to_owned(),
            description: text(column, "/description").to_owned(),
            priority: column["priority"].as_i64().unwrap_or_default(),
            path: JsonPath::parse(text(column, "/jsonPath")),
        })
        .collect()
}

pub(super) fn definitions(columns: &[Column]) -> Value {
    let name = definition("Name", "string", "name", "", 0);
    let rest = columns.iter().map(|column| {
        definition(
            &column.name,
            &column.kind,
            &column.format,
            &column.description,
            column.priority,
        )
    });
    std::iter::once(name).chain(rest).collect()
}

pub(super) fn cells(columns: &[Column], object: &Value, now: Timestamp) -> Vec<Value> {
    let name = object["metadata"]["name"].clone();
    let rest = columns.iter().map(|column| column.cell(object, now));
    std::iter::once(name).chain(rest).collect()
}

impl Column {
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.as_ref().map(|path| path.find(object));
        let Some(value) = found.unwrap_or_default().first().copied() else {
            return Value::Null;
        };
        let whole = |value: &Value| {
            value
                .as_i64()
                .or(value.as_f64().map(|number| number as i64))
        };
        match self.kind.as_str() {
            "integer" => whole(value).into(),
            "number" if value.is_number() => value.clone(),
            "boolean" if value.is_boolean() => value.clone(),
            "date" if value.is_string() => since(value, now).into(),
            "string" => match value {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            },
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_have_type_of_column() {
        let object = json!({
            "metadata": {"name": "r", "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"count": 3, "ids": ["a", "b"], "on": true, "ratio": 0.5},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let now: Timestamp = "2024-01-01T00:05:03Z".parse().unwrap();
        for (kind, path, expected) in [
            ("string", ".spec.count", json!("3")),
            ("integer", ".spec.count", json!(3)),
            ("integer", ".metadata.name", Value::Null),
            ("number", ".spec.ratio", json!(0.5)),
            ("boolean", ".spec.on", json!(true)),
            ("string", ".spec.ids", json!("[\"a\",\"b\"]")),
            ("string", ".spec.ids[*]", json!("a")),
            ("string", ".spec.absent", Value::Null),
            ("string", "..", Value::Null),
            (
                "string",
                ".status.conditions[?(@.type==\"Ready\")].status",
                json!("True"),
            ),
            ("date", ".metadata.creationTimestamp", json!("5m3s")),
            ("date", ".metadata.name", json!("<invalid>")),
            ("date", ".metadata.deletionTimestamp", Value::Null),
        ] {
            let version = json!({"additionalPrinterColumns": [{"name": "C", "type": kind, "jsonPath": path}]});
            let cells = cells(&columns(&version), &object, now);
            assert_eq!(cells, [json!("r"), expected], "{kind} {path}");
        }
        assert_eq!(cells(&columns(&json!({})), &object, now), ["r", "5m3s"]);
    }
}
