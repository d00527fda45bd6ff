//! Sets of fields as in `metadata.managedFields`. Pure.
//!
//! A set is a set of paths. A step is `f:name` (a field), `k:{...}` (a list item by its keys) or `v:...` (a set item by
//! its value), as in the wire format. A path that ends at a list item means that the item exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    kinds::Kind,
    patch::merge_keys,
    schema::{ListType, Schema},
};

/// Steps from the root of an object to a field.
pub(crate) type Path = Vec<String>;
/// A set of fields.
pub(crate) type FieldSet = BTreeSet<Path>;

/// The type of a value, as far as merging needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape<'a> {
    /// A whole object.
    Root(Option<&'a Schema>),
    /// A value described by a schema.
    Known(&'a Schema),
    /// A part of a built-in kind, with the name of its field.
    Builtin(&'a str),
    /// Unknown type: maps are merged, lists are atomic.
    Free,
}

/// Maps of built-in kinds that are atomic.
const ATOMIC_MAPS: [&str; 8] = [
    "selector",
    "nodeSelector",
    "secretKeyRef",
    "configMapKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "involvedObject",
    "related",
];

impl<'a> Shape<'a> {
    /// Returns the shape of stored objects of a kind.
    pub(crate) fn of(kind: &'a Kind) -> Self {
        Self::Root(kind.schema.as_deref())
    }

    /// Returns the shape of a field, and how it is merged if it is a list.
    fn field(self, name: &'a str) -> (Self, ListType) {
        let builtin = |parent: &str| {
            let list = match merge_keys(parent, name) {
                None => ListType::Atomic,
                Some([]) => ListType::Set,
                Some(keys) => ListType::Map(keys.iter().map(|&key| key.to_owned()).collect()),
            };
            (Self::Builtin(name), list)
        };
        let known = |schema: &'a Schema| match schema.field(name) {
            Some(field) => (Self::Known(field), field.list_type.clone()),
            None => (Self::Free, ListType::Atomic),
        };
        match self {
            Self::Root(Some(schema)) if name != "metadata" => known(schema),
            Self::Root(_) => builtin(""),
            Self::Known(schema) => known(schema),
            Self::Builtin(parent) => builtin(parent),
            Self::Free => (Self::Free, ListType::Atomic),
        }
    }

    fn item(self) -> Self {
        match self {
            Self::Known(schema) => schema.items().map_or(Self::Free, Self::Known),
            other => other,
        }
    }

    fn is_atomic_map(self) -> bool {
        match self {
            Self::Known(schema) => schema.atomic_map,
            Self::Builtin(name) => ATOMIC_MAPS.contains(&name),
            Self::Root(_) | Self::Free => false,
        }
    }
}

/// Returns the step to a list item; `None` if the item lacks its keys.
fn item_step(list: &ListType, item: &Value) -> Option<String> {
    match list {
        ListType::Atomic => None,
        ListType::Set => Some(format!("v:{item}")),
        ListType::Map(keys) => {
            let mut found = Map::new();
            let mut sorted: Vec<_> = keys.iter().collect();
            sorted.sort();
            for key in sorted {
                if let Some(value) = item.get(key) {
                    found.insert(key.clone(), value.clone());
                }
            }
            (!found.is_empty()).then(|| format!("k:{}", Value::Object(found)))
        }
    }
}

/// Returns every field of `value` that can be owned, with its value (`None` for the existence of a list item).
pub(crate) fn leaves<'v>(value: &'v Value, shape: Shape<'_>) -> BTreeMap<Path, Option<&'v Value>> {
    let mut out = BTreeMap::new();
    collect(value, shape, &ListType::Atomic, &mut Vec::new(), &mut out);
    out
}

fn collect<'v>(
    value: &'v Value,
    shape: Shape<'_>,
    list: &ListType,
    at: &mut Path,
    out: &mut BTreeMap<Path, Option<&'v Value>>,
) {
    match value {
        Value::Object(map) if !map.is_empty() && !shape.is_atomic_map() => {
            for (name, child) in map {
                let (shape, list) = shape.field(name);
                at.push(format!("f:{name}"));
                collect(child, shape, &list, at, out);
                at.pop();
            }
        }
        Value::Array(items) if !items.is_empty() && *list != ListType::Atomic => {
            for item in items {
                let Some(step) = item_step(list, item) else {
                    continue;
                };
                at.push(step);
                out.insert(at.clone(), None);
                if matches!(list, ListType::Map(_)) && item.is_object() {
                    collect(item, shape.item(), &ListType::Atomic, at, out);
                }
                at.pop();
            }
        }
        _ => {
            out.insert(at.clone(), Some(value));
        }
    }
}

/// Returns whether managers own this field: not identity, not system metadata, and on the side (spec or status) being
/// written.
pub(crate) fn is_owned(path: &Path, status: bool) -> bool {
    let step = |index: usize| path.get(index).map_or("", String::as_str);
    match step(0) {
        "f:apiVersion" | "f:kind" | "" => false,
        "f:metadata" => {
            !status
                && matches!(
                    step(1),
                    "f:labels" | "f:annotations" | "f:finalizers" | "f:ownerReferences"
                )
        }
        "f:status" => status,
        _ => !status,
    }
}

/// Merges `applied` into `live`, list items by their keys.
pub(crate) fn merge(live: &mut Value, applied: &Value, shape: Shape<'_>) {
    merge_at(live, applied, shape, &ListType::Atomic);
}

fn merge_at(live: &mut Value, applied: &Value, shape: Shape<'_>, list: &ListType) {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) if !shape.is_atomic_map() => {
            for (name, value) in applied {
                let (shape, list) = shape.field(name);
                match live.get_mut(name) {
                    Some(current) => merge_at(current, value, shape, &list),
                    None => {
                        live.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(live), Value::Array(applied)) if *list != ListType::Atomic => {
            for item in applied {
                let step = item_step(list, item);
                let same = |other: &Value| item_step(list, other) == step;
                match live.iter().position(same) {
                    Some(at) => merge_at(&mut live[at], item, shape.item(), &ListType::Atomic),
                    None => live.push(item.clone()),
                }
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}

/// Removes the value at `path`, if any.
pub(crate) fn remove(value: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if let Some(name) = first.strip_prefix("f:") {
        let Some(map) = value.as_object_mut() else {
            return;
        };
        if rest.is_empty() {
            map.shift_remove(name);
        } else if let Some(child) = map.get_mut(name) {
            remove(child, rest);
        }
        return;
    }
    let Some(items) = value.as_array_mut() else {
        return;
    };
    let at = items.iter().position(|item| {
        if let Some(value) = first.strip_prefix("v:") {
            return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
        }
        let keys = first
            .strip_prefix("k:")
            .and_then(|keys| serde_json::from_str::<Map<String, Value>>(keys).ok());
        keys.is_some_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
    });
    match at {
        Some(at) if rest.is_empty() => {
            items.remove(at);
        }
        Some(at) => remove(&mut items[at], rest),
        None => {}
    }
}

/// Formats a path for messages: `.spec.containers[name="a"].image`.
pub(crate) fn to_string(path: &Path) -> String {
    let mut out = String::new();
    for step in path {
        if let Some(name) = step.strip_prefix("f:") {
            out.push('.');
            out.push_str(name);
        } else if let Some(value) = step.strip_prefix("v:") {
            out.extend(["[=", value, "]"]);
        } else if let Some(keys) = step.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            out.extend(["[", &keys.join(","), "]"]);
        }
    }
    out
}

/// Returns the wire format of a set.
pub(crate) fn to_json(set: &FieldSet) -> Value {
    let mut root = json!({});
    for path in set {
        let mut at = &mut root;
        for (index, step) in path.iter().enumerate() {
            let is_item = !step.starts_with("f:");
            let map = super::object::map_mut(at);
            at = map.entry(step.clone()).or_insert_with(|| json!({}));
            if is_item && index + 1 == path.len() {
                super::object::map_mut(at).insert(".".into(), json!({}));
            }
        }
    }
    root
}

/// Reads the wire format: a path for every leaf, and for every node that contains `.`.
pub(crate) fn from_json(value: &Value) -> FieldSet {
    fn walk(value: &Value, at: &mut Path, out: &mut FieldSet) {
        let Some(map) = value.as_object() else { return };
        if map.is_empty() || map.contains_key(".") {
            out.insert(at.clone());
        }
        for (step, child) in map.iter().filter(|(step, _)| *step != ".") {
            at.push(step.clone());
            walk(child, at, out);
            at.pop();
        }
    }
    let mut out = FieldSet::new();
    walk(value, &mut Vec::new(), &mut out);
    out.remove(&Vec::new());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_format_round_trips() {
        let value = json!({
            "metadata": {"labels": {"a": "b"}, "finalizers": ["f"]},
            "spec": {"containers": [{"name": "c", "args": ["x", "y"], "resources": {}}]}
        });
        let set: FieldSet = leaves(&value, Shape::Root(None)).into_keys().collect();
        let wire = to_json(&set);
        assert_eq!(
            wire,
            json!({
                "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"f\"": {".": {}}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:args": {}, "f:name": {}, "f:resources": {}}}}
            })
        );
        assert_eq!(from_json(&wire), set);
        let spelled: Vec<String> = set.iter().map(to_string).collect();
        assert!(spelled.contains(&".spec.containers[name=\"c\"].args".to_owned()));
    }

    #[test]
    fn remove_deletes_only_the_named_path() {
        let before = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "set": ["x", "y"]}});
        for (path, after) in [
            (
                vec!["f:spec", "f:containers", "k:{\"name\":\"a\"}", "f:image"],
                json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "set": ["x", "y"]}}),
            ),
            (
                vec!["f:spec", "f:containers", "k:{\"name\":\"b\"}"],
                json!({"spec": {"containers": [{"name": "a", "image": "1"}], "set": ["x", "y"]}}),
            ),
            (
                vec!["f:spec", "f:set", "v:\"x\""],
                json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "set": ["y"]}}),
            ),
            (vec!["f:other", "f:x"], before.clone()),
        ] {
            let mut value = before.clone();
            let path: Path = path.into_iter().map(str::to_owned).collect();
            remove(&mut value, &path);
            assert_eq!(value, after, "{path:?}");
        }
    }
}
