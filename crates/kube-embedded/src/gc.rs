//! Garbage collection: deletes dependents whose owners are gone, handles the finalizers of foreground and orphaning
//! deletions, empties deleted namespaces and definitions, and drops old events.
//!
//! Scans everything once at startup; afterwards it is driven by changes alone.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    crd::CLEANUP_FINALIZER,
    kinds::{DEFINITIONS, Kind, NAMESPACES, Registry, ResourceId},
    object::{Key, Object, finalizers, metadata_mut, remove_finalizer, text},
    status::StatusError,
    store::{Change, ChangeType, State, Store, Transaction},
    write::{self, DeleteOptions, FOREGROUND, NAMESPACE_CONTENT, ORPHAN, Propagation},
};

/// Maximum number of events. Above it, the oldest eighth is deleted.
const MAX_EVENTS: usize = 4096;
/// Resource of events.
const EVENTS: &str = "events";

type ObjectRef = (ResourceId, Key);

/// Processes `changes` until the store closes.
pub(crate) async fn run(store: Store, mut changes: UnboundedReceiver<Arc<Change>>) {
    let all = {
        let state = store.read();
        state
            .all()
            .filter(|(_, object)| object.is_deleting() || !object.owners().is_empty())
            .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
            .collect()
    };
    reconcile_all(&store, all).await;
    while let Some(first) = changes.recv().await {
        let mut refs = BTreeSet::new();
        let mut next = Some(first);
        while let Some(change) = next {
            affected(&store.read(), &change, &mut refs);
            next = changes.try_recv().ok();
        }
        reconcile_all(&store, refs).await;
    }
}

async fn reconcile_all(store: &Store, refs: BTreeSet<ObjectRef>) {
    for (resource, key) in refs {
        let name = format!("{resource} {}/{}", key.namespace, key.name);
        let reconciled = store
            .write(false, move |transaction| {
                reconcile(transaction, &resource, &key)
            })
            .await;
        if let Err(error) = reconciled {
            tracing::warn!("garbage collection of {name} failed: {error}");
        }
    }
}

/// Collects the objects that a change may affect.
fn affected(state: &State, change: &Change, out: &mut BTreeSet<ObjectRef>) {
    let object = &change.object;
    if change.kind == ChangeType::Deleted {
        for (resource, dependent) in state.dependents(object.uid()) {
            out.insert((Arc::clone(resource), dependent.key.clone()));
        }
        // Objects that wait for this one to be gone.
        let waiting = |resource: &ResourceId,
                       waiting: Option<&Arc<Object>>,
                       out: &mut BTreeSet<ObjectRef>| {
            if let Some(waiting) = waiting.filter(|object| object.is_deleting()) {
                out.insert((Arc::clone(resource), waiting.key.clone()));
            }
        };
        for owner in object.owners() {
            let kind = owner_kind(state.registry(), owner);
            let owner = state.by_uid(text(owner, "/uid"));
            if let Some(kind) = kind {
                waiting(&kind.resource, owner, out);
            }
        }
        for (holder, name) in [
            (NAMESPACES, object.key.namespace.as_str()),
            (DEFINITIONS, &*change.resource),
        ] {
            waiting(&holder.into(), state.get(holder, &Key::new("", name)), out);
        }
        return;
    }
    let before = change.previous.as_deref();
    let same_owners = before.is_some_and(|before| before.owners() == object.owners());
    let crowded = &*change.resource == EVENTS
        && state
            .collection(EVENTS)
            .is_some_and(|events| events.len() > MAX_EVENTS);
    if object.is_deleting() || !object.owners().is_empty() && !same_owners || crowded {
        out.insert((Arc::clone(&change.resource), object.key.clone()));
    }
}

fn owner_kind<'a>(registry: &'a Registry, reference: &Value) -> Option<&'a Arc<Kind>> {
    registry.of_object(text(reference, "/apiVersion"), text(reference, "/kind"))
}

/// State of an owner reference, in the terms of the Kubernetes garbage collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The owner exists, or its kind is not served and its absence cannot be known.
    Solid,
    /// The owner is in a foreground deletion.
    Waiting,
    /// The owner is gone, or another object has its name.
    Dangling,
}

fn owner_state(transaction: &Transaction<'_>, object: &Object, reference: &Value) -> Owner {
    let Some(kind) = owner_kind(transaction.registry(), reference) else {
        return Owner::Solid;
    };
    let namespace = match (kind.namespaced, object.key.namespace.as_str()) {
        (false, _) => "",
        // A cluster-scoped object cannot say which namespace its owner is in.
        (true, "") => return Owner::Solid,
        (true, own) => own,
    };
    let key = Key::new(namespace, text(reference, "/name"));
    match transaction.get(&kind.resource, &key) {
        Some(owner) if owner.uid() != text(reference, "/uid") => Owner::Dangling,
        Some(owner) if owner.is_deleting() && has_finalizer(&owner, FOREGROUND) => Owner::Waiting,
        Some(_) => Owner::Solid,
        None => Owner::Dangling,
    }
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    finalizers(&object.value).any(|finalizer| finalizer == name)
}

/// Brings one object to the state its owners, its namespace and its own deletion demand.
fn reconcile(
    transaction: &mut Transaction<'_>,
    resource: &ResourceId,
    key: &Key,
) -> Result<(), StatusError> {
    let registry = Arc::clone(transaction.registry());
    let (Some(kind), Some(object)) = (
        registry.of_resource(resource),
        transaction.get(resource, key),
    ) else {
        return Ok(());
    };
    if object.is_deleting() {
        if has_finalizer(&object, ORPHAN) {
            orphan(transaction, kind, &object)?;
        }
        if has_finalizer(&object, FOREGROUND) {
            foreground(transaction, kind, &object)?;
        }
        let members = if &**resource == NAMESPACES && has_finalizer(&object, NAMESPACE_CONTENT) {
            Some((NAMESPACE_CONTENT, contents(transaction.before(), &key.name)))
        } else if &**resource == DEFINITIONS && has_finalizer(&object, CLEANUP_FINALIZER) {
            Some((
                CLEANUP_FINALIZER,
                instances(transaction.before(), &key.name),
            ))
        } else {
            None
        };
        if let Some((finalizer, members)) = members {
            if members.is_empty() {
                remove_finalizer_of(transaction, kind, key, finalizer)?;
            }
            for (resource, member) in members {
                delete_if_live(transaction, &resource, &member, Propagation::Background)?;
            }
        }
    } else if !object.owners().is_empty() {
        follow_owners(transaction, kind, &object)?;
    }
    if &**resource == EVENTS {
        prune_events(transaction, resource);
    }
    Ok(())
}

fn follow_owners(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    object: &Object,
) -> Result<(), StatusError> {
    let states: Vec<Owner> = object
        .owners()
        .iter()
        .map(|reference| owner_state(transaction, object, reference))
        .collect();
    if states.contains(&Owner::Solid) {
        if states.iter().all(|state| *state == Owner::Solid) {
            return Ok(());
        }
        let kept = object.owners().iter().zip(&states);
        let kept: Vec<Value> = kept
            .filter(|(_, state)| **state == Owner::Solid)
            .map(|(reference, _)| reference.clone())
            .collect();
        let mut value = object.value.clone();
        metadata_mut(&mut value).insert("ownerReferences".into(), kept.into());
        write::replace(transaction, kind, &object.key, value)?;
        return Ok(());
    }
    let has_dependents = transaction
        .before()
        .dependents(object.uid())
        .next()
        .is_some();
    let propagation = if states.contains(&Owner::Waiting) && has_dependents {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    delete_if_live(transaction, &kind.resource, &object.key, propagation)
}

/// Removes the owner reference from the dependents, then the finalizer.
fn orphan(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    object: &Object,
) -> Result<(), StatusError> {
    let registry = Arc::clone(transaction.registry());
    for (resource, key) in dependents(transaction.before(), object.uid()) {
        let (Some(kind), Some(dependent)) = (
            registry.of_resource(&resource),
            transaction.get(&resource, &key),
        ) else {
            continue;
        };
        let kept: Vec<Value> = dependent
            .owners()
            .iter()
            .filter(|reference| text(reference, "/uid") != object.uid())
            .cloned()
            .collect();
        let mut value = dependent.value.clone();
        if kept.is_empty() {
            metadata_mut(&mut value).shift_remove("ownerReferences");
        } else {
            metadata_mut(&mut value).insert("ownerReferences".into(), kept.into());
        }
        write::replace(transaction, kind, &key, value)?;
    }
    remove_finalizer_of(transaction, kind, &object.key, ORPHAN)
}

/// Deletes the dependents, and removes the finalizer once none blocks the deletion.
fn foreground(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    object: &Object,
) -> Result<(), StatusError> {
    let registry = Arc::clone(transaction.registry());
    for (resource, key) in dependents(transaction.before(), object.uid()) {
        let dependent = transaction.get(&resource, &key);
        if let (Some(kind), Some(dependent)) = (registry.of_resource(&resource), dependent)
            && !dependent.is_deleting()
        {
            follow_owners(transaction, kind, &dependent)?;
        }
    }
    let blocked = dependents(transaction.before(), object.uid())
        .into_iter()
        .filter_map(|(resource, key)| transaction.get(&resource, &key))
        .any(|dependent| {
            dependent.owners().iter().any(|reference| {
                text(reference, "/uid") == object.uid() && reference["blockOwnerDeletion"] == true
            })
        });
    if blocked {
        return Ok(());
    }
    remove_finalizer_of(transaction, kind, &object.key, FOREGROUND)
}

fn dependents(state: &State, uid: &str) -> Vec<ObjectRef> {
    state
        .dependents(uid)
        .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
        .collect()
}

fn contents(state: &State, namespace: &str) -> Vec<ObjectRef> {
    state
        .in_namespace(namespace)
        .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
        .collect()
}

fn instances(state: &State, resource: &str) -> Vec<ObjectRef> {
    let resource: ResourceId = resource.into();
    state
        .collection(&resource)
        .into_iter()
        .flat_map(|collection| collection.range("", None))
        .map(|object| (Arc::clone(&resource), object.key.clone()))
        .collect()
}

/// Removes one finalizer, and the object if it was the last.
fn remove_finalizer_of(
    transaction: &mut Transaction<'_>,
    kind: &Kind,
    key: &Key,
    finalizer: &str,
) -> Result<(), StatusError> {
    let Some(object) = transaction.get(&kind.resource, key) else {
        return Ok(());
    };
    let mut value = object.value.clone();
    remove_finalizer(&mut value, finalizer);
    write::replace(transaction, kind, key, value).map(|_| ())
}

/// Deletes an object unless it is being deleted.
fn delete_if_live(
    transaction: &mut Transaction<'_>,
    resource: &ResourceId,
    key: &Key,
    propagation: Propagation,
) -> Result<(), StatusError> {
    let registry = Arc::clone(transaction.registry());
    let (Some(kind), Some(object)) = (
        registry.of_resource(resource),
        transaction.get(resource, key),
    ) else {
        return Ok(());
    };
    if object.is_deleting() {
        return Ok(());
    }
    let options = DeleteOptions {
        propagation: Some(propagation),
        ..DeleteOptions::default()
    };
    write::delete(transaction, kind, key, &options).map(|_| ())
}

fn prune_events(transaction: &mut Transaction<'_>, resource: &ResourceId) {
    let Some(collection) = transaction.before().collection(EVENTS) else {
        return;
    };
    if collection.len() <= MAX_EVENTS {
        return;
    }
    let mut oldest: Vec<(u64, Key)> = collection
        .range("", None)
        .map(|event| (event.revision, event.key.clone()))
        .collect();
    oldest.sort_unstable();
    for (_, key) in oldest.into_iter().take(MAX_EVENTS / 8) {
        if let Some(event) = transaction.get(resource, &key) {
            transaction.remove(resource, &key, event.value.clone());
        }
    }
}
