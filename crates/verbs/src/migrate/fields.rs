//! Fields of a TaskRun, taken one by one.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A field of a TaskRun without a counterpart in runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DroppedField {
    /// Path in the TaskRun, such as `spec.agentName`.
    pub field: String,
    /// Why it is dropped, and what replaces it.
    pub why: String,
}

/// The fields of an object that are not translated yet. Taking a field removes it, so that what remains is unknown.
pub(super) struct Fields {
    /// Path of the object: `spec.repository`.
    path: String,
    fields: Map<String, Value>,
}

impl Fields {
    /// Returns the fields of the object at `path`; none if it is not an object.
    pub(super) fn of(path: &str, value: Option<Value>) -> Self {
        let fields = match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self {
            path: path.to_owned(),
            fields,
        }
    }

    /// Takes a field that is not null.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field as trimmed text; `None` if it is empty.
    pub(super) fn text(&mut self, field: &str) -> Option<String> {
        let text = match self.take(field)? {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// Takes a list of texts, or one text with commas, as some versions wrote it.
    pub(super) fn texts(&mut self, field: &str) -> Vec<String> {
        let texts: Vec<String> = match self.take(field) {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let texts = texts.iter().map(|text| text.trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// Takes a field that is an object.
    pub(super) fn object(&mut self, field: &str) -> Self {
        let path = format!("{}.{field}", self.path);
        let value = self.take(field);
        Self::of(&path, value)
    }

    /// Returns the report of a field that is not carried over.
    pub(super) fn dropped(&self, field: &str, why: impl Into<String>) -> DroppedField {
        DroppedField {
            field: format!("{}.{field}", self.path),
            why: why.into(),
        }
    }

    /// Reports the fields that were not taken.
    pub(super) fn report_unknown(&self, dropped: &mut Vec<DroppedField>) {
        dropped.extend(
            self.fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(field, _)| self.dropped(field, "unknown field")),
        );
    }
}
