//! Pruning, defaulting, and dropping of nulls before validation.

use serde_json::Value;

use super::{Schema, join};

impl Schema {
    /// Removes unknown fields and adds their paths to `removed`. `root` objects keep apiVersion, kind and metadata.
    pub fn prune(&self, value: &mut Value, root: bool, at: &str, removed: &mut Vec<String>) {
        let root = root || self.embedded_resource;
        match value {
            Value::Object(map) => {
                if !self.preserve && self.additional.is_none() {
                    let unknown: Vec<String> = map
                        .keys()
                        .filter(|name| {
                            let known = self.properties.contains_key(*name)
                                || root
                                    && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
                            !known
                        })
                        .cloned()
                        .collect();
                    for name in unknown {
                        map.shift_remove(&name);
                        removed.push(join(at, &name));
                    }
                }
                for (name, child) in map.iter_mut() {
                    if root && name == "metadata" {
                        continue;
                    }
                    if let Some(schema) = self.field(name) {
                        schema.prune(child, false, &join(at, name), removed);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter_mut().enumerate() {
                        schema.prune(item, false, &format!("{at}[{index}]"), removed);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sets defaults below `value`. A null that is not allowed takes the default, if there is one.
    pub fn apply_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, schema) in &self.properties {
                    let Some(default) = &schema.default else {
                        continue;
                    };
                    match map.get(name) {
                        None => {
                            map.insert(name.clone(), default.clone());
                        }
                        Some(Value::Null) if !schema.nullable => {
                            map.insert(name.clone(), default.clone());
                        }
                        Some(_) => {}
                    }
                }
                for (name, child) in map.iter_mut() {
                    if let Some(schema) = self.field(name) {
                        schema.apply_defaults(child);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for item in items {
                        schema.apply_defaults(item);
                    }
                }
            }
            _ => {}
        }
    }

    /// Drops nulls of fields that are not nullable, as the API server does before it validates a custom resource.
    pub fn drop_nulls(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|name, child| {
                    let schema = self.properties.get(name);
                    !(child.is_null()
                        && schema.is_some_and(|schema| !schema.nullable && !schema.preserve))
                });
                for (name, child) in map.iter_mut() {
                    if let Some(schema) = self.field(name) {
                        schema.drop_nulls(child);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for item in items {
                        schema.drop_nulls(item);
                    }
                }
            }
            _ => {}
        }
    }
}
