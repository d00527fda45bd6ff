//! Deletion of objects: immediate, or once no finalizer or grace period is left.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::replace;
use crate::{
    kinds::{JOBS, Kind, NAMESPACES, PODS},
    object::{Key, Object, add_finalizer, finalizers, metadata_mut, remove_finalizer, text},
    status::StatusError,
    store::Transaction,
};

/// Finalizer of a foreground deletion: the object waits for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// Finalizer of an orphaning deletion: the object waits until its dependents are released.
pub(crate) const ORPHAN: &str = "orphan";

/// Finalizer of a namespace, until its content is gone.
pub(crate) const NAMESPACE_CONTENT: &str = "kubernetes";

/// Namespaces that cannot be deleted.
const PERMANENT_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Options of a deletion.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub propagation: Option<Propagation>,
    /// Seconds.
    pub grace_period: Option<i64>,
}

/// What to do about the dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl DeleteOptions {
    /// Parses the body of a DELETE.
    pub(crate) fn parse(body: &Value) -> Result<Self, StatusError> {
        let string = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut options = Self {
            uid: string("/preconditions/uid"),
            resource_version: string("/preconditions/resourceVersion"),
            propagation: None,
            grace_period: body["gracePeriodSeconds"].as_i64(),
        };
        options.set_propagation(body["propagationPolicy"].as_str().unwrap_or_default())?;
        if let Some(orphan) = body["orphanDependents"].as_bool() {
            if options.propagation.is_some() {
                return Err(StatusError::unprocessable(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: orphanDependents and deletionPropagation cannot be both set",
                ));
            }
            options.propagation = Some(if orphan {
                Propagation::Orphan
            } else {
                Propagation::Background
            });
        }
        Ok(options)
    }

    /// Sets the propagation policy by name; "" changes nothing.
    pub(crate) fn set_propagation(&mut self, policy: &str) -> Result<(), StatusError> {
        self.propagation = match policy {
            "" => self.propagation,
            "Orphan" => Some(Propagation::Orphan),
            "Background" => Some(Propagation::Background),
            "Foreground" => Some(Propagation::Foreground),
            other => {
                return Err(StatusError::unprocessable(format!(
                    "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
                )));
            }
        };
        Ok(())
    }
}

/// Result of a deletion.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object has been removed.
    Removed(Arc<Object>),
    /// The deletion timestamp is set; finalizers or the grace period delay the removal.
    Terminating(Arc<Object>),
}

/// Deletes an object, or sets its deletion timestamp.
pub(crate) fn delete(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, StatusError> {
    let current = transaction
        .get(&kind.resource, key)
        .ok_or_else(|| StatusError::not_found(kind, &key.name))?;
    if &*kind.resource == NAMESPACES && PERMANENT_NAMESPACES.contains(&key.name.as_str()) {
        let why = "this namespace may not be deleted";
        return Err(StatusError::forbidden(kind, &key.name, why));
    }
    let precondition = |name: &str, wanted: &Option<String>, own: &str| match wanted {
        Some(wanted) if wanted != own => Err(StatusError::conflict(
            kind,
            &key.name,
            format!(
                "Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {own}"
            ),
        )),
        _ => Ok(()),
    };
    precondition("UID", &options.uid, current.uid())?;
    let version = current.revision.to_string();
    precondition("ResourceVersion", &options.resource_version, &version)?;

    let mut value = current.value.clone();
    let default = if &*kind.resource == JOBS {
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    // A repeated deletion keeps the propagation policy, unless it names one.
    let propagation = match options.propagation {
        None if current.is_deleting() => None,
        None => Some(default),
        some => some,
    };
    if let Some(propagation) = propagation {
        remove_finalizer(&mut value, FOREGROUND);
        remove_finalizer(&mut value, ORPHAN);
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => add_finalizer(&mut value, FOREGROUND),
            Propagation::Orphan => add_finalizer(&mut value, ORPHAN),
        }
    }
    if &*kind.resource == NAMESPACES {
        value["status"] = json!({"phase": "Terminating"});
        add_finalizer(&mut value, NAMESPACE_CONTENT);
    }
    let grace = grace_period(kind, &value, options);
    let metadata = metadata_mut(&mut value);
    let earlier = metadata
        .get("deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    let grace = earlier.map_or(grace, |earlier| grace.min(earlier));
    if earlier.is_none() || earlier != Some(grace) {
        let at = Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        metadata.insert(
            "deletionTimestamp".into(),
            at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        );
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
        if kind.generation && earlier.is_none() {
            let generation = metadata
                .get("generation")
                .and_then(Value::as_i64)
                .unwrap_or(1);
            metadata.insert("generation".into(), (generation + 1).into());
        }
    }
    if finalizers(&value).next().is_none() && grace == 0 {
        return transaction
            .remove(&kind.resource, key, value)
            .map(Deleted::Removed)
            .ok_or_else(|| StatusError::not_found(kind, &key.name));
    }
    if value == current.value {
        return Ok(Deleted::Terminating(current));
    }
    replace(transaction, kind, key, value).map(Deleted::Terminating)
}

/// Returns the grace period of a pod in seconds; 0 for other kinds.
fn grace_period(kind: &Kind, value: &Value, options: &DeleteOptions) -> i64 {
    let finished = matches!(text(value, "/status/phase"), "Succeeded" | "Failed");
    if &*kind.resource != PODS || text(value, "/spec/nodeName").is_empty() || finished {
        return 0;
    }
    options
        .grace_period
        .or_else(|| value["spec"]["terminationGracePeriodSeconds"].as_i64())
        .unwrap_or(30)
        .max(0)
}
