//! Field managers and server-side apply: computes `metadata.managedFields` after a write, and merges an applied
//! configuration into the live object. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    field_set::{self, FieldSet, Path, Shape},
    object::{list, metadata_mut, text},
    status::StatusError,
};

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    manager: String,
    /// Whether the operation is `Apply`.
    applied: bool,
    /// Whether the subresource is `status`.
    status: bool,
    api_version: String,
    time: String,
    fields: FieldSet,
}

/// Field manager of `kubectl apply --server-side`.
const KUBECTL: &str = "kubectl";
/// Annotation in which client-side `kubectl apply` stores the last applied configuration.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns the fields set by client-side `kubectl apply` and unchanged since. Server-side apply by kubectl may take
/// them over, as on the API server (`k8s.io/apimachinery/pkg/util/managedfields/internal/lastapplied.go`).
fn client_side_applied(
    live: &Value,
    current: &BTreeMap<Path, Option<&Value>>,
    shape: Shape<'_>,
) -> FieldSet {
    let last = live["metadata"]["annotations"][LAST_APPLIED].as_str();
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let Some(last) = last else {
        return FieldSet::new();
    };
    field_set::leaves(&last, shape)
        .into_iter()
        .filter(|(path, value)| current.get(path) == Some(value))
        .map(|(path, _)| path)
        .collect()
}

/// Normalizes a timestamp to whole seconds in UTC.
fn normalize_time(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => text.to_owned(),
    }
}

impl Entry {
    /// Describes the manager as in a conflict message.
    fn describe(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if self.status {
            text.push_str(" with subresource \"status\"");
        }
        if !self.applied {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }
}

/// The field managers of one object, with the fields each owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Managers(Vec<Entry>);

/// The manager that makes a write, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub manager: &'a str,
    pub api_version: &'a str,
    pub now: &'a str,
    /// Whether the write goes through the status subresource.
    pub status: bool,
}

impl Managers {
    /// Reads `metadata.managedFields`.
    pub(crate) fn read(object: &Value) -> Self {
        let entries = list(object, "/metadata/managedFields")
            .iter()
            .filter(|entry| entry["fieldsV1"].is_object())
            .map(|entry| Entry {
                manager: text(entry, "/manager").to_owned(),
                applied: text(entry, "/operation") == "Apply",
                status: text(entry, "/subresource") == "status",
                api_version: text(entry, "/apiVersion").to_owned(),
                time: normalize_time(text(entry, "/time")),
                fields: field_set::from_json(&entry["fieldsV1"]),
            })
            .collect();
        Self(entries)
    }

    /// Writes `metadata.managedFields`, without managers that own nothing.
    pub(crate) fn write(&self, object: &mut Value) {
        let entries: Vec<Value> = self
            .0
            .iter()
            .filter(|entry| !entry.fields.is_empty())
            .map(|entry| {
                let mut json = json!({
                    "manager": entry.manager,
                    "operation": if entry.applied { "Apply" } else { "Update" },
                    "apiVersion": entry.api_version,
                    "time": entry.time,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": field_set::to_json(&entry.fields),
                });
                if entry.status {
                    json["subresource"] = "status".into();
                }
                json
            })
            .collect();
        let metadata = metadata_mut(object);
        if entries.is_empty() {
            metadata.shift_remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), entries.into());
        }
    }

    fn entry(&mut self, writer: &Writer<'_>, applied: bool) -> &mut Entry {
        let same = |entry: &Entry| {
            entry.manager == writer.manager
                && entry.applied == applied
                && entry.status == writer.status
        };
        let at = self.0.iter().position(same).unwrap_or_else(|| {
            self.0.push(Entry {
                manager: writer.manager.to_owned(),
                applied,
                status: writer.status,
                api_version: String::new(),
                time: String::new(),
                fields: FieldSet::new(),
            });
            self.0.len() - 1
        });
        let entry = &mut self.0[at];
        writer.api_version.clone_into(&mut entry.api_version);
        entry
    }

    /// Updates the owners after a write other than apply: the writer takes the fields it changed, and removed fields
    /// lose all owners.
    pub(crate) fn update(
        &mut self,
        writer: &Writer<'_>,
        old: &Value,
        new: &Value,
        shape: Shape<'_>,
    ) {
        let before = field_set::leaves(old, shape);
        let after = field_set::leaves(new, shape);
        let changed: FieldSet = after
            .iter()
            .filter(|(path, value)| {
                field_set::is_owned(path, writer.status) && before.get(*path) != Some(*value)
            })
            .map(|(path, _)| path.clone())
            .collect();
        for entry in &mut self.0 {
            entry.fields.retain(|path| {
                !changed.contains(path) && (after.contains_key(path) || !before.contains_key(path))
            });
        }
        if !changed.is_empty() {
            let entry = self.entry(writer, false);
            entry.fields.extend(changed);
            writer.now.clone_into(&mut entry.time);
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// Applies `config` to `live` and returns the merged object. Returns a conflict if another manager owns a field
    /// with another value, unless `force` is set.
    pub(crate) fn apply(
        &mut self,
        writer: &Writer<'_>,
        live: &Value,
        config: &Value,
        shape: Shape<'_>,
        force: bool,
    ) -> Result<Value, StatusError> {
        let current = field_set::leaves(live, shape);
        let wanted: Vec<_> = field_set::leaves(config, shape)
            .into_iter()
            .filter(|(path, _)| field_set::is_owned(path, writer.status))
            .collect();
        let own = |entry: &Entry| {
            entry.manager == writer.manager && entry.applied && entry.status == writer.status
        };
        let transferable = match writer.manager {
            KUBECTL => client_side_applied(live, &current, shape),
            _ => FieldSet::new(),
        };
        let mut conflicts = Vec::new();
        for (path, value) in &wanted {
            if current.get(path) == Some(value) {
                continue;
            }
            for entry in self.0.iter_mut().filter(|entry| !own(entry)) {
                if !entry.fields.contains(path) {
                    continue;
                }
                if force || transferable.contains(path) {
                    entry.fields.remove(path);
                } else {
                    conflicts.push((entry.describe(), field_set::to_string(path)));
                }
            }
        }
        if !conflicts.is_empty() {
            return Err(StatusError::apply_conflict(&conflicts));
        }

        let mut merged = live.clone();
        field_set::merge(&mut merged, config, shape);
        let wanted: FieldSet = wanted.into_iter().map(|(path, _)| path).collect();
        let dropped: Vec<_> = self
            .0
            .iter()
            .filter(|entry| own(entry))
            .flat_map(|entry| entry.fields.difference(&wanted))
            .cloned()
            .collect();
        // Remove dropped fields. A list item is removed before its fields (paths are sorted), and only if no other
        // manager owns anything in it.
        for path in &dropped {
            let others = |entry: &&Entry| !own(entry);
            let kept = self
                .0
                .iter()
                .filter(others)
                .any(|entry| entry.fields.iter().any(|other| other.starts_with(path)));
            let is_parent = wanted.iter().any(|other| other.starts_with(path));
            if !kept && !is_parent {
                field_set::remove(&mut merged, path);
            }
        }

        let entry = self.entry(writer, true);
        if entry.fields != wanted {
            entry.fields = wanted;
            writer.now.clone_into(&mut entry.time);
        }
        self.0.retain(|entry| !entry.fields.is_empty());
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape<'static> = Shape::Root(None);

    fn writer(manager: &str) -> Writer<'_> {
        Writer {
            manager,
            api_version: "v1",
            now: "t",
            status: false,
        }
    }

    #[test]
    fn drops_fields_no_longer_applied() {
        let mut managers = Managers::default();
        let one = json!({"data": {"a": "1", "b": "1"}});
        let live = managers
            .apply(&writer("one"), &json!({}), &one, SHAPE, false)
            .unwrap();
        let two = json!({"data": {"b": "1", "c": "2"}});
        let live = managers
            .apply(&writer("two"), &live, &two, SHAPE, false)
            .unwrap();
        assert_eq!(live, json!({"data": {"a": "1", "b": "1", "c": "2"}}));
        let live = managers
            .apply(&writer("one"), &live, &json!({"data": {}}), SHAPE, false)
            .unwrap();
        assert_eq!(live, json!({"data": {"b": "1", "c": "2"}}));
    }

    #[test]
    fn conflicting_value_needs_force() {
        let mut managers = Managers::default();
        let config = json!({"data": {"a": "1"}});
        let live = managers
            .apply(&writer("one"), &json!({}), &config, SHAPE, false)
            .unwrap();
        let other = json!({"data": {"a": "2"}});
        let refused = managers
            .clone()
            .apply(&writer("two"), &live, &other, SHAPE, false)
            .unwrap_err();
        assert_eq!((refused.code, refused.reason), (409, "Conflict"));
        assert_eq!(
            refused.message,
            "Apply failed with 1 conflict: conflict with \"one\": .data.a"
        );
        let live = managers
            .apply(&writer("two"), &live, &other, SHAPE, true)
            .unwrap();
        assert_eq!(live, other);
        // The first manager lost the field, so dropping it does not remove the field.
        let live = managers
            .apply(&writer("one"), &live, &json!({"data": {}}), SHAPE, false)
            .unwrap();
        assert_eq!(live, other);
    }

    #[test]
    fn kubectl_takes_over_client_side_applied_fields() {
        let last = json!({"data": {"a": "1", "b": "1"}}).to_string();
        let annotations = json!({ LAST_APPLIED: last });
        let made =
            |b: &str| json!({"metadata": {"annotations": annotations}, "data": {"a": "1", "b": b}});
        let mut managers = Managers::default();
        let by_client = writer("kubectl-client-side-apply");
        managers.update(&by_client, &Value::Null, &made("1"), SHAPE);
        let config = json!({"data": {"a": "2", "b": "2"}});
        let apply = |managers: &Managers, manager, live: &Value| {
            let mut managers = managers.clone();
            managers.apply(&writer(manager), live, &config, SHAPE, false)
        };
        let taken = apply(&managers, "kubectl", &made("1")).unwrap();
        assert_eq!(taken["data"], config["data"]);
        assert!(apply(&managers, "other", &made("1")).is_err());
        managers.update(&writer("edit"), &made("1"), &made("3"), SHAPE);
        let refused = apply(&managers, "kubectl", &made("3")).unwrap_err();
        assert_eq!(
            refused.message,
            "Apply failed with 1 conflict: conflict with \"edit\" using v1: .data.b"
        );
    }

    #[test]
    fn update_takes_changed_fields() {
        let mut managers = Managers::default();
        let config = json!({"data": {"a": "1", "b": "1"}});
        let live = managers
            .apply(&writer("one"), &json!({}), &config, SHAPE, false)
            .unwrap();
        let edited = json!({"data": {"a": "2"}});
        managers.update(&writer("edit"), &live, &edited, SHAPE);
        let refused = managers.apply(&writer("one"), &edited, &config, SHAPE, false);
        assert!(
            refused
                .unwrap_err()
                .message
                .contains("\"edit\" using v1: .data.a")
        );
        let mut object = edited.clone();
        managers.write(&mut object);
        assert_eq!(Managers::read(&object), managers);
        assert_eq!(
            object["metadata"]["managedFields"][0]["fieldsV1"],
            json!({"f:data": {"f:a": {}}}),
            "the first manager owns nothing: one field was changed, one removed"
        );
    }

    #[test]
    fn owns_list_items_by_key() {
        let mut managers = Managers::default();
        let item = |kind: &str, status: &str| json!({"type": kind, "status": status});
        let status = Writer {
            status: true,
            ..writer("one")
        };
        let live = managers
            .apply(
                &status,
                &json!({}),
                &json!({"status": {"conditions": [item("A", "True"), item("B", "True")]}}),
                SHAPE,
                false,
            )
            .unwrap();
        let other = Writer {
            manager: "two",
            ..status
        };
        let live = managers
            .apply(
                &other,
                &live,
                &json!({"status": {"conditions": [item("C", "True")]}}),
                SHAPE,
                false,
            )
            .unwrap();
        let live = managers
            .apply(
                &status,
                &live,
                &json!({"status": {"conditions": [item("B", "False")]}}),
                SHAPE,
                false,
            )
            .unwrap();
        assert_eq!(
            live,
            json!({"status": {"conditions": [item("B", "False"), item("C", "True")]}})
        );
    }
}
