//! What a write means: names, uids, generations, conflicts, the status subresource, deletion. Decided on the newest
//! state, alone; synchronous.

mod create;
mod delete;
mod preconditions;
mod update;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use create::create;
pub use delete::{
    DeleteOptions, Deleted, FOREGROUND, NAMESPACE_CONTENT, ORPHAN, Propagation, delete,
};
pub use update::{Edit, change, replace};

use super::{
    apply::Writer,
    builtin,
    crd::{self, ValidationRules},
    event_conversion,
    kinds::{DEFINITIONS, Kind, View},
    object::{DEEPEST, Object, at, depth, map_mut, metadata_mut, text},
    status::{Cause, StatusError},
};

/// What every write is told.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Who writes, as managed fields name it.
    pub manager: String,
    pub unknown: Unknown,
    /// By what custom resources are judged besides their schemas.
    pub rules: ValidationRules,
}

/// What becomes of a write with fields that its kind does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They are dropped.
    Ignore,
    /// They are dropped, and the writer is told.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// What a write came to.
#[derive(Debug)]
pub struct Written {
    pub object: Arc<Object>,
    /// Sentences for who wrote.
    pub warnings: Vec<String>,
}

impl Written {
    fn new(
        kind: &Kind,
        object: Arc<Object>,
        mut warnings: Vec<String>,
        options: &WriteOptions,
    ) -> Result<Self, StatusError> {
        if object.json.len() > LARGEST_OBJECT {
            return Err(StatusError::too_large(LARGEST_OBJECT));
        }
        if depth(&object.value) > DEEPEST {
            return Err(StatusError::unprocessable(format!(
                "the object nests more than {DEEPEST} levels"
            )));
        }
        if &*kind.resource == DEFINITIONS {
            warnings.extend(crd::warnings(&object.value, options.rules));
        }
        Ok(Self { object, warnings })
    }
}

/// Bytes of JSON an object may have: as much as etcd takes in one request.
const LARGEST_OBJECT: usize = 3 << 19;

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

/// Now, as Kubernetes writes times.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What an object looks like to who asks for `kind`.
pub fn shown(kind: &Kind, stored: &Value) -> Value {
    let mut value = match kind.view {
        View::Stored => stored.clone(),
        View::EventsV1 => event_conversion::to_v1(stored),
    };
    if kind.is_custom() {
        map_mut(&mut value).insert("apiVersion".into(), kind.api_version.clone().into());
    }
    value
}

/// The stored form of what was sent as `kind`.
fn stored(kind: &Kind, sent: Value) -> Value {
    match kind.view {
        View::Stored => sent,
        View::EventsV1 => event_conversion::to_stored(&sent),
    }
}

/// Reads what a body says about itself: it must be an object of this kind.
fn check_body(kind: &Kind, body: &mut Value) -> Result<(), StatusError> {
    if !body.is_object() {
        return Err(StatusError::bad_request("the body must be an object"));
    }
    let api_version = kind.api_version.as_str();
    let sent = (text(body, "/apiVersion"), text(body, "/kind"));
    let fits = |sent: &str, own: &str| sent.is_empty() || sent == own;
    if !fits(sent.0, api_version) || !fits(sent.1, &kind.kind) {
        return Err(StatusError::bad_request(format!(
            "the body is a {} of {}, but the path is of {} of {api_version}",
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

/// An object without the types of its kind.
fn unreadable(kind: &Kind, why: &str) -> StatusError {
    StatusError::bad_request(format!("{}: {why}", cannot_be_handled(kind)))
}

fn cannot_be_handled(kind: &Kind) -> String {
    let Kind { kind, version, .. } = kind;
    format!("{kind} in version {version:?} cannot be handled as a {kind}")
}

fn refuse(kind: &Kind, name: &str, causes: &[Cause]) -> Result<(), StatusError> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(StatusError::invalid(kind, name, causes))
    }
}

/// Takes out what the kind does not know; what the writer is to be told. `refusal` makes the answer to a writer that
/// wants such a write refused.
fn prune(
    kind: &Kind,
    value: &mut Value,
    options: &WriteOptions,
    refusal: impl FnOnce(String) -> StatusError,
) -> Result<Vec<String>, StatusError> {
    let mut removed = builtin::prune(kind, value).map_err(|why| unreadable(kind, &why))?;
    if let Some(schema) = &kind.schema {
        schema.prune(value, true, "", &mut removed);
    }
    let unknown = removed
        .iter()
        .map(|field| format!("unknown field {field:?}"));
    let unknown: Vec<String> = unknown.collect();
    match options.unknown {
        Unknown::Ignore => Ok(Vec::new()),
        Unknown::Refuse if !unknown.is_empty() => Err(refusal(format!(
            "strict decoding error: {}",
            unknown.join(", ")
        ))),
        Unknown::Refuse | Unknown::Warn => Ok(unknown),
    }
}

/// Defaults and validates a custom resource. What was wrong before and did not change is let be.
fn settle(
    kind: &Kind,
    value: &mut Value,
    old: Option<&Value>,
    name: &str,
) -> Result<(), StatusError> {
    let Some(schema) = &kind.schema else {
        return Ok(());
    };
    schema.drop_nulls(value);
    schema.fill(value);
    let mut causes = Vec::new();
    schema.validate(value, "", &mut causes);
    if let Some(old) = old.filter(|_| !causes.is_empty()) {
        let mut before = Vec::new();
        schema.validate(old, "", &mut before);
        let same_spec = old.get("spec") == value.get("spec");
        causes.retain(|cause| {
            let same = at(old, &cause.field) == at(value, &cause.field);
            let known = same && before.contains(cause);
            !(known && (same_spec || cause.reason != "FieldValueRequired"))
        });
    }
    refuse(kind, name, &causes)
}

/// Refuses what breaks the rules of a custom resource. A spec that stays as it was is let be.
fn keep_rules(
    kind: &Kind,
    value: &Value,
    old: Option<&Value>,
    name: &str,
    rules: ValidationRules,
) -> Result<(), StatusError> {
    let judge = rules.iter().find(|(judged, _)| *judged == &*kind.resource);
    let same = old.is_some_and(|old| old.get("spec") == value.get("spec"));
    let Some((_, judge)) = judge.filter(|_| !same) else {
        return Ok(());
    };
    let causes: Vec<Cause> = judge(value, old)
        .into_iter()
        .map(|(field, message)| Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {:?}: {message}", type_of(at(value, &field))),
            field,
        })
        .collect();
    refuse(kind, name, &causes)
}

/// What an API server names instead of a value that breaks a rule.
fn type_of(value: Option<&Value>) -> &'static str {
    match value {
        None | Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "integer",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

#[cfg(test)]
mod tests;
