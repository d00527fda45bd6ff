//! Creation of objects: name, identity and namespace.

use serde_json::{Value, json};

use super::{
    WriteOptions, WriteResult, cannot_be_handled_as, check_body, default_and_validate,
    fail_if_invalid, now, prune, to_stored,
};
use crate::{
    apply::Managers,
    builtin,
    field_set::Shape,
    kinds::{Kind, NAMESPACES},
    metadata,
    object::{Key, map_mut, metadata_mut, text},
    status::{Cause, StatusError},
    store::Transaction,
};

/// Creates an object. `namespace` is empty for cluster-scoped kinds.
pub(crate) fn create(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut body: Value,
    options: &WriteOptions,
) -> Result<WriteResult, StatusError> {
    check_body(kind, &mut body)?;
    let value = to_stored(kind, body);
    create_with_managers(transaction, kind, namespace, value, options, None)
}

/// Creates an object from its stored form. Without `managers`, the writer owns all fields.
pub(super) fn create_with_managers(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut value: Value,
    options: &WriteOptions,
    managers: Option<Managers>,
) -> Result<WriteResult, StatusError> {
    let key = set_name(kind, namespace, &mut value)?;
    check_namespace(transaction, kind, &key)?;
    if transaction.get(&kind.resource, &key).is_some() {
        return Err(StatusError::already_exists(kind, &key.name));
    }
    let metadata = metadata_mut(&mut value);
    if metadata
        .get("resourceVersion")
        .is_some_and(|version| version != "" && !version.is_null())
    {
        return Err(StatusError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "managedFields",
        "generation",
    ] {
        metadata.shift_remove(field);
    }
    let now = now();
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.clone().into());
    if kind.generation {
        metadata.insert("generation".into(), 1.into());
    }
    if kind.status {
        map_mut(&mut value).shift_remove("status");
    }
    let warnings = prune(kind, &mut value, options, |why| {
        cannot_be_handled_as(kind, &why)
    })?;
    default_and_validate(kind, &mut value, None, &key.name)?;
    builtin::prepare_for_create(kind, &mut value, &now);
    fail_if_invalid(kind, &key.name, &builtin::validate(kind, &value, None))?;
    let managers = managers.unwrap_or_else(|| {
        let mut managers = Managers::default();
        let writer = options.writer(kind, false, &now);
        managers.update(&writer, &Value::Null, &value, Shape::of(kind));
        managers
    });
    managers.write(&mut value);
    let object = transaction.put(&kind.resource, key, value);
    WriteResult::new(kind, object, warnings)
}

/// Sets the name and namespace of a new object.
fn set_name(kind: &Kind, namespace: &str, value: &mut Value) -> Result<Key, StatusError> {
    let sent = text(value, "/metadata/namespace").to_owned();
    let metadata = metadata_mut(value);
    if kind.namespaced {
        if namespace.is_empty() {
            return Err(StatusError::method_not_allowed());
        }
        if !sent.is_empty() && sent != namespace {
            return Err(StatusError::bad_request(format!(
                "the namespace of the provided object does not match the namespace sent on the request: {sent:?} and {namespace:?}"
            )));
        }
        metadata.insert("namespace".into(), namespace.into());
    } else {
        metadata.shift_remove("namespace");
    }
    let string = |field: &str| {
        metadata
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut name = string("name").to_owned();
    if name.is_empty() {
        let prefix = string("generateName");
        if prefix.is_empty() {
            let cause = Cause {
                message: "Required value: name or generateName is required".to_owned(),
                ..Cause::required("metadata.name")
            };
            return Err(StatusError::invalid(kind, "", &[cause]));
        }
        // Leave room for names derived from this one, as Kubernetes does.
        let prefix: String = prefix.chars().take(58).collect();
        name = format!("{prefix}{}", random_suffix());
        metadata.insert("name".into(), name.clone().into());
    }
    let fits = if &*kind.resource == NAMESPACES {
        metadata::label(&name)
    } else {
        metadata::subdomain(&name)
    };
    if let Err(why) = fits {
        let cause = Cause::invalid("metadata.name", &Value::from(name.clone()), why);
        return Err(StatusError::invalid(kind, &name, &[cause]));
    }
    Ok(Key::new(if kind.namespaced { namespace } else { "" }, name))
}

/// Returns five random characters that cannot spell a word.
fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    uuid::Uuid::new_v4()
        .as_bytes()
        .iter()
        .take(5)
        .map(|byte| char::from(ALPHABET[*byte as usize % ALPHABET.len()]))
        .collect()
}

fn check_namespace(
    transaction: &Transaction<'_>,
    kind: &Kind,
    key: &Key,
) -> Result<(), StatusError> {
    if !kind.namespaced {
        return Ok(());
    }
    let namespaces = transaction.registry().of_resource(NAMESPACES).cloned();
    let (Some(namespaces), name) = (namespaces, &key.namespace) else {
        return Ok(());
    };
    let Some(namespace) = transaction.get(&namespaces.resource, &Key::new("", name)) else {
        return Err(StatusError::not_found(&namespaces, name));
    };
    if namespace.is_deleting() {
        let why = format!(
            "unable to create new content in namespace {name} because it is being terminated"
        );
        let mut error = StatusError::forbidden(kind, &key.name, why);
        if let Some(details) = &mut error.details {
            details["causes"] = json!([{"reason": "NamespaceTerminating", "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
        }
        return Err(error);
    }
    Ok(())
}
