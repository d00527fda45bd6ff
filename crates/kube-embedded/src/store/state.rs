//! State in memory: all objects, the recent changes of each resource, and the ownership index.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use tokio::sync::{mpsc::UnboundedSender, watch};

use super::disk::Loaded;
use crate::{
    crd,
    kinds::{DEFINITIONS, Registry, ResourceId},
    object::{Key, Object, text},
};

/// Maximum number of changes retained per resource, for watches that resume.
const MAX_LOG_CHANGES: usize = 4096;
/// Maximum size of these changes per resource, in bytes.
const MAX_LOG_BYTES: usize = 32 << 20;

/// Type of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Added,
    Modified,
    Deleted,
}

/// A change of an object.
#[derive(Debug)]
pub(crate) struct Change {
    pub kind: ChangeType,
    pub resource: ResourceId,
    /// The new object; for a deletion, the last state with the resource version of the deletion.
    pub object: Arc<Object>,
    pub previous: Option<Arc<Object>>,
}

/// The objects and change log of one resource.
pub(crate) struct Collection {
    objects: BTreeMap<Key, Arc<Object>>,
    log: VecDeque<Arc<Change>>,
    log_bytes: usize,
    /// Changes up to this revision have been dropped from the log.
    compacted: u64,
    /// Notifies the watches.
    changed: watch::Sender<u64>,
}

impl Collection {
    fn new(compacted: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            log_bytes: 0,
            compacted,
            changed: watch::channel(compacted).0,
        }
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns the objects of `namespace` (all if empty) after `after`, in order.
    pub(crate) fn range<'a>(
        &'a self,
        namespace: &'a str,
        after: Option<&Key>,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        let start = match after {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Included(Key::new(namespace, "")),
        };
        self.objects
            .range((start, Bound::Unbounded))
            .map(|(_, object)| object)
            .take_while(move |object| namespace.is_empty() || object.key.namespace == namespace)
    }

    /// Returns the changes after `revision`, oldest first; `None` if some are no longer in the log.
    pub(crate) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        if revision < self.compacted {
            return None;
        }
        let start = self
            .log
            .partition_point(|change| change.object.revision <= revision);
        Some(self.log.range(start..))
    }

    /// Returns the objects changed since `revision` as they were then (`None`: did not exist); `None` if changes are no
    /// longer in the log.
    pub(crate) fn changed_since(
        &self,
        revision: u64,
    ) -> Option<BTreeMap<&Key, Option<&Arc<Object>>>> {
        let mut then = BTreeMap::new();
        for change in self.since(revision)? {
            then.entry(&change.object.key)
                .or_insert(change.previous.as_ref());
        }
        Some(then)
    }

    /// Notifies of every change; closed when the resource is no longer served.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn publish(&mut self, change: &Arc<Change>) {
        let key = &change.object.key;
        if change.kind == ChangeType::Deleted {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), Arc::clone(&change.object));
        }
        self.log_bytes += change.object.json.len();
        self.log.push_back(Arc::clone(change));
        while self.log.len() > MAX_LOG_CHANGES
            || (self.log_bytes > MAX_LOG_BYTES && self.log.len() > 1)
        {
            if let Some(oldest) = self.log.pop_front() {
                self.log_bytes -= oldest.object.json.len();
                self.compacted = oldest.object.revision;
            }
        }
    }
}

/// All objects at one revision.
pub(crate) struct State {
    revision: u64,
    /// Revision at startup; earlier changes are not in the log.
    start: u64,
    collections: HashMap<ResourceId, Collection>,
    registry: Arc<Registry>,
    /// uid -> object.
    uids: HashMap<String, (ResourceId, Key)>,
    /// uid of an owner -> its dependents.
    dependents: HashMap<String, BTreeSet<(ResourceId, Key)>>,
    feed: UnboundedSender<Arc<Change>>,
}

impl State {
    pub(super) fn load(loaded: Loaded, feed: UnboundedSender<Arc<Change>>) -> Self {
        let mut state = Self {
            revision: loaded.revision,
            start: loaded.revision,
            collections: HashMap::new(),
            registry: Arc::new(Registry::new([])),
            uids: HashMap::new(),
            dependents: HashMap::new(),
            feed,
        };
        for (resource, key, value) in loaded.objects {
            let revision = text(&value, "/metadata/resourceVersion")
                .parse()
                .unwrap_or(0);
            let object = Arc::new(Object::new(key.clone(), revision, value));
            state.index(&resource, &object);
            state.collection_mut(&resource).objects.insert(key, object);
        }
        state.refresh_registry();
        state
    }

    /// Returns the latest resource version.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the kinds being served.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns the collection of a resource, if it is served.
    pub(crate) fn collection(&self, resource: &str) -> Option<&Collection> {
        self.collections.get(resource)
    }

    /// Returns an object.
    pub(crate) fn get(&self, resource: &str, key: &Key) -> Option<&Arc<Object>> {
        self.collections.get(resource)?.objects.get(key)
    }

    /// Returns the object with this uid.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        let (resource, key) = self.uids.get(uid)?;
        self.get(resource, key)
    }

    /// Returns the dependents of the object with this uid.
    pub(crate) fn dependents(
        &self,
        uid: &str,
    ) -> impl Iterator<Item = (&ResourceId, &Arc<Object>)> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|(resource, key)| Some((resource, self.get(resource, key)?)))
    }

    /// Returns the objects in a namespace.
    pub(crate) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a ResourceId, &'a Arc<Object>)> {
        self.collections
            .iter()
            .flat_map(move |(resource, collection)| {
                collection
                    .range(namespace, None)
                    .map(move |object| (resource, object))
            })
    }

    /// Returns all objects.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ResourceId, &Arc<Object>)> {
        self.collections.iter().flat_map(|(resource, collection)| {
            collection
                .objects
                .values()
                .map(move |object| (resource, object))
        })
    }

    pub(super) fn publish(&mut self, changes: Vec<Arc<Change>>, revision: u64) {
        let mut changed_resources = BTreeSet::new();
        for change in changes {
            if let Some(previous) = &change.previous {
                self.unindex(&change.resource, previous);
            }
            if change.kind != ChangeType::Deleted {
                self.index(&change.resource, &change.object);
            }
            self.collection_mut(&change.resource).publish(&change);
            changed_resources.insert(Arc::clone(&change.resource));
            // Fails if the garbage collector has ended before the store.
            let _ = self.feed.send(change);
        }
        self.revision = revision;
        if changed_resources.contains(DEFINITIONS) {
            self.refresh_registry();
        }
        for resource in changed_resources {
            self.collection_mut(&resource)
                .changed
                .send_replace(revision);
        }
    }

    /// Ends all watches.
    pub(super) fn close(&mut self) {
        for collection in self.collections.values_mut() {
            collection.changed = watch::channel(0).0;
        }
    }

    fn collection_mut(&mut self, resource: &ResourceId) -> &mut Collection {
        self.collections
            .entry(Arc::clone(resource))
            .or_insert_with(|| Collection::new(self.start))
    }

    /// Updates the served kinds from the CustomResourceDefinitions, and creates or drops their collections.
    fn refresh_registry(&mut self) {
        let custom: Vec<_> = self
            .collections
            .get(DEFINITIONS)
            .map(|collection| {
                collection
                    .objects
                    .values()
                    .flat_map(|object| crd::kinds(&object.value))
                    .collect()
            })
            .unwrap_or_default();
        let registry = Arc::new(Registry::new(custom));
        for kind in registry.kinds() {
            self.collection_mut(&kind.resource);
        }
        self.collections
            .retain(|resource, _| registry.of_resource(resource).is_some());
        self.registry = registry;
    }

    fn index(&mut self, resource: &ResourceId, object: &Object) {
        let object_ref = (Arc::clone(resource), object.key.clone());
        for owner in object.owners() {
            self.dependents
                .entry(text(owner, "/uid").to_owned())
                .or_default()
                .insert(object_ref.clone());
        }
        self.uids.insert(object.uid().to_owned(), object_ref);
    }

    fn unindex(&mut self, resource: &ResourceId, object: &Object) {
        let object_ref = (Arc::clone(resource), object.key.clone());
        for owner in object.owners() {
            let uid = text(owner, "/uid");
            if let Some(refs) = self.dependents.get_mut(uid) {
                refs.remove(&object_ref);
                if refs.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        self.uids.remove(object.uid());
    }
}
