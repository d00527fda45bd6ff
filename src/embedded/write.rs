//! What a write means: names, uids, generations, conflicts, the status subresource, deletion. Decided on the newest
//! state, alone; synchronous.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    apply::{Managers, Writer},
    builtin, events,
    failure::{Cause, Failure},
    fields::Shape,
    kinds::{JOBS, Kind, LEASES, NAMESPACES, PODS, View},
    object::{
        Key, Object, add_finalizer, finalizers, map_mut, metadata_mut, remove_finalizer, text,
    },
    patch::{self, PatchType},
    store::Transaction,
};

/// Finalizer of a foreground deletion: the object waits for its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an orphaning deletion: the object waits until its dependents are let go.
pub const ORPHAN: &str = "orphan";

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

/// What a deletion is told.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub propagation: Option<Propagation>,
    /// Seconds.
    pub grace_period: Option<i64>,
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Orphan,
    Background,
    Foreground,
}

impl DeleteOptions {
    /// Reads the body of a DELETE.
    pub fn read(body: &Value) -> Result<Self, Failure> {
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
        options.propagate(body["propagationPolicy"].as_str().unwrap_or_default())?;
        if let Some(orphan) = body["orphanDependents"].as_bool() {
            options.propagation = Some(if orphan {
                Propagation::Orphan
            } else {
                Propagation::Background
            });
        }
        Ok(options)
    }

    /// Takes a propagation policy by name; "" changes nothing.
    pub fn propagate(&mut self, policy: &str) -> Result<(), Failure> {
        self.propagation = match policy {
            "" => self.propagation,
            "Orphan" => Some(Propagation::Orphan),
            "Background" => Some(Propagation::Background),
            "Foreground" => Some(Propagation::Foreground),
            other => {
                return Err(Failure::bad_request(format!(
                    "propagationPolicy is {other:?}; it may be Orphan, Background or Foreground"
                )));
            }
        };
        Ok(())
    }
}

/// How the current object becomes the new one.
#[derive(Clone, Debug)]
pub enum Edit {
    Put(Value),
    Patch(PatchType, Value),
    Apply { config: Value, force: bool },
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

/// Adds an object. `namespace` is empty for cluster-scoped kinds.
pub fn create(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut body: Value,
    options: &WriteOptions,
) -> Result<Arc<Object>, Failure> {
    check_body(kind, &mut body)?;
    let value = stored(kind, body);
    create_owned(transaction, kind, namespace, value, options, None)
}

/// Adds an object in its stored form; without `managers`, the writer owns all of it.
fn create_owned(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    namespace: &str,
    mut value: Value,
    options: &WriteOptions,
    managers: Option<Managers>,
) -> Result<Arc<Object>, Failure> {
    let key = name_new(kind, namespace, &mut value)?;
    check_namespace(transaction, kind, &key)?;
    if transaction.get(&kind.resource, &key).is_some() {
        return Err(Failure::already_exists(kind, &key.name));
    }
    let metadata = metadata_mut(&mut value);
    if metadata
        .get("resourceVersion")
        .is_some_and(|version| version != "" && !version.is_null())
    {
        return Err(Failure::bad_request(
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
    check_types(kind, &value)?;
    let mut value = settle(kind, value, None, options, &key.name)?;
    builtin::complete_new(kind, &mut value, &now);
    refuse(kind, &key.name, &builtin::validate(kind, &value, None))?;
    let managers = managers.unwrap_or_else(|| {
        let mut managers = Managers::default();
        let writer = options.writer(kind, false, &now);
        managers.update(&writer, &Value::Null, &value, Shape::of(kind));
        managers
    });
    managers.write(&mut value);
    Ok(transaction.put(&kind.resource, key, value))
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

/// Gives a new object its name and namespace.
fn name_new(kind: &Kind, namespace: &str, value: &mut Value) -> Result<Key, Failure> {
    let sent = text(value, "/metadata/namespace").to_owned();
    let metadata = metadata_mut(value);
    if kind.namespaced {
        if namespace.is_empty() {
            return Err(Failure::method_not_allowed());
        }
        if !sent.is_empty() && sent != namespace {
            return Err(Failure::bad_request(format!(
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
            return Err(Failure::invalid(kind, "", &[cause]));
        }
        // A generated name must leave room for what is made from it.
        let prefix: String = prefix.chars().take(58).collect();
        name = format!("{prefix}{}", random_suffix());
        metadata.insert("name".into(), name.clone().into());
    }
    let fits = if &*kind.resource == NAMESPACES {
        builtin::is_dns_label(&name)
    } else {
        builtin::is_dns_subdomain(&name)
    };
    if !fits {
        let cause = Cause::invalid(
            "metadata.name",
            &Value::from(name.clone()),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        );
        return Err(Failure::invalid(kind, &name, &[cause]));
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

fn check_namespace(transaction: &Transaction<'_>, kind: &Kind, key: &Key) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    let namespaces = transaction.registry().of_resource(NAMESPACES).cloned();
    let (Some(namespaces), name) = (namespaces, &key.namespace) else {
        return Ok(());
    };
    let Some(namespace) = transaction.get(&namespaces.resource, &Key::new("", name)) else {
        return Err(Failure::not_found(&namespaces, name));
    };
    if namespace.is_deleting() {
        let why = format!(
            "unable to create new content in namespace {name} because it is being terminated"
        );
        let mut failure = Failure::forbidden(kind, &key.name, why);
        if let Some(details) = &mut failure.details {
            details["causes"] = json!([{"reason": "NamespaceTerminating", "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
        }
        return Err(failure);
    }
    Ok(())
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

/// Edits an object as `kind` shows it. With `status`, only the status counts; without, everything but the status.
/// Applying makes an object that is not there.
pub fn change(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    status: bool,
    edit: Edit,
    options: &WriteOptions,
) -> Result<Arc<Object>, Failure> {
    let now = now();
    let writer = options.writer(kind, status, &now);
    let Some(current) = transaction.get(&kind.resource, key) else {
        return match edit {
            Edit::Apply { config, .. } if !status => {
                create_applied(transaction, kind, key, config, options)
            }
            _ => Err(Failure::not_found(kind, &key.name)),
        };
    };
    let old = &current.value;
    let mut managers = Managers::read(old);
    let applies = matches!(edit, Edit::Apply { .. });
    let put = matches!(edit, Edit::Put(_));
    let mut sent = match edit {
        Edit::Put(body) => body,
        Edit::Patch(patch_type, patch) => patch::carry_out(patch_type, shown(kind, old), &patch)?,
        Edit::Apply { mut config, force } => {
            check_config(kind, &mut config, options)?;
            let config = stored(kind, config);
            let live = stored(kind, shown(kind, old));
            managers.apply(&writer, &live, &config, Shape::of(kind), force)?
        }
    };
    if !applies {
        check_body(kind, &mut sent)?;
        sent = stored(kind, sent);
    }
    let mut new = sent;
    check_identity(kind, key, old, &new, status, put)?;
    if !applies && new["metadata"].get("managedFields").is_some() {
        // Who edits them says what they are; who leaves them out leaves them as they are.
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
    check_types(kind, &new)?;
    let mut new = settle(kind, new, Some(old), options, &key.name)?;
    builtin::complete(kind, &mut new, &now);
    refuse(kind, &key.name, &builtin::validate(kind, &new, Some(old)))?;
    check_finalizers(kind, key, old, &new)?;
    if !applies {
        managers.update(&writer, old, &new, Shape::of(kind));
    }
    managers.write(&mut new);
    if new == *old {
        return Ok(current);
    }
    count_generation(kind, &mut new, old);
    replace(transaction, kind, key, new)
}

/// What every applied configuration must be.
fn check_config(kind: &Kind, config: &mut Value, options: &WriteOptions) -> Result<(), Failure> {
    if options.manager.is_empty() {
        let cause = Cause {
            message: "Required value: is required for apply patch".to_owned(),
            ..Cause::required("fieldManager")
        };
        return Err(Failure::unprocessable(format!(
            "{}: {}",
            cause.field, cause.message
        )));
    }
    if config["metadata"]
        .get("managedFields")
        .is_some_and(|fields| *fields != json!([]))
    {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    check_body(kind, config)?;
    if let Some(schema) = &kind.schema {
        let mut unknown = Vec::new();
        schema.prune(config, true, "", &mut unknown);
        if let Some(field) = unknown.first() {
            return Err(Failure::bad_request(format!(
                "failed to create typed patch object: .{field}: field not declared in schema"
            )));
        }
    }
    Ok(())
}

fn create_applied(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    mut config: Value,
    options: &WriteOptions,
) -> Result<Arc<Object>, Failure> {
    check_config(kind, &mut config, options)?;
    let version = text(&config, "/metadata/resourceVersion");
    let uid = text(&config, "/metadata/uid");
    if !version.is_empty() || !uid.is_empty() {
        let why = "the object is not there, and a uid or resourceVersion was asked for";
        return Err(Failure::conflict(kind, &key.name, why));
    }
    let name = text(&config, "/metadata/name");
    if !name.is_empty() && name != key.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    metadata_mut(&mut config).insert("name".into(), key.name.clone().into());
    let now = now();
    let mut managers = Managers::default();
    let writer = options.writer(kind, false, &now);
    let config = stored(kind, config);
    managers.apply(&writer, &json!({}), &config, Shape::of(kind), true)?;
    create_owned(
        transaction,
        kind,
        &key.namespace,
        config,
        options,
        Some(managers),
    )
}

fn check_identity(
    kind: &Kind,
    key: &Key,
    old: &Value,
    new: &Value,
    status: bool,
    put: bool,
) -> Result<(), Failure> {
    let name = text(new, "/metadata/name");
    if name != key.name && !name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            key.name
        )));
    }
    let namespace = text(new, "/metadata/namespace");
    if kind.namespaced && !namespace.is_empty() && namespace != key.namespace {
        return Err(Failure::bad_request(format!(
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
            return Err(Failure::conflict(kind, &key.name, why));
        }
        // A patch of the status takes any uid, as the real server does.
        if !status {
            let cause = Cause::invalid("metadata.uid", &Value::from(uid), "field is immutable");
            return Err(Failure::invalid(kind, &key.name, &[cause]));
        }
    }
    let version = text(new, "/metadata/resourceVersion");
    if version.is_empty() && put && (kind.is_custom() || &*kind.resource == LEASES) {
        let cause = Cause::invalid(
            "metadata.resourceVersion",
            &json!(0),
            "must be specified for an update",
        );
        return Err(Failure::invalid(kind, &key.name, &[cause]));
    }
    if !version.is_empty() && version != text(old, "/metadata/resourceVersion") {
        return Err(Failure::conflict(
            kind,
            &key.name,
            "the object has been modified; please apply your changes to the latest version and try again",
        ));
    }
    Ok(())
}

/// Metadata that only the server writes.
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

fn check_finalizers(kind: &Kind, key: &Key, old: &Value, new: &Value) -> Result<(), Failure> {
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
    Err(Failure::invalid(kind, &key.name, &[cause]))
}

fn count_generation(kind: &Kind, new: &mut Value, old: &Value) {
    if !kind.generation {
        return;
    }
    let differs = |a: &Value, b: &Value| {
        let a = a.as_object().into_iter().flatten();
        a.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"))
            .any(|(name, value)| b.get(name) != Some(value))
    };
    if differs(new, old) || differs(old, new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        metadata_mut(new).insert("generation".into(), generation.into());
    }
}

/// Writes an object; one whose deletion has begun and that nothing holds any more goes.
pub fn replace(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    value: Value,
) -> Result<Arc<Object>, Failure> {
    let deleting = value["metadata"].get("deletionTimestamp").is_some();
    let graceful = value["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0)
        > 0;
    if deleting && !graceful && finalizers(&value).next().is_none() {
        return transaction
            .remove(&kind.resource, key, value)
            .ok_or_else(|| Failure::not_found(kind, &key.name));
    }
    Ok(transaction.put(&kind.resource, key.clone(), value))
}

/// What a deletion came to.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone.
    Gone(Arc<Object>),
    /// Its deletion has begun; something holds it.
    Begun(Arc<Object>),
}

/// Deletes an object, or begins to.
pub fn delete(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Deleted, Failure> {
    let current = transaction
        .get(&kind.resource, key)
        .ok_or_else(|| Failure::not_found(kind, &key.name))?;
    let precondition = |name: &str, wanted: &Option<String>, own: &str| match wanted {
        Some(wanted) if wanted != own => Err(Failure::conflict(
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
    // Deleting again says nothing new about the dependents unless it says so.
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
    let begun = metadata
        .get("deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    let grace = begun.map_or(grace, |begun| grace.min(begun));
    if begun.is_none() || begun != Some(grace) {
        let at = Timestamp::now() + jiff::SignedDuration::from_secs(grace);
        metadata.insert(
            "deletionTimestamp".into(),
            at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        );
        metadata.insert("deletionGracePeriodSeconds".into(), grace.into());
        if kind.generation && begun.is_none() {
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
            .map(Deleted::Gone)
            .ok_or_else(|| Failure::not_found(kind, &key.name));
    }
    if value == current.value {
        return Ok(Deleted::Begun(current));
    }
    replace(transaction, kind, key, value).map(Deleted::Begun)
}

/// Holds a namespace until what is in it is gone.
pub const NAMESPACE_CONTENT: &str = "kubernetes";

/// Seconds a deleted pod may go on; nothing else has them.
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
