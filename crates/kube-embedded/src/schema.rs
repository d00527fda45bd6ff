//! Structural schemas of custom resources: pruning, defaulting and validation.
//!
//! CEL rules (`x-kubernetes-validations`) are in the crate `kube-rules`. Pure.

mod format;
mod normalize;
mod structural;
mod validate;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

pub(crate) use structural::validate_schema;

/// How server-side apply merges a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are identified by these fields.
    Map(Vec<String>),
}

/// One node of a parsed schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    kind: String,
    properties: BTreeMap<String, Schema>,
    additional: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    required: Vec<String>,
    default: Option<Value>,
    nullable: bool,
    preserve: bool,
    int_or_string: bool,
    embedded_resource: bool,
    format: String,
    enum_values: Option<Vec<Value>>,
    pattern: Option<(String, Option<Regex>)>,
    length: (Option<u64>, Option<u64>),
    count: (Option<u64>, Option<u64>),
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive: (bool, bool),
    multiple_of: Option<f64>,
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    not: Option<Box<Schema>>,
    /// How server-side apply merges a list.
    pub list_type: ListType,
    /// Whether server-side apply treats the map as atomic.
    pub atomic_map: bool,
}

impl Schema {
    /// Parses an `openAPIV3Schema`.
    pub fn read(schema: &Value) -> Self {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| schema[key].as_bool().unwrap_or_default();
        let number = |key: &str| schema[key].as_u64();
        let many = |key: &str| -> Vec<Self> {
            let all = schema[key].as_array().map(Vec::as_slice);
            all.unwrap_or_default().iter().map(Self::read).collect()
        };
        let boxed = |key: &str| {
            schema[key]
                .is_object()
                .then(|| Box::new(Self::read(&schema[key])))
        };
        let strings = |key: &str| -> Vec<String> {
            let all = schema[key].as_array().into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let first = |a: &str, b: &str| number(a).or_else(|| number(b));
        Self {
            kind: text("type"),
            properties: schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::read(schema)))
                .collect(),
            additional: boxed("additionalProperties").or_else(|| {
                flag("additionalProperties").then(|| {
                    Box::new(Self {
                        preserve: true,
                        ..Self::default()
                    })
                })
            }),
            items: boxed("items"),
            required: strings("required"),
            default: schema.get("default").cloned(),
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            embedded_resource: flag("x-kubernetes-embedded-resource"),
            format: text("format"),
            enum_values: schema["enum"].as_array().cloned(),
            pattern: schema["pattern"]
                .as_str()
                .map(|pattern| (pattern.to_owned(), Regex::new(pattern).ok())),
            length: (number("minLength"), number("maxLength")),
            count: (
                first("minItems", "minProperties"),
                first("maxItems", "maxProperties"),
            ),
            minimum: schema["minimum"].as_f64(),
            maximum: schema["maximum"].as_f64(),
            exclusive: (flag("exclusiveMinimum"), flag("exclusiveMaximum")),
            multiple_of: schema["multipleOf"].as_f64(),
            all_of: many("allOf"),
            any_of: many("anyOf"),
            one_of: many("oneOf"),
            not: boxed("not"),
            list_type: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(strings("x-kubernetes-list-map-keys")),
                _ => ListType::Atomic,
            },
            atomic_map: schema["x-kubernetes-map-type"] == "atomic",
        }
    }

    /// Returns the schema of a field.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    /// Returns the schema of the items of a list.
    pub fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    /// Returns whether unknown fields are preserved.
    pub fn preserves_unknown_fields(&self) -> bool {
        self.preserve
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::read(&json!({
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["ids"],
                    "properties": {
                        "ids": {"type": "array", "minItems": 1, "maxItems": 2, "x-kubernetes-list-type": "set",
                                "items": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}},
                        "mode": {"type": "string", "enum": ["one", "two"], "default": "one"},
                        "size": {"type": "integer", "minimum": 1, "format": "int32"},
                        "even": {"type": "integer", "multipleOf": 2},
                        "either": {"type": "string", "oneOf": [{"minLength": 2}, {"minLength": 6}], "anyOf": [{"maxLength": 9}], "not": {"enum": ["never"]}},
                        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                                  "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}},
                        "maybe": {"type": "string", "nullable": true},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "env": {"type": "object", "additionalProperties": {"type": "string"}},
                        "at": {"type": "string", "format": "date-time"},
                        "port": {"x-kubernetes-int-or-string": true},
                        "nested": {"type": "object", "properties": {"deep": {"type": "boolean", "default": true}}}
                    }
                }
            }
        }))
    }

    #[test]
    fn validation_names_the_field() {
        for (spec, expected) in [
            (json!({"ids": ["a"]}), vec![]),
            (json!({}), vec![("FieldValueRequired", "spec.ids")]),
            (json!({"ids": []}), vec![("FieldValueInvalid", "spec.ids")]),
            (
                json!({"ids": ["a", "b", "c"]}),
                vec![("FieldValueTooMany", "spec.ids")],
            ),
            (
                json!({"ids": ["a", "a"]}),
                vec![("FieldValueDuplicate", "spec.ids[1]")],
            ),
            (
                json!({"ids": ["A"]}),
                vec![("FieldValueInvalid", "spec.ids[0]")],
            ),
            (
                json!({"ids": ["abcd"]}),
                vec![("FieldValueTooLong", "spec.ids[0]")],
            ),
            (
                json!({"ids": ["a"], "mode": "three"}),
                vec![("FieldValueNotSupported", "spec.mode")],
            ),
            (
                json!({"ids": ["a"], "size": "1"}),
                vec![("FieldValueTypeInvalid", "spec.size")],
            ),
            (
                json!({"ids": ["a"], "size": 0}),
                vec![("FieldValueInvalid", "spec.size")],
            ),
            (
                json!({"ids": ["a"], "size": 3_000_000_000_u64}),
                vec![("FieldValueInvalid", "spec.size")],
            ),
            (
                json!({"ids": ["a"], "even": 3}),
                vec![("FieldValueInvalid", "spec.even")],
            ),
            (json!({"ids": ["a"], "either": "abc"}), vec![]),
            (
                json!({"ids": ["a"], "either": "abcdef"}),
                vec![("FieldValueInvalid", "spec.either")],
            ),
            (
                json!({"ids": ["a"], "either": "x"}),
                vec![("FieldValueInvalid", "spec.either")],
            ),
            (
                json!({"ids": ["a"], "keyed": [{"k": "a"}, {"k": "b"}, {"k": "a", "v": "c"}]}),
                vec![("FieldValueDuplicate", "spec.keyed[2]")],
            ),
            (json!({"ids": ["a"], "maybe": null}), vec![]),
            (
                json!({"ids": ["a"], "mode": null}),
                vec![("FieldValueTypeInvalid", "spec.mode")],
            ),
            (
                json!({"ids": ["a"], "env": {"A": 1}}),
                vec![("FieldValueTypeInvalid", "spec.env.A")],
            ),
            (
                json!({"ids": ["a"], "at": "yesterday"}),
                vec![("FieldValueInvalid", "spec.at")],
            ),
            (json!({"ids": ["a"], "port": "http"}), vec![]),
            (
                json!({"ids": ["a"], "port": true}),
                vec![("FieldValueTypeInvalid", "spec.port")],
            ),
        ] {
            let mut causes = Vec::new();
            schema().validate(&json!({ "spec": spec }), "", &mut causes);
            let found: Vec<_> = causes
                .iter()
                .map(|cause| (cause.reason, cause.field.as_str()))
                .collect();
            assert_eq!(found, expected, "{spec}");
        }
    }

    #[test]
    fn prunes_unknown_fields() {
        let mut value = json!({"kind": "X", "metadata": {"name": "a"}, "spec": {"ids": ["a"], "extra": 1, "free": {"any": 1}, "env": {"A": "b"}}, "other": 1});
        let mut removed = Vec::new();
        schema().prune(&mut value, true, "", &mut removed);
        assert_eq!(
            value,
            json!({"kind": "X", "metadata": {"name": "a"}, "spec": {"ids": ["a"], "free": {"any": 1}, "env": {"A": "b"}}})
        );
        assert_eq!(removed, ["other", "spec.extra"]);
    }

    #[test]
    fn defaults_do_not_create_parents() {
        let mut value = json!({"spec": {"mode": null, "nested": {}}});
        schema().apply_defaults(&mut value);
        assert_eq!(
            value,
            json!({"spec": {"mode": "one", "nested": {"deep": true}}})
        );
    }
}
