//! Adding an object: its name, its identity, the namespace it goes to.

use serde_json::{Value, json};

use super::{
    WriteOptions, Written, check_body, keep_rules, now, prune, refuse, settle, stored, unreadable,
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

/// Adds an object. `namespace` is empty for cluster-scoped kinds.
pub fn create(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut body: Value,
    options: &WriteOptions,
) -> Result<Written, StatusError> {
    check_body(kind, &mut body)?;
    let value = stored(kind, body);
    create_owned(transaction, kind, namespace, value, options, None)
}

/// Adds an object in its stored form; without `managers`, the writer owns all of it.
pub(super) fn create_owned(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut value: Value,
    options: &WriteOptions,
    managers: Option<Managers>,
) -> Result<Written, StatusError> {
    let key = name_new(kind, namespace, &mut value)?;
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
    let warnings = prune(kind, &mut value, options, |why| unreadable(kind, &why))?;
    settle(kind, &mut value, None, &key.name)?;
    keep_rules(kind, &value, None, &key.name, options.rules)?;
    builtin::prepare_for_create(kind, &mut value, &now, options.rules);
    refuse(kind, &key.name, &builtin::validate(kind, &value, None))?;
    let managers = managers.unwrap_or_else(|| {
        let mut managers = Managers::default();
        let writer = options.writer(kind, false, &now);
        managers.update(&writer, &Value::Null, &value, Shape::of(kind));
        managers
    });
    managers.write(&mut value);
    let object = transaction.put(&kind.resource, key, value);
    Written::new(kind, object, warnings, options)
}

/// Gives a new object its name and namespace.
fn name_new(kind: &Kind, namespace: &str, value: &mut Value) -> Result<Key, StatusError> {
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
        // A generated name must leave room for what is made from it.
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

/// Five characters that spell no word.
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
        let mut failure = StatusError::forbidden(kind, &key.name, why);
        if let Some(details) = &mut failure.details {
            details["causes"] = json!([{"reason": "NamespaceTerminating", "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
        }
        return Err(failure);
    }
    Ok(())
}
