//! Updates of objects: replace, patch and apply; system metadata, and the status subresource.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    WriteOptions, WriteResult, cannot_be_handled_as, check_body, create::create_with_managers,
    default_and_validate, fail_if_invalid, from_stored, now, preconditions, prune, to_stored,
};
use crate::{
    apply::Managers,
    builtin,
    field_set::Shape,
    kinds::Kind,
    object::{Key, Object, finalizers, map_mut, metadata_mut, text},
    patch::{self, PatchType},
    status::{Cause, StatusError},
    store::Transaction,
};

/// A change to an object.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Put(Value),
    Patch(PatchType, Value),
    Apply { config: Value, force: bool },
}

/// Updates an object in the form of `kind`. With `status`, only the status changes; without, everything else. Apply
/// creates a missing object.
pub(crate) fn update(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    status: bool,
    edit: Edit,
    options: &WriteOptions,
) -> Result<WriteResult, StatusError> {
    let now = now();
    let writer = options.writer(kind, status, &now);
    let Some(current) = transaction.get(&kind.resource, key) else {
        return match edit {
            Edit::Apply { config, .. } if !status => {
                create_applied(transaction, kind, key, config, options)
            }
            _ => Err(StatusError::not_found(kind, &key.name)),
        };
    };
    let old = &current.value;
    let mut managers = Managers::read(old);
    let applies = matches!(edit, Edit::Apply { .. });
    let put = matches!(edit, Edit::Put(_));
    let mut patched = None;
    let mut sent = match edit {
        Edit::Put(body) => body,
        Edit::Patch(patch_type, patch) => {
            let result = patch::apply(patch_type, from_stored(kind, old), &patch)?;
            patched = Some(patch);
            result
        }
        Edit::Apply { mut config, force } => {
            check_config(kind, &mut config, options)?;
            let config = to_stored(kind, config);
            let live = to_stored(kind, from_stored(kind, old));
            managers.apply(&writer, &live, &config, Shape::of(kind), force)?
        }
    };
    if !applies {
        check_body(kind, &mut sent)?;
        sent = to_stored(kind, sent);
    }
    let mut new = sent;
    preconditions::check(kind, key, old, &new, status, put)?;
    if !applies && new["metadata"].get("managedFields").is_some() {
        // Explicit managed fields replace the stored ones; without any, they stay.
        managers = Managers::read(&new);
    }
    keep_system_metadata(&mut new, old);
    if status {
        let sent_status = new.get("status").cloned();
        new = old.clone();
        match sent_status {
            Some(sent) => map_mut(&mut new).insert("status".into(), sent),
            None => map_mut(&mut new).shift_remove("status"),
        };
    } else if kind.status {
        match old.get("status") {
            Some(status) => map_mut(&mut new).insert("status".into(), status.clone()),
            None => map_mut(&mut new).shift_remove("status"),
        };
    }
    let warnings = prune(kind, &mut new, options, |why| match patched {
        // The API server reports this as an error of the patch.
        Some(patch) => StatusError::unprocessable(format!(
            " \"\" is invalid: patch: Invalid value: {:?}: {why}",
            patch.to_string()
        )),
        None => cannot_be_handled_as(kind, &why),
    })?;
    default_and_validate(kind, &mut new, Some(old), &key.name)?;
    builtin::prepare_for_update(kind, &mut new, &now);
    fail_if_invalid(kind, &key.name, &builtin::validate(kind, &new, Some(old)))?;
    check_finalizers(kind, key, old, &new)?;
    if !applies {
        managers.update(&writer, old, &new, Shape::of(kind));
    }
    managers.write(&mut new);
    if new == *old {
        return WriteResult::new(kind, current, warnings);
    }
    count_generation(kind, &mut new, old);
    let object = replace(transaction, kind, key, new)?;
    WriteResult::new(kind, object, warnings)
}

/// Checks an applied configuration.
fn check_config(
    kind: &Kind,
    config: &mut Value,
    options: &WriteOptions,
) -> Result<(), StatusError> {
    if options.manager.is_empty() {
        return Err(StatusError::unprocessable(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if config["metadata"]
        .get("managedFields")
        .is_some_and(|fields| *fields != json!([]))
    {
        return Err(StatusError::bad_request(
            "metadata.managedFields must be nil",
        ));
    }
    if text(config, "/apiVersion").is_empty() || text(config, "/kind").is_empty() {
        return Err(StatusError::bad_request(
            "an applied configuration must have an apiVersion and a kind",
        ));
    }
    check_body(kind, config)?;
    let mut unknown =
        builtin::prune(kind, config).map_err(|why| cannot_be_handled_as(kind, &why))?;
    if let Some(schema) = &kind.schema {
        schema.prune(config, true, "", &mut unknown);
    }
    if let Some(field) = unknown.first() {
        return Err(StatusError::bad_request(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): .{field}: field not declared in schema",
            text(config, "/metadata/namespace"),
            text(config, "/metadata/name"),
            kind.api_version,
            kind.kind
        )));
    }
    Ok(())
}

fn create_applied(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    mut config: Value,
    options: &WriteOptions,
) -> Result<WriteResult, StatusError> {
    check_config(kind, &mut config, options)?;
    let version = text(&config, "/metadata/resourceVersion");
    let uid = text(&config, "/metadata/uid");
    if !version.is_empty() || !uid.is_empty() {
        let why = "the object does not exist, but a uid or resourceVersion was specified";
        return Err(StatusError::conflict(kind, &key.name, why));
    }
    let name = text(&config, "/metadata/name");
    if !name.is_empty() && name != key.name {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    metadata_mut(&mut config).insert("name".into(), key.name.clone().into());
    let now = now();
    let mut managers = Managers::default();
    let writer = options.writer(kind, false, &now);
    let config = to_stored(kind, config);
    managers.apply(&writer, &json!({}), &config, Shape::of(kind), true)?;
    create_with_managers(
        transaction,
        kind,
        &key.namespace,
        config,
        options,
        Some(managers),
    )
}

/// Restores the metadata that only the server writes, and drops empty fields.
fn keep_system_metadata(new: &mut Value, old: &Value) {
    let metadata = metadata_mut(new);
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
    ] {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.shift_remove(field),
        };
    }
    for field in ["labels", "annotations", "ownerReferences", "finalizers"] {
        let empty = metadata.get(field).is_some_and(|value| match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        });
        if empty {
            metadata.shift_remove(field);
        }
    }
}

fn check_finalizers(kind: &Kind, key: &Key, old: &Value, new: &Value) -> Result<(), StatusError> {
    if old["metadata"].get("deletionTimestamp").is_none() {
        return Ok(());
    }
    let added: Vec<&str> = finalizers(new)
        .filter(|name| !finalizers(old).any(|known| known == *name))
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let cause = Cause::forbidden(
        "metadata.finalizers",
        format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
        ),
    );
    Err(StatusError::invalid(kind, &key.name, &[cause]))
}

fn count_generation(kind: &Kind, new: &mut Value, old: &Value) {
    if !kind.generation {
        return;
    }
    let differs = |a: &Value, b: &Value| {
        let a = a.as_object().into_iter().flatten();
        // Without a status subresource, the status is an ordinary field.
        a.filter(|(name, _)| *name != "metadata" && !(kind.status && *name == "status"))
            .any(|(name, value)| b.get(name) != Some(value))
    };
    if differs(new, old) || differs(old, new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        metadata_mut(new).insert("generation".into(), generation.into());
    }
}

/// Writes an object, or removes it if it is being deleted and nothing delays that any longer.
pub(crate) fn replace(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    value: Value,
) -> Result<Arc<Object>, StatusError> {
    let deleting = value["metadata"].get("deletionTimestamp").is_some();
    let graceful = value["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0)
        > 0;
    if deleting && !graceful && finalizers(&value).next().is_none() {
        return transaction
            .remove(&kind.resource, key, value)
            .ok_or_else(|| StatusError::not_found(kind, &key.name));
    }
    Ok(transaction.put(&kind.resource, key.clone(), value))
}
