//! The semantics of writes: names, uids, generations, conflicts, the status subresource and deletion. Decided
//! synchronously on the latest state.

mod create;
mod delete;
mod preconditions;
mod update;

use std::sync::Arc;

use jiff::Timestamp;
use kube_rules::{Reason, Violation};
use serde_json::Value;

pub(crate) use create::create;
pub(crate) use delete::{
    DeleteOptions, Deleted, FOREGROUND, NAMESPACE_CONTENT, ORPHAN, Propagation, delete,
};
pub(crate) use update::{Edit, replace, update};

use super::{
    apply::Writer,
    builtin, crd, event_conversion,
    kinds::{DEFINITIONS, Kind, View},
    object::{DEEPEST, Object, depth, map_mut, metadata_mut, text, value_at},
    status::{Cause, StatusError},
};

/// Options of every write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    /// Field manager.
    pub manager: String,
    pub field_validation: FieldValidation,
}

/// What to do about unknown fields in a write (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Drop them.
    Ignore,
    /// Drop them, and warn.
    #[default]
    Warn,
    /// Reject the write.
    Strict,
}

/// Result of a write.
#[derive(Debug)]
pub(crate) struct WriteResult {
    pub object: Arc<Object>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

impl WriteResult {
    fn new(
        kind: &Kind,
        object: Arc<Object>,
        mut warnings: Vec<String>,
    ) -> Result<Self, StatusError> {
        if object.json.len() > MAX_OBJECT {
            return Err(StatusError::too_large(MAX_OBJECT));
        }
        if depth(&object.value) > DEEPEST {
            return Err(StatusError::unprocessable(format!(
                "the object nests more than {DEEPEST} levels"
            )));
        }
        if &*kind.resource == DEFINITIONS {
            warnings.extend(crd::warnings(&object.value));
        }
        Ok(Self { object, warnings })
    }
}

/// Maximum size of an object as JSON, in bytes: the request limit of etcd.
const MAX_OBJECT: usize = 3 << 19;

impl WriteOptions {
    fn writer<'a>(&'a self, kind: &'a Kind, status: bool, now: &'a str) -> Writer<'a> {
        Writer {
            manager: &self.manager,
            api_version: &kind.api_version,
            now,
            status,
        }
    }
}

/// Returns the current time, as Kubernetes writes it.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Converts a stored object to `kind`.
pub(crate) fn from_stored(kind: &Kind, stored: &Value) -> Value {
    let mut value = match kind.view {
        View::Stored => stored.clone(),
        View::EventsV1 => event_conversion::to_v1(stored),
    };
    if kind.is_custom() {
        map_mut(&mut value).insert("apiVersion".into(), kind.api_version.clone().into());
    }
    value
}

/// Converts an object of `kind` to its stored form.
fn to_stored(kind: &Kind, sent: Value) -> Value {
    match kind.view {
        View::Stored => sent,
        View::EventsV1 => event_conversion::to_stored(&sent),
    }
}

/// Checks that a body is an object of `kind`, and sets its apiVersion and kind.
fn check_body(kind: &Kind, body: &mut Value) -> Result<(), StatusError> {
    if !body.is_object() {
        return Err(StatusError::bad_request("the body must be an object"));
    }
    let api_version = kind.api_version.as_str();
    let sent = (text(body, "/apiVersion"), text(body, "/kind"));
    let fits = |sent: &str, own: &str| sent.is_empty() || sent == own;
    if !fits(sent.0, api_version) || !fits(sent.1, &kind.kind) {
        return Err(StatusError::bad_request(format!(
            "the body is a {} of {}, but the path is for a {} of {api_version}",
            sent.1, sent.0, kind.kind
        )));
    }
    let map = map_mut(body);
    map.insert("apiVersion".into(), api_version.into());
    map.insert("kind".into(), kind.kind.clone().into());
    if map
        .get("metadata")
        .is_some_and(|metadata| !metadata.is_object())
    {
        return Err(StatusError::bad_request("metadata must be an object"));
    }
    metadata_mut(body);
    Ok(())
}

/// Returns the error for an object whose fields have the wrong types.
fn cannot_be_handled_as(kind: &Kind, why: &str) -> StatusError {
    StatusError::bad_request(format!("{}: {why}", cannot_be_handled_text(kind)))
}

fn cannot_be_handled_text(kind: &Kind) -> String {
    let Kind { kind, version, .. } = kind;
    format!("{kind} in version {version:?} cannot be handled as a {kind}")
}

fn fail_if_invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Result<(), StatusError> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(StatusError::invalid(kind, name, causes))
    }
}

/// Removes unknown fields and returns the warnings about them. `to_error` makes the error under strict validation.
fn prune(
    kind: &Kind,
    value: &mut Value,
    options: &WriteOptions,
    to_error: impl FnOnce(String) -> StatusError,
) -> Result<Vec<String>, StatusError> {
    let mut removed =
        builtin::prune(kind, value).map_err(|why| cannot_be_handled_as(kind, &why))?;
    if let Some(schema) = &kind.schema {
        schema.prune(value, true, "", &mut removed);
    }
    let unknown = removed
        .iter()
        .map(|field| format!("unknown field {field:?}"));
    let unknown: Vec<String> = unknown.collect();
    match options.field_validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Strict if !unknown.is_empty() => Err(to_error(format!(
            "strict decoding error: {}",
            unknown.join(", ")
        ))),
        FieldValidation::Strict | FieldValidation::Warn => Ok(unknown),
    }
}

/// Sets defaults of a custom resource and validates it by its schema and rules. Violations that the old object already
/// had in unchanged fields are tolerated.
fn default_and_validate(
    kind: &Kind,
    value: &mut Value,
    old: Option<&Value>,
    name: &str,
) -> Result<(), StatusError> {
    let Some(schema) = &kind.schema else {
        return Ok(());
    };
    schema.drop_nulls(value);
    schema.apply_defaults(value);
    let mut causes = Vec::new();
    schema.validate(value, "", &mut causes);
    if let Some(old) = old.filter(|_| !causes.is_empty()) {
        let mut before = Vec::new();
        schema.validate(old, "", &mut before);
        let same_spec = old.get("spec") == value.get("spec");
        causes.retain(|cause| {
            let same = value_at(old, &cause.field) == value_at(value, &cause.field);
            let known = same && before.contains(cause);
            !(known && (same_spec || cause.reason != "FieldValueRequired"))
        });
    }
    if let Some(rules) = &kind.rules {
        if causes.iter().any(hides_rules) {
            causes.push(Cause::invalid(
                "<nil>",
                &"null".into(),
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            ));
        } else {
            causes.extend(rules.evaluate(value, old).into_iter().map(rule_cause));
        }
    }
    fail_if_invalid(kind, name, &causes)
}

/// Whether rules are not evaluated on an object with this violation: they could meet values that their schema excludes.
fn hides_rules(cause: &Cause) -> bool {
    matches!(
        cause.reason,
        "FieldValueNotSupported"
            | "FieldValueRequired"
            | "FieldValueTooLong"
            | "FieldValueTooMany"
            | "FieldValueTypeInvalid"
    )
}

/// Describes the violation of a rule as the API server does: with the type in place of the value.
fn rule_cause(violation: Violation) -> Cause {
    let Violation {
        mut field,
        reason,
        value_type,
        detail,
    } = violation;
    if field.is_empty() {
        "<nil>".clone_into(&mut field);
    }
    let value_type = Value::from(value_type);
    match reason {
        Reason::Invalid => Cause::invalid(field, &value_type, detail),
        Reason::Forbidden => Cause::forbidden(field, detail),
        Reason::Required => Cause {
            message: format!("Required value: {detail}"),
            ..Cause::required(field)
        },
        Reason::Duplicate => Cause::duplicate(field, &value_type),
    }
}

#[cfg(test)]
mod tests;
