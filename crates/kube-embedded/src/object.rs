//! A stored object: its value, its serialized form, and accessors for its metadata.

use hyper::body::Bytes;
use serde_json::{Map, Value};

/// Namespace (empty for cluster-scoped kinds) and name. Lists are in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// One version of an object; immutable.
#[derive(Debug)]
pub(crate) struct Object {
    pub key: Key,
    /// The resource version as a number.
    pub revision: u64,
    pub value: Value,
    /// `value` as JSON, serialized once for all lists and watches.
    pub json: Bytes,
}

impl Object {
    /// Returns `value` with `revision` written into its metadata.
    pub(crate) fn new(key: Key, revision: u64, mut value: Value) -> Self {
        metadata_mut(&mut value).insert("resourceVersion".into(), revision.to_string().into());
        let json = Bytes::from(value.to_string());
        Self {
            key,
            revision,
            value,
            json,
        }
    }

    /// Returns the result of a dry run: it keeps the version of the stored object, and has none if there is no such object.
    pub(crate) fn dry_run(key: Key, stored: Option<&Self>, mut value: Value) -> Self {
        if let Some(stored) = stored {
            return Self::new(key, stored.revision, value);
        }
        metadata_mut(&mut value).shift_remove("resourceVersion");
        Self {
            key,
            revision: 0,
            json: Bytes::from(value.to_string()),
            value,
        }
    }

    /// Returns `metadata.uid`.
    pub(crate) fn uid(&self) -> &str {
        text(&self.value, "/metadata/uid")
    }

    /// Returns whether a deletion timestamp is set.
    pub(crate) fn is_deleting(&self) -> bool {
        self.value.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// Returns the owner references.
    pub(crate) fn owners(&self) -> &[Value] {
        list(&self.value, "/metadata/ownerReferences")
    }
}

/// Most levels that an object may nest. Readers of JSON give up at 128 levels, and a list or an event puts the object
/// some levels deeper; an object that cannot be read again would make the store unreadable.
pub(crate) const DEEPEST: usize = 100;

/// The levels that a value nests; 1 for a scalar.
pub(crate) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

/// Returns the string at `pointer`, or "".
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns the value at a path as in messages: `spec.containers[0]`.
pub(crate) fn value_at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split(['.', '['])
        .try_fold(value, |value, step| match step.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?),
            None => value.get(step),
        })
}

/// Returns the array at `pointer`, or an empty one.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Returns `value` as a map, replacing any other value.
pub(crate) fn map_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

/// Returns the map at `key`, created if missing.
pub(crate) fn child_mut<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    map_mut(map_mut(value).entry(key).or_insert(Value::Null))
}

/// Returns `metadata`, created if missing.
pub(crate) fn metadata_mut(value: &mut Value) -> &mut Map<String, Value> {
    child_mut(value, "metadata")
}

/// Returns the finalizers of an object.
pub(crate) fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    list(value, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
}

/// Removes a finalizer.
pub(crate) fn remove_finalizer(value: &mut Value, name: &str) {
    let metadata = metadata_mut(value);
    if let Some(Value::Array(all)) = metadata.get_mut("finalizers") {
        all.retain(|finalizer| finalizer != name);
        if all.is_empty() {
            metadata.shift_remove("finalizers");
        }
    }
}

/// Adds a finalizer, unless present.
pub(crate) fn add_finalizer(value: &mut Value, name: &str) {
    let all = metadata_mut(value)
        .entry("finalizers")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(all) = all
        && !all.iter().any(|finalizer| finalizer == name)
    {
        all.push(name.into());
    }
}
