//! What is in memory: every object, the recent changes of each resource, and who belongs to whom.

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

/// LogNotifier kept for watches that come back, by resource.
const LOG_CHANGES: usize = 4096;
/// Bytes those changes may hold, by resource: objects can be large.
const LOG_BYTES: usize = 32 << 20;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Debug)]
pub struct Change {
    pub what: What,
    pub resource: ResourceId,
    /// The object as it became; for a deletion, as it was, with the deletion's resource version.
    pub object: Arc<Object>,
    pub previous: Option<Arc<Object>>,
}

/// The objects of one resource.
pub struct Collection {
    objects: BTreeMap<Key, Arc<Object>>,
    log: VecDeque<Arc<Change>>,
    log_bytes: usize,
    /// LogNotifier up to this revision are no longer in the log.
    forgotten: u64,
    /// Wakes the watches.
    changed: watch::Sender<u64>,
}

impl Collection {
    fn new(forgotten: u64) -> Self {
        Self {
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            log_bytes: 0,
            forgotten,
            changed: watch::channel(forgotten).0,
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Objects of `namespace` (empty: all), in order, after `after`.
    pub fn range<'a>(
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

    /// LogNotifier after `revision`, oldest first; `None` when some of them are forgotten.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Change>>> {
        if revision < self.forgotten {
            return None;
        }
        let start = self
            .log
            .partition_point(|change| change.object.revision <= revision);
        Some(self.log.range(start..))
    }

    /// What the objects changed since `revision` were then (`None`: not there); `None` when that is forgotten.
    pub fn before(&self, revision: u64) -> Option<BTreeMap<&Key, Option<&Arc<Object>>>> {
        let mut then = BTreeMap::new();
        for change in self.since(revision)? {
            then.entry(&change.object.key)
                .or_insert(change.previous.as_ref());
        }
        Some(then)
    }

    /// Wakes at every change; ends when the resource is no longer served.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn publish(&mut self, change: &Arc<Change>) {
        let key = &change.object.key;
        if change.what == What::Deleted {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), Arc::clone(&change.object));
        }
        self.log_bytes += change.object.json.len();
        self.log.push_back(Arc::clone(change));
        while self.log.len() > LOG_CHANGES || (self.log_bytes > LOG_BYTES && self.log.len() > 1) {
            if let Some(oldest) = self.log.pop_front() {
                self.log_bytes -= oldest.object.json.len();
                self.forgotten = oldest.object.revision;
            }
        }
    }
}

/// Everything at one revision.
pub struct State {
    revision: u64,
    /// LogNotifier before this process are not known.
    start: u64,
    collections: HashMap<ResourceId, Collection>,
    registry: Arc<Registry>,
    /// Where each uid lives.
    uids: HashMap<String, (ResourceId, Key)>,
    /// Owner's uid -> what names it as an owner.
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

    /// The newest resource version.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The kinds served now.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The objects of a resource, once it is served.
    pub fn collection(&self, resource: &str) -> Option<&Collection> {
        self.collections.get(resource)
    }

    /// One object.
    pub fn get(&self, resource: &str, key: &Key) -> Option<&Arc<Object>> {
        self.collections.get(resource)?.objects.get(key)
    }

    /// The object of a uid.
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        let (resource, key) = self.uids.get(uid)?;
        self.get(resource, key)
    }

    /// What names the object of `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = (&ResourceId, &Arc<Object>)> {
        self.dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|(resource, key)| Some((resource, self.get(resource, key)?)))
    }

    /// Every object of a namespace.
    pub fn in_namespace<'a>(
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

    /// Every object.
    pub fn all(&self) -> impl Iterator<Item = (&ResourceId, &Arc<Object>)> {
        self.collections.iter().flat_map(|(resource, collection)| {
            collection
                .objects
                .values()
                .map(move |object| (resource, object))
        })
    }

    pub(super) fn publish(&mut self, changes: Vec<Arc<Change>>, revision: u64) {
        let mut touched = BTreeSet::new();
        for change in changes {
            if let Some(previous) = &change.previous {
                self.unindex(&change.resource, previous);
            }
            if change.what != What::Deleted {
                self.index(&change.resource, &change.object);
            }
            self.collection_mut(&change.resource).publish(&change);
            touched.insert(Arc::clone(&change.resource));
            // The collector may have ended before the store; then nobody asks.
            let _ = self.feed.send(change);
        }
        self.revision = revision;
        if touched.contains(DEFINITIONS) {
            self.refresh_registry();
        }
        for resource in touched {
            self.collection_mut(&resource)
                .changed
                .send_replace(revision);
        }
    }

    /// Ends every watch.
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

    /// Follows the CustomResourceDefinitions: a collection for each kind, none for those no longer served.
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
        let place = (Arc::clone(resource), object.key.clone());
        for owner in object.owners() {
            self.dependents
                .entry(text(owner, "/uid").to_owned())
                .or_default()
                .insert(place.clone());
        }
        self.uids.insert(object.uid().to_owned(), place);
    }

    fn unindex(&mut self, resource: &ResourceId, object: &Object) {
        let place = (Arc::clone(resource), object.key.clone());
        for owner in object.owners() {
            let uid = text(owner, "/uid");
            if let Some(places) = self.dependents.get_mut(uid) {
                places.remove(&place);
                if places.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        self.uids.remove(object.uid());
    }
}
