//! An object as it is kept: its value, its bytes, and the metadata everything else asks for.

use hyper::body::Bytes;
use serde_json::{Map, Value};

/// Namespace (empty for cluster-scoped kinds) and name: the order of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// One version of an object; never changed, only replaced.
#[derive(Debug)]
pub struct Object {
    pub key: Key,
    /// The resource version as a number.
    pub revision: u64,
    pub value: Value,
    /// `value` as JSON: what lists and watches send, made once.
    pub json: Bytes,
}

impl Object {
    /// `value` with `revision` written into its metadata.
    pub fn new(key: Key, revision: u64, mut value: Value) -> Self {
        metadata_mut(&mut value).insert("resourceVersion".into(), revision.to_string().into());
        let json = Bytes::from(value.to_string());
        Self {
            key,
            revision,
            value,
            json,
        }
    }

    /// The object's identity.
    pub fn uid(&self) -> &str {
        text(&self.value, "/metadata/uid")
    }

    /// Whether its deletion has begun.
    pub fn is_deleting(&self) -> bool {
        self.value.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// The owners it names.
    pub fn owners(&self) -> &[Value] {
        list(&self.value, "/metadata/ownerReferences")
    }
}

/// Most levels that an object may nest. Readers of JSON give up at 128 levels, and a list or an event puts the object
/// some levels deeper; an object that cannot be read again would make the store unreadable.
pub const DEEPEST: usize = 100;

/// The levels that a value nests; 1 for a scalar.
pub fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

/// The string at `pointer`, or "".
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What is at a place as messages name it: `spec.taskIds[0]`.
pub fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    place
        .split(['.', '['])
        .try_fold(value, |value, step| match step.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?),
            None => value.get(step),
        })
}

/// The array at `pointer`, or an empty one.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The object at `value`, made if it is something else.
pub fn map_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

/// The object at `key` below `value`, made if it is missing.
pub fn child_mut<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    map_mut(map_mut(value).entry(key).or_insert(Value::Null))
}

/// `metadata`, made if it is missing.
pub fn metadata_mut(value: &mut Value) -> &mut Map<String, Value> {
    child_mut(value, "metadata")
}

/// Finalizers of an object.
pub fn finalizers(value: &Value) -> impl Iterator<Item = &str> {
    list(value, "/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
}

/// Removes one finalizer.
pub fn remove_finalizer(value: &mut Value, name: &str) {
    let metadata = metadata_mut(value);
    if let Some(Value::Array(all)) = metadata.get_mut("finalizers") {
        all.retain(|finalizer| finalizer != name);
        if all.is_empty() {
            metadata.shift_remove("finalizers");
        }
    }
}

/// Adds one finalizer, once.
pub fn add_finalizer(value: &mut Value, name: &str) {
    let all = metadata_mut(value)
        .entry("finalizers")
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(all) = all
        && !all.iter().any(|finalizer| finalizer == name)
    {
        all.push(name.into());
    }
}
