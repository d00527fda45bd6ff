//! What a status holds that this version has no word for: a newer controller wrote it, and what this one writes must not lose it.
//!
//! Kept as it came, beside the fields that are known, and put back to where it stood whenever the status is written. What it
//! was said of may be gone by then (an attempt, say); it goes with that.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Map, Value};

use super::{Kind, definition};

/// What tells the items of a list apart, which may come and go around an unknown field.
const IDENTITIES: [&str; 2] = ["jobName", "type"];

/// Unknown fields of a status, at any depth; mostly there are none. Items of a list stand under their identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Newer(Option<Box<Map<String, Value>>>);

/// The fields of a schema with those below them; none where the schema stops.
#[derive(Debug, Default)]
struct Known(BTreeMap<String, Known>);

static STATUS: LazyLock<Known> = LazyLock::new(|| {
    let versions = definition(Kind::Docs).spec.versions.into_iter();
    let mut schemas = versions.filter_map(|version| version.schema?.open_api_v3_schema);
    let mut whole = schemas.next().map(Known::of).unwrap_or_default();
    whole.0.remove("status").unwrap_or_default()
});

impl Known {
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

    /// What `value` holds beyond these fields.
    fn beyond(&self, value: &Value) -> Option<Value> {
        let found: Map<String, Value> = match value {
            _ if self.0.is_empty() => return None,
            Value::Object(fields) => {
                let found = fields.iter().filter_map(|(name, value)| {
                    let beyond = match self.0.get(name) {
                        Some(known) => known.beyond(value)?,
                        None => value.clone(),
                    };
                    Some((name.clone(), beyond))
                });
                found.collect()
            }
            Value::Array(items) => {
                let found = items.iter().filter_map(|item| {
                    let beyond = self.beyond(item)?;
                    Some((identity(item)?.to_owned(), beyond))
                });
                found.collect()
            }
            _ => return None,
        };
        (!found.is_empty()).then_some(Value::Object(found))
    }

    /// Puts back what was beyond these fields.
    fn put_back(&self, value: &mut Value, beyond: &Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, beyond) in beyond {
                    match (self.0.get(name), beyond) {
                        (None, beyond) => {
                            fields.insert(name.clone(), beyond.clone());
                        }
                        (Some(known), Value::Object(beyond)) => {
                            if let Some(value) = fields.get_mut(name) {
                                known.put_back(value, beyond);
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
                        self.put_back(item, beyond);
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

impl Newer {
    /// What the status of a run holds that its schema here does not have.
    pub(super) fn of(status: &Value) -> Self {
        match STATUS.beyond(status) {
            Some(Value::Object(found)) => Self(Some(Box::new(found))),
            _ => Self(None),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Puts it back into a status that is to be written.
    pub(super) fn put_back(&self, status: &mut Value) {
        if let Some(beyond) = &self.0 {
            STATUS.put_back(status, beyond);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::resources::{Condition, RunStatus, set_condition};

    #[test]
    fn a_status_of_this_version_holds_nothing_beyond() {
        let status = json!({ "phase": "Running", "attempts": [], "documents": { "expected": 4, "written": 0 } });
        let read: RunStatus = serde_json::from_value(status).unwrap();
        assert!(read.newer.is_empty());
    }

    #[test]
    fn unknown_fields_go_where_they_stood_and_away_with_what_they_stood_in() {
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
