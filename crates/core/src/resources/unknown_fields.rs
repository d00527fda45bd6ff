//! Unknown status fields, written by a newer controller.
//!
//! They are kept next to the known fields and merged back into place when the status is written. If their parent
//! object (such as an attempt) is gone by then, they are dropped with it.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Map, Value};

use super::{Kind, definition};

/// Keys that identify list items, which may be added or removed in the meantime.
const IDENTITIES: [&str; 2] = ["jobName", "type"];

/// Unknown fields of a status, at any depth; usually none. List items are stored under their identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnknownFields(Option<Box<Map<String, Value>>>);

/// Nested fields of a schema; empty where the schema ends.
#[derive(Debug, Default)]
struct KnownFields(BTreeMap<String, KnownFields>);

static STATUS: LazyLock<KnownFields> = LazyLock::new(|| {
    let versions = definition(Kind::Docs).spec.versions.into_iter();
    let mut schemas = versions.filter_map(|version| version.schema?.open_api_v3_schema);
    let mut whole = schemas.next().map(KnownFields::of).unwrap_or_default();
    whole.0.remove("status").unwrap_or_default()
});

impl KnownFields {
    fn of(schema: JSONSchemaProps) -> Self {
        let items = match schema.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => items.properties,
            _ => None,
        };
        let fields = schema.properties.or(items).unwrap_or_default().into_iter();
        Self(
            fields
                .map(|(name, inner)| (name, Self::of(inner)))
                .collect(),
        )
    }

    /// Returns the part of `value` that is not in the schema.
    fn unknown_in(&self, value: &Value) -> Option<Value> {
        let found: Map<String, Value> = match value {
            _ if self.0.is_empty() => return None,
            Value::Object(fields) => {
                let found = fields.iter().filter_map(|(name, value)| {
                    let beyond = match self.0.get(name) {
                        Some(known) => known.unknown_in(value)?,
                        None => value.clone(),
                    };
                    Some((name.clone(), beyond))
                });
                found.collect()
            }
            Value::Array(items) => {
                let found = items.iter().filter_map(|item| {
                    let beyond = self.unknown_in(item)?;
                    Some((identity(item)?.to_owned(), beyond))
                });
                found.collect()
            }
            _ => return None,
        };
        (!found.is_empty()).then_some(Value::Object(found))
    }

    /// Merges unknown fields back into `value`.
    fn merge_into(&self, value: &mut Value, beyond: &Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, beyond) in beyond {
                    match (self.0.get(name), beyond) {
                        (None, beyond) => {
                            fields.insert(name.clone(), beyond.clone());
                        }
                        (Some(known), Value::Object(beyond)) => {
                            if let Some(value) = fields.get_mut(name) {
                                known.merge_into(value, beyond);
                            }
                        }
                        (Some(_), _) => {}
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    let beyond = identity(item).and_then(|name| beyond.get(name)?.as_object());
                    if let Some(beyond) = beyond {
                        self.merge_into(item, beyond);
                    }
                }
            }
            _ => {}
        }
    }
}

fn identity(item: &Value) -> Option<&str> {
    let mut names = IDENTITIES.into_iter();
    names.find_map(|name| item.get(name)?.as_str())
}

impl UnknownFields {
    /// Returns the fields of `status` that are not in the schema.
    pub(super) fn of(status: &Value) -> Self {
        match STATUS.unknown_in(status) {
            Some(Value::Object(found)) => Self(Some(Box::new(found))),
            _ => Self(None),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Merges the unknown fields back into a status before it is written.
    pub(super) fn merge_into(&self, status: &mut Value) {
        if let Some(beyond) = &self.0 {
            STATUS.merge_into(status, beyond);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::resources::{Condition, RunStatus, set_condition};

    #[test]
    fn current_status_has_no_unknown_fields() {
        let status = json!({ "phase": "Running", "attempts": [], "documents": { "expected": 4, "written": 0 } });
        let read: RunStatus = serde_json::from_value(status).unwrap();
        assert!(read.unknown_fields.is_empty());
    }

    #[test]
    fn unknown_fields_round_trip_with_their_parent() {
        let status = json!({
            "phase": "Running",
            "sandbox": { "name": "box", "labels": [1, 2] },
            "attempts": [
                { "stage": "prep", "contextVersion": 1, "attempt": 1, "jobName": "a", "node": "n1" },
                { "stage": "agent", "contextVersion": 1, "attempt": 1, "jobName": "b", "node": "n2" },
            ],
            "documents": { "expected": 4, "written": 1, "reviewed": 1 },
            "usage": { "inputTokens": 1, "outputTokens": 1, "cacheReadTokens": 0, "costMicroUsd": 2, "turns": 1, "seconds": 3 },
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "Running", "message": "", "lastTransitionTime": "t", "severity": "Info" },
            ],
        });
        let mut read: RunStatus = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), status);

        read.attempts.remove(0);
        read.documents = None;
        let ready = Condition {
            r#type: "Ready".into(),
            status: true.into(),
            reason: "Succeeded".into(),
            ..Condition::default()
        };
        set_condition(&mut read.conditions, ready);
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["sandbox"], status["sandbox"]);
        assert_eq!(written["attempts"], json!([status["attempts"][1]]));
        assert_eq!(written.get("documents"), None);
        assert_eq!(written["usage"], status["usage"]);
        let ready = &written["conditions"][0];
        assert_eq!(
            (&ready["status"], &ready["severity"]),
            (&json!("True"), &json!("Info"))
        );
    }
}
