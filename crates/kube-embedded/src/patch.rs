//! JSON Patch, merge patch and strategic merge patch. Pure.

use serde_json::{Map, Value};

use super::{
    object::{DEEPEST, depth},
    status::StatusError,
};

/// Type of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
}

impl PatchType {
    /// Returns the type for a content type.
    pub(crate) fn from_content_type(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            _ => None,
        }
    }
}

/// Applies a patch (other than server-side apply) and returns the result.
pub(crate) fn apply(
    patch_type: PatchType,
    mut target: Value,
    patch: &Value,
) -> Result<Value, StatusError> {
    match patch_type {
        PatchType::Json => json(&mut target, patch)?,
        PatchType::Strategic => strategic(&mut target, patch)?,
        PatchType::Merge => merge(&mut target, patch),
    }
    Ok(target)
}

/// Maximum operations of a JSON Patch, as in the API server.
const MAX_OPERATIONS: usize = 10_000;
/// Maximum total size of copies and moves in a JSON Patch, in bytes. The API server has this limit for copies; moves are
/// counted to bound the time spent measuring their values.
const MAX_COPIES: usize = 3 << 20;

/// Applies a JSON Patch (RFC 6902). A failed `test` rejects the whole patch.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Result<(), StatusError> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|error| {
        StatusError::bad_request(format!("the body is not a JSON Patch: {error}"))
    })?;
    let count = operations.0.len();
    if count > MAX_OPERATIONS {
        return Err(StatusError::asks_too_much(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    let mut patched = target.clone();
    let mut copied = 0;
    for operation in operations.0 {
        // The API server accepts a test for null on a missing field; controllers use it to add their first finalizer.
        if let json_patch::PatchOperation::Test(test) = &operation
            && test.value.is_null()
            && patched.pointer(test.path.as_str()).is_none()
        {
            continue;
        }
        limit(&patched, &operation, &mut copied).map_err(rejected)?;
        json_patch::patch(&mut patched, &[operation]).map_err(rejected)?;
    }
    *target = patched;
    Ok(())
}

fn rejected(error: impl std::fmt::Display) -> StatusError {
    StatusError::unprocessable(format!(
        "the server rejected our request due to an error in our request: {error}"
    ))
}

/// Rejects an operation that would exhaust the server: a few copies of copies take all memory, and a value nested too deeply
/// takes all of the stack. `copied` counts the bytes copied so far.
fn limit(
    value: &Value,
    operation: &json_patch::PatchOperation,
    copied: &mut usize,
) -> Result<(), String> {
    use json_patch::PatchOperation::{Add, Copy, Move, Remove, Replace, Test};
    let (path, added) = match operation {
        Add(add) => (&add.path, Some(&add.value)),
        Replace(replace) => (&replace.path, Some(&replace.value)),
        Copy(copy) => (&copy.path, value.pointer(copy.from.as_str())),
        Move(moved) => (&moved.path, value.pointer(moved.from.as_str())),
        Remove(_) | Test(_) => return Ok(()),
    };
    // A missing value is rejected when it is copied.
    let Some(added) = added else { return Ok(()) };
    if matches!(operation, Copy(_) | Move(_)) {
        *copied += added.to_string().len();
        if *copied > MAX_COPIES {
            return Err(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIES}"
            ));
        }
    }
    let above = path.as_str().matches('/').count();
    if above + depth(added) > DEEPEST {
        return Err(format!("the object would nest more than {DEEPEST} levels"));
    }
    Ok(())
}

/// Applies a merge patch (RFC 7386).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.shift_remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Returns the merge keys of a list in a built-in kind, for strategic merge and server-side apply. `None`: the list is
/// atomic. Empty: a set of scalars.
pub(crate) fn merge_keys(parent: &str, field: &str) -> Option<&'static [&'static str]> {
    Some(match (parent, field) {
        ("metadata", "finalizers") => &[],
        (_, "ownerReferences") => &["uid"],
        (
            _,
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets",
        ) => &["name"],
        (_, "volumeMounts") => &["mountPath"],
        (_, "volumeDevices") => &["devicePath"],
        (_, "ports") => &["containerPort"],
        (_, "conditions") => &["type"],
        (_, "hostAliases" | "podIPs" | "hostIPs") => &["ip"],
        (_, "topologySpreadConstraints") => &["topologyKey"],
        _ => return None,
    })
}

/// Applies a strategic merge patch to an object of a built-in kind.
pub(crate) fn strategic(target: &mut Value, patch: &Value) -> Result<(), StatusError> {
    strategic_at(target, patch, "")
}

fn strategic_at(target: &mut Value, patch: &Value, field: &str) -> Result<(), StatusError> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.shift_remove("$patch");
            *target = Value::Object(whole);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(StatusError::bad_request(format!(
                "unknown $patch directive {other:?}"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else {
        return Ok(());
    };
    for (key, value) in patch {
        if key == "$patch" || key.starts_with("$setElementOrder/") || key == "$retainKeys" {
            continue;
        }
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (map.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if value.is_null() {
            map.shift_remove(key);
            continue;
        }
        let child = map.entry(key.clone()).or_insert(Value::Null);
        match (value, merge_keys(field, key)) {
            (Value::Array(items), Some(keys)) => strategic_list(child, items, keys, key)?,
            _ => strategic_at(child, value, key)?,
        }
    }
    for (key, order) in patch {
        let Some(name) = key.strip_prefix("$setElementOrder/") else {
            continue;
        };
        if let (Some(Value::Array(items)), Value::Array(order), Some(keys)) =
            (map.get_mut(name), order, merge_keys(field, name))
        {
            reorder(items, order, keys);
        }
    }
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        map.retain(|key, _| kept.iter().any(|name| name == key));
    }
    Ok(())
}

/// Sorts the items listed in `order`; the others keep their positions.
fn reorder(items: &mut [Value], order: &[Value], keys: &[&str]) {
    let position = |item: &Value| {
        order.iter().position(|wanted| match keys {
            [] => wanted == item,
            keys => keys.iter().all(|key| wanted.get(key) == item.get(key)),
        })
    };
    let slots: Vec<usize> = (0..items.len())
        .filter(|at| position(&items[*at]).is_some())
        .collect();
    let mut named: Vec<Value> = slots.iter().map(|at| items[*at].clone()).collect();
    named.sort_by_key(position);
    for (at, item) in slots.into_iter().zip(named) {
        items[at] = item;
    }
}

fn strategic_list(
    target: &mut Value,
    items: &[Value],
    keys: &[&str],
    field: &str,
) -> Result<(), StatusError> {
    let whole = items.iter().any(|item| item["$patch"] == "replace");
    if !target.is_array() || whole {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(current) = target else {
        return Ok(());
    };
    for item in items {
        if keys.is_empty() {
            if !current.contains(item) {
                current.push(item.clone());
            }
            continue;
        }
        if item["$patch"] == "replace" {
            continue;
        }
        if let Some(key) = keys.iter().find(|key| item.get(**key).is_none()) {
            return Err(StatusError::bad_request(format!(
                "an item of {field} in the patch lacks its merge key {key:?}"
            )));
        }
        let same = |other: &Value| keys.iter().all(|key| other.get(key) == item.get(key));
        let at = current.iter().position(same);
        match (item["$patch"] == "delete", at) {
            (true, Some(at)) => {
                current.remove(at);
            }
            (true, None) => {}
            (false, Some(at)) => strategic_at(&mut current[at], item, field)?,
            (false, None) => {
                let mut new = Value::Null;
                strategic_at(&mut new, item, field)?;
                current.push(new);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patch_follows_rfc_7386() {
        for (before, patch, after) in [
            (
                json!({"a": 1, "b": {"c": 2}}),
                json!({"a": null, "b": {"d": 3}}),
                json!({"b": {"c": 2, "d": 3}}),
            ),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (
                json!({}),
                json!({"a": {"b": {"c": null}}}),
                json!({"a": {"b": {}}}),
            ),
            (
                json!({"a": "x"}),
                json!({"a": {"b": 1}}),
                json!({"a": {"b": 1}}),
            ),
        ] {
            let mut value = before;
            merge(&mut value, &patch);
            assert_eq!(value, after);
        }
    }

    #[test]
    fn strategic_patch_merges_lists_by_key() {
        let before = json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "x", "image": "1", "args": ["p"]}, {"name": "y"}]}});
        for (patch, after) in [
            (
                json!({"spec": {"containers": [{"name": "x", "image": "2"}]}}),
                json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "x", "image": "2", "args": ["p"]}, {"name": "y"}]}}),
            ),
            (
                json!({"spec": {"containers": [{"name": "y", "$patch": "delete"}]}}),
                json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "x", "image": "1", "args": ["p"]}]}}),
            ),
            (
                json!({"metadata": {"finalizers": ["b"], "$deleteFromPrimitiveList/finalizers": ["a"]}, "spec": null}),
                json!({"metadata": {"finalizers": ["b"]}}),
            ),
            (
                json!({"spec": {"$patch": "replace", "other": 1}}),
                json!({"metadata": {"finalizers": ["a"]}, "spec": {"other": 1}}),
            ),
        ] {
            let mut value = before.clone();
            strategic(&mut value, &patch).unwrap();
            assert_eq!(value, after, "{patch}");
        }
        let mut value = before.clone();
        let refused = strategic(
            &mut value,
            &json!({"spec": {"containers": [{"image": "2"}]}}),
        );
        assert_eq!(refused.unwrap_err().code, 400);
    }

    #[test]
    fn element_order_keeps_other_items() {
        let mut value = json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "a"}, {"name": "b"}]},
                               "metadata": {"finalizers": ["x", "y"]}});
        let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                                    "containers": [{"name": "c"}]},
                           "metadata": {"$setElementOrder/finalizers": ["y", "x"]}});
        strategic(&mut value, &patch).unwrap();
        assert_eq!(
            value,
            json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "c"}, {"name": "b"}, {"name": "a"}]},
                   "metadata": {"finalizers": ["y", "x"]}})
        );
    }

    #[test]
    fn json_patch_cannot_outgrow_the_server() {
        let copies = |from: &str, count: usize| -> Vec<Value> {
            let copy = |n| json!({"op": "copy", "from": from, "path": format!("/a/b{n}")});
            (0..count).map(copy).collect()
        };
        let chain = (0..60).fold(json!(1), |value, _| json!({ "x": value }));
        let deep = "/x".repeat(60);
        let add = |path: &str| json!({"op": "add", "path": path, "value": chain});
        let tests = vec![json!({"op": "test", "path": "/a/k", "value": "v"}); MAX_OPERATIONS + 1];
        for (patch, code, why) in [
            // Each copy doubles what the next one copies.
            (copies("/a", 40), 422, "exceeding the limit 3145728"),
            (tests, 413, "is 10000, got 10001"),
            (
                vec![add("/a/b"), add(&format!("/a/b{deep}"))],
                422,
                "more than 100 levels",
            ),
            (
                vec![
                    add("/a/b"),
                    add("/a/c"),
                    json!({"op": "move", "from": "/a/b", "path": format!("/a/c{deep}")}),
                ],
                422,
                "more than 100 levels",
            ),
        ] {
            let mut value = json!({"a": {"k": "v"}});
            let refused = json(&mut value, &patch.into()).unwrap_err();
            assert_eq!(refused.code, code, "{refused}");
            assert!(refused.message.contains(why), "{refused}");
            assert_eq!(value, json!({"a": {"k": "v"}}));
        }
        let mut value = json!({"a": {"k": "v"}});
        json(&mut value, &copies("/a/k", MAX_OPERATIONS).into()).unwrap();
        assert_eq!(value["a"].as_object().unwrap().len(), MAX_OPERATIONS + 1);
    }

    #[test]
    fn failed_test_rejects_json_patch() {
        let mut value = json!({"metadata": {"uid": "1"}});
        let refused = json(
            &mut value,
            &json!([{"op": "add", "path": "/a", "value": 1}, {"op": "test", "path": "/metadata/uid", "value": "2"}]),
        );
        assert_eq!(refused.unwrap_err().code, 422);
        assert_eq!(value, json!({"metadata": {"uid": "1"}}));
        json(
            &mut value,
            &json!([{"op": "test", "path": "/metadata/finalizers", "value": null}, {"op": "test", "path": "/metadata/uid", "value": "1"}, {"op": "add", "path": "/a", "value": 1}]),
        )
        .unwrap();
        assert_eq!(value["a"], 1);
    }
}
