//! Writes of a batch: visible to later writes of the batch, but to no reader until they are durable.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{Change, ChangeType, State};
use crate::{
    kinds::{Registry, ResourceId},
    object::{Key, Object},
};

/// The latest state, with the writes of the batch on top.
pub(crate) struct Transaction<'a> {
    before: &'a State,
    changes: Vec<Arc<Change>>,
    newest: HashMap<(ResourceId, Key), Option<Arc<Object>>>,
    revision: u64,
    dry_run: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(before: &'a State) -> Self {
        Self {
            before,
            changes: Vec::new(),
            newest: HashMap::new(),
            revision: before.revision(),
            dry_run: false,
        }
    }

    /// Sets whether the next writes are a dry run, which assigns no resource versions.
    pub(super) fn set_dry_run(&mut self, dry_run: bool) {
        self.dry_run = dry_run;
    }

    /// Returns the kinds served when the batch began.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        self.before.registry()
    }

    /// Returns the state when the batch began.
    pub(crate) fn before(&self) -> &State {
        self.before
    }

    /// Returns an object, including writes of the batch.
    pub(crate) fn get(&self, resource: &ResourceId, key: &Key) -> Option<Arc<Object>> {
        match self.newest.get(&(Arc::clone(resource), key.clone())) {
            Some(object) => object.clone(),
            None => self.before.get(resource, key).cloned(),
        }
    }

    /// Adds or replaces an object, under the next resource version.
    pub(crate) fn put(&mut self, resource: &ResourceId, key: Key, value: Value) -> Arc<Object> {
        self.revision += 1;
        let previous = self.get(resource, &key);
        let kind = if previous.is_some() {
            ChangeType::Modified
        } else {
            ChangeType::Added
        };
        let object = self.object(key, value, previous.as_deref());
        self.record(kind, resource, &object, previous);
        object
    }

    /// Removes an object, under the next resource version. Watches receive `last`.
    pub(crate) fn remove(
        &mut self,
        resource: &ResourceId,
        key: &Key,
        last: Value,
    ) -> Option<Arc<Object>> {
        let previous = self.get(resource, key)?;
        self.revision += 1;
        let object = self.object(key.clone(), last, Some(&previous));
        self.record(ChangeType::Deleted, resource, &object, Some(previous));
        Some(object)
    }

    fn object(&self, key: Key, value: Value, previous: Option<&Object>) -> Arc<Object> {
        Arc::new(if self.dry_run {
            Object::dry_run(key, previous, value)
        } else {
            Object::new(key, self.revision, value)
        })
    }

    fn record(
        &mut self,
        kind: ChangeType,
        resource: &ResourceId,
        object: &Arc<Object>,
        previous: Option<Arc<Object>>,
    ) {
        let change = Arc::new(Change {
            kind,
            resource: Arc::clone(resource),
            object: Arc::clone(object),
            previous,
        });
        self.remember(&change);
        self.changes.push(change);
    }

    fn remember(&mut self, change: &Change) {
        let object_ref = (Arc::clone(&change.resource), change.object.key.clone());
        let now = (change.kind != ChangeType::Deleted).then(|| Arc::clone(&change.object));
        self.newest.insert(object_ref, now);
    }

    /// Returns a point to roll back to.
    pub(super) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Discards the writes since `mark`.
    pub(super) fn roll_back(&mut self, mark: usize) {
        if self.changes.len() == mark {
            return;
        }
        self.revision -= (self.changes.len() - mark) as u64;
        self.changes.truncate(mark);
        self.newest.clear();
        for change in std::mem::take(&mut self.changes) {
            self.remember(&change);
            self.changes.push(change);
        }
    }

    pub(super) fn finish(self) -> (Vec<Arc<Change>>, u64) {
        (self.changes, self.revision)
    }
}
