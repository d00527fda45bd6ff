//! What a write means: names, uids, generations, conflicts, the status subresource, deletion. Decided on the newest
//! state, alone; synchronous.

mod create;
mod delete;
mod preconditions;
mod update;

use jiff::Timestamp;
use serde_json::Value;

pub use create::create;
pub use delete::{
    DeleteOptions, Deleted, FOREGROUND, NAMESPACE_CONTENT, ORPHAN, Propagation, delete,
};
pub use update::{Edit, change, replace};

use super::{
    apply::Writer,
    builtin, events,
    failure::{Cause, Failure},
    kinds::{Kind, View},
    object::{map_mut, metadata_mut, text},
};

/// What every write is told.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Who writes, as managed fields name it.
    pub manager: String,
    /// Refuse fields the schema does not know, instead of dropping them.
    pub strict: bool,
}

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
        View::EventsV1 => events::to_v1(stored),
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
        View::EventsV1 => events::to_stored(&sent),
    }
}

/// Reads what a body says about itself: it must be an object of this kind.
fn check_body(kind: &Kind, body: &mut Value) -> Result<(), Failure> {
    if !body.is_object() {
        return Err(Failure::bad_request("the body must be an object"));
    }
    let api_version = kind.api_version.as_str();
    let sent = (text(body, "/apiVersion"), text(body, "/kind"));
    let fits = |sent: &str, own: &str| sent.is_empty() || sent == own;
    if !fits(sent.0, api_version) || !fits(sent.1, &kind.kind) {
        return Err(Failure::bad_request(format!(
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
        return Err(Failure::bad_request("metadata must be an object"));
    }
    metadata_mut(body);
    Ok(())
}

fn check_types(kind: &Kind, value: &Value) -> Result<(), Failure> {
    builtin::check_types(kind, value).map_err(|why| {
        Failure::bad_request(format!(
            "the object cannot be read as a {}: {why}",
            kind.kind
        ))
    })
}

fn refuse(kind: &Kind, name: &str, causes: &[Cause]) -> Result<(), Failure> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(kind, name, causes))
    }
}

/// Prunes, defaults and validates a custom resource. What was wrong before and did not change is let be.
fn settle(
    kind: &Kind,
    mut value: Value,
    old: Option<&Value>,
    options: &WriteOptions,
    name: &str,
) -> Result<Value, Failure> {
    let Some(schema) = &kind.schema else {
        return Ok(value);
    };
    let mut removed = Vec::new();
    schema.prune(&mut value, true, "", &mut removed);
    if options.strict && !removed.is_empty() {
        let list: Vec<String> = removed
            .iter()
            .map(|field| format!("unknown field {field:?}"))
            .collect();
        return Err(Failure::bad_request(format!(
            "strict decoding error: {}",
            list.join(", ")
        )));
    }
    schema.drop_nulls(&mut value);
    schema.fill(&mut value);
    let mut causes = Vec::new();
    schema.validate(&value, "", &mut causes);
    if let Some(old) = old.filter(|_| !causes.is_empty()) {
        let mut before = Vec::new();
        schema.validate(old, "", &mut before);
        let same_spec = old.get("spec") == value.get("spec");
        causes.retain(|cause| {
            let known = before.contains(cause);
            !(known && (same_spec || cause.reason != "FieldValueRequired"))
        });
    }
    refuse(kind, name, &causes)?;
    Ok(value)
}
