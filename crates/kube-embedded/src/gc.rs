//! What deletions bring about: dependents whose owners are gone, finalizers of foreground and orphaning deletions,
//! the contents of deleted namespaces and the objects of deleted definitions, events nobody will read.
//!
//! Woken by changes alone; at the start it looks at everything once.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    crd::CLEANUP_FINALIZER,
    kinds::{DEFINITIONS, Kind, NAMESPACES, Registry, ResourceId},
    object::{Key, Object, finalizers, metadata_mut, remove_finalizer, text},
    status::StatusError,
    store::{Change, State, Store, Transaction, What},
    write::{self, DeleteOptions, FOREGROUND, NAMESPACE_CONTENT, ORPHAN, Propagation},
};

/// Events kept; with more than this, the oldest eighth goes.
const MOST_EVENTS: usize = 4096;
/// The resource of events.
const EVENTS: &str = "events";

type Place = (ResourceId, Key);

/// Follows `changes` until the store closes.
pub async fn run(store: Store, mut changes: UnboundedReceiver<Arc<Change>>) {
    let everything = {
        let state = store.read();
        state
            .all()
            .filter(|(_, object)| object.is_deleting() || !object.owners().is_empty())
            .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
            .collect()
    };
    settle_all(&store, everything).await;
    while let Some(first) = changes.recv().await {
        let mut places = BTreeSet::new();
        let mut next = Some(first);
        while let Some(change) = next {
            touched(&store.read(), &change, &mut places);
            next = changes.try_recv().ok();
        }
        settle_all(&store, places).await;
    }
}

async fn settle_all(store: &Store, places: BTreeSet<Place>) {
    for (resource, key) in places {
        let name = format!("{resource} {}/{}", key.namespace, key.name);
        let settled = store
            .write(false, move |transaction| {
                settle(transaction, &resource, &key)
            })
            .await;
        if let Err(failure) = settled {
            tracing::warn!("cannot collect after {name}: {failure}");
        }
    }
}

/// What a change may have consequences for.
fn touched(state: &State, change: &Change, out: &mut BTreeSet<Place>) {
    let object = &change.object;
    if change.what == What::Deleted {
        for (resource, dependent) in state.dependents(object.uid()) {
            out.insert((Arc::clone(resource), dependent.key.clone()));
        }
        // Whatever waits for this one to be gone.
        let waiting =
            |resource: &ResourceId, waiting: Option<&Arc<Object>>, out: &mut BTreeSet<Place>| {
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
            .is_some_and(|events| events.len() > MOST_EVENTS);
    if object.is_deleting() || !object.owners().is_empty() && !same_owners || crowded {
        out.insert((Arc::clone(&change.resource), object.key.clone()));
    }
}

fn owner_kind<'a>(registry: &'a Registry, reference: &Value) -> Option<&'a Arc<Kind>> {
    registry.of_object(text(reference, "/apiVersion"), text(reference, "/kind"))
}

/// What an owner is to an object that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// There, or of a kind that is not served (then nobody can say that it is gone).
    Solid,
    /// There, in a foreground deletion.
    Waiting,
    /// Gone, never there, or another object of the same name.
    Dangling,
}

fn owner_state(transaction: &Transaction<'_>, object: &Object, reference: &Value) -> Owner {
    let Some(kind) = owner_kind(transaction.registry(), reference) else {
        return Owner::Solid;
    };
    let namespace = match (kind.namespaced, object.key.namespace.as_str()) {
        (false, _) => "",
        // What has no namespace cannot say in which its owner is.
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

/// Brings one object to where its owners, its namespace and its own deletion want it.
fn settle(
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
                release(transaction, kind, key, finalizer)?;
            }
            for (resource, member) in members {
                discard(transaction, &resource, &member, Propagation::Background)?;
            }
        }
    } else if !object.owners().is_empty() {
        follow_owners(transaction, kind, &object)?;
    }
    if &**resource == EVENTS {
        forget_events(transaction, resource);
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
    discard(transaction, &kind.resource, &object.key, propagation)
}

/// Lets the dependents go, then the object.
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
    release(transaction, kind, &object.key, ORPHAN)
}

/// Deletes the dependents; the object goes when those that block it are gone.
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
    release(transaction, kind, &object.key, FOREGROUND)
}

fn dependents(state: &State, uid: &str) -> Vec<Place> {
    state
        .dependents(uid)
        .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
        .collect()
}

fn contents(state: &State, namespace: &str) -> Vec<Place> {
    state
        .in_namespace(namespace)
        .map(|(resource, object)| (Arc::clone(resource), object.key.clone()))
        .collect()
}

fn instances(state: &State, resource: &str) -> Vec<Place> {
    let resource: ResourceId = resource.into();
    state
        .collection(&resource)
        .into_iter()
        .flat_map(|collection| collection.range("", None))
        .map(|object| (Arc::clone(&resource), object.key.clone()))
        .collect()
}

/// Removes one finalizer; the object goes if it was the last.
fn release(
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

/// Deletes an object that is not being deleted yet.
fn discard(
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

fn forget_events(transaction: &mut Transaction<'_>, resource: &ResourceId) {
    let Some(collection) = transaction.before().collection(EVENTS) else {
        return;
    };
    if collection.len() <= MOST_EVENTS {
        return;
    }
    let mut oldest: Vec<(u64, Key)> = collection
        .range("", None)
        .map(|event| (event.revision, event.key.clone()))
        .collect();
    oldest.sort_unstable();
    for (_, key) in oldest.into_iter().take(MOST_EVENTS / 8) {
        if let Some(event) = transaction.get(resource, &key) {
            transaction.remove(resource, &key, event.value.clone());
        }
    }
}
