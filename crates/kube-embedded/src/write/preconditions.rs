//! Preconditions of an edit: name, namespace, uid and resource version.

use serde_json::{Value, json};

use crate::{
    kinds::{Kind, LEASES},
    object::{Key, text},
    status::{Cause, StatusError},
};

/// Checks that an edit names this object, at its latest version. `put`: the whole object was sent.
pub(super) fn check(
    kind: &Kind,
    key: &Key,
    old: &Value,
    new: &Value,
    status: bool,
    put: bool,
) -> Result<(), StatusError> {
    let name = text(new, "/metadata/name");
    if name != key.name && !name.is_empty() {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    let namespace = text(new, "/metadata/namespace");
    if kind.namespaced && !namespace.is_empty() && namespace != key.namespace {
        return Err(StatusError::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL ({})",
            key.namespace
        )));
    }
    let uid = text(new, "/metadata/uid");
    let own = text(old, "/metadata/uid");
    if !uid.is_empty() && uid != own {
        if put {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {own}"
            );
            return Err(StatusError::conflict(kind, &key.name, why));
        }
        // The API server accepts any uid in a patch of the status.
        if !status {
            let cause = Cause::invalid("metadata.uid", &Value::from(uid), "field is immutable");
            return Err(StatusError::invalid(kind, &key.name, &[cause]));
        }
    }
    let version = text(new, "/metadata/resourceVersion");
    if version.is_empty() && put && (kind.is_custom() || &*kind.resource == LEASES) {
        let cause = Cause::invalid(
            "metadata.resourceVersion",
            &json!(0),
            "must be specified for an update",
        );
        return Err(StatusError::invalid(kind, &key.name, &[cause]));
    }
    if !version.is_empty() && version != text(old, "/metadata/resourceVersion") {
        return Err(StatusError::conflict(
            kind,
            &key.name,
            "the object has been modified; please apply your changes to the latest version and try again",
        ));
    }
    Ok(())
}
