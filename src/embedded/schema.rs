//! Structural schemas of custom resources: what is unknown is pruned, what is missing is defaulted, what is wrong is named.
//!
//! Rules in CEL (`x-kubernetes-validations`) are not evaluated. Pure.

use std::{collections::BTreeMap, fmt::Write as _};

use regex::Regex;
use serde_json::{Map, Value};

use super::failure::Cause;

/// How a list is merged by server-side apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are known by these of their fields.
    Map(Vec<String>),
}

/// One node of a schema, read once.
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
    choices: Option<Vec<Value>>,
    pattern: Option<(String, Option<Regex>)>,
    length: (Option<u64>, Option<u64>),
    count: (Option<u64>, Option<u64>),
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive: (bool, bool),
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    not: Option<Box<Schema>>,
    /// How server-side apply merges a list.
    pub list_type: ListType,
    /// Whether server-side apply takes a map as one value.
    pub atomic_map: bool,
}

impl Schema {
    /// Reads an `openAPIV3Schema`.
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
            choices: schema["enum"].as_array().cloned(),
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

    /// The schema of a field.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    /// The schema of the items of a list.
    pub fn items(&self) -> Option<&Self> {
        self.items.as_deref()
    }

    /// Whether fields it does not name are kept.
    pub fn keeps_unknown(&self) -> bool {
        self.preserve
    }

    /// The patterns in it that are no regular expressions here, with their places.
    pub fn bad_patterns(&self, at: &str, out: &mut Vec<(String, String)>) {
        if let Some((pattern, None)) = &self.pattern {
            out.push((at.to_owned(), pattern.clone()));
        }
        for (name, schema) in &self.properties {
            schema.bad_patterns(&format!("{at}.properties[{name}]"), out);
        }
        if let Some(items) = &self.items {
            items.bad_patterns(&format!("{at}.items"), out);
        }
        if let Some(additional) = &self.additional {
            additional.bad_patterns(&format!("{at}.additionalProperties"), out);
        }
    }

    /// Removes what the schema does not know; adds the removed paths to `removed`. `root` objects keep their
    /// apiVersion, kind and metadata.
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

    /// Fills in defaults below `value`. A null where null is not allowed and a default exists takes the default.
    pub fn fill(&self, value: &mut Value) {
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
                        schema.fill(child);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for item in items {
                        schema.fill(item);
                    }
                }
            }
            _ => {}
        }
    }

    /// Drops nulls of fields that may not be null, as the API server does for custom resources before it validates.
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

    /// Adds everything wrong with `value` to `causes`.
    pub fn validate(&self, value: &Value, at: &str, causes: &mut Vec<Cause>) {
        if value.is_null() && (self.nullable || self.preserve && self.kind.is_empty()) {
            return;
        }
        if !self.has_type(value) {
            let expected = if self.int_or_string {
                "integer,string"
            } else {
                &self.kind
            };
            causes.push(Cause {
                reason: "FieldValueTypeInvalid",
                field: place(at),
                message: format!(
                    "Invalid value: {:?}: {} in body must be of type {expected}: {:?}",
                    type_of(value),
                    place(at),
                    type_of(value)
                ),
            });
            return;
        }
        self.validate_value(value, at, causes);
        match value {
            Value::Object(map) => self.validate_map(map, at, causes),
            Value::Array(items) => self.validate_list(items, at, causes),
            _ => {}
        }
        for schema in &self.all_of {
            schema.validate(value, at, causes);
        }
        let matches = |schemas: &[Self]| {
            schemas
                .iter()
                .filter(|schema| schema.accepts(value))
                .count()
        };
        if !self.any_of.is_empty() && matches(&self.any_of) == 0 {
            causes.push(Cause::invalid(
                place(at),
                value,
                format!(
                    "{} in body must validate at least one schema (anyOf)",
                    place(at)
                ),
            ));
        }
        if !self.one_of.is_empty() && matches(&self.one_of) != 1 {
            causes.push(Cause::invalid(
                place(at),
                value,
                format!(
                    "{} in body must validate one and only one schema (oneOf)",
                    place(at)
                ),
            ));
        }
        if self
            .not
            .as_ref()
            .is_some_and(|schema| schema.accepts(value))
        {
            causes.push(Cause::invalid(
                place(at),
                value,
                format!("{} in body must not validate the schema (not)", place(at)),
            ));
        }
    }

    fn accepts(&self, value: &Value) -> bool {
        let mut causes = Vec::new();
        self.validate(value, "", &mut causes);
        causes.is_empty()
    }

    fn has_type(&self, value: &Value) -> bool {
        if self.int_or_string {
            return value.is_i64() || value.is_u64() || value.is_string();
        }
        match self.kind.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => {
                value.is_i64()
                    || value.is_u64()
                    || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            "number" => value.is_number(),
            _ => true,
        }
    }

    fn validate_value(&self, value: &Value, at: &str, causes: &mut Vec<Cause>) {
        let mut wrong = |message: String| {
            causes.push(Cause::invalid(
                place(at),
                value,
                format!("{} in body {message}", place(at)),
            ));
        };
        if let Some(text) = value.as_str() {
            let length = text.chars().count() as u64;
            if let Some(min) = self.length.0.filter(|min| length < *min) {
                wrong(format!("should be at least {min} chars long"));
            }
            if let Some(max) = self.length.1.filter(|max| length > *max) {
                wrong(format!("should be at most {max} chars long"));
            }
            if let Some((pattern, Some(regex))) = &self.pattern
                && !regex.is_match(text)
            {
                wrong(format!("should match '{pattern}'"));
            }
            if self.format == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
                wrong("must be of type date-time".to_owned());
            }
        }
        if let Some(number) = value.as_f64() {
            if let Some(min) = self.minimum
                && (number < min || self.exclusive.0 && number <= min)
            {
                let or_equal = if self.exclusive.0 { "" } else { " or equal to" };
                wrong(format!("should be greater than{or_equal} {min}"));
            }
            if let Some(max) = self.maximum
                && (number > max || self.exclusive.1 && number >= max)
            {
                let or_equal = if self.exclusive.1 { "" } else { " or equal to" };
                wrong(format!("should be less than{or_equal} {max}"));
            }
            if self.format == "int32"
                && (number > f64::from(i32::MAX) || number < f64::from(i32::MIN))
            {
                wrong("must be of type int32".to_owned());
            }
        }
        if let Some(choices) = &self.choices
            && !choices.contains(value)
        {
            let list: Vec<String> = choices.iter().map(Value::to_string).collect();
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                field: place(at),
                message: format!(
                    "Unsupported value: {value}: supported values: {}",
                    list.join(", ")
                ),
            });
        }
    }

    fn validate_map(&self, map: &Map<String, Value>, at: &str, causes: &mut Vec<Cause>) {
        for name in &self.required {
            if !map.contains_key(name) {
                causes.push(Cause::required(join(at, name)));
            }
        }
        if let Some(max) = self.count.1.filter(|max| map.len() as u64 > *max) {
            causes.push(Cause {
                reason: "FieldValueTooMany",
                field: place(at),
                message: format!("Too many: {}: must have at most {max} items", map.len()),
            });
        }
        if let Some(min) = self.count.0.filter(|min| (map.len() as u64) < *min) {
            let message = format!(
                "{} in body should have at least {min} properties",
                place(at)
            );
            causes.push(Cause::invalid(
                place(at),
                &Value::Object(map.clone()),
                message,
            ));
        }
        for (name, child) in map {
            if let Some(schema) = self.field(name) {
                schema.validate(child, &join(at, name), causes);
            }
        }
    }

    fn validate_list(&self, items: &[Value], at: &str, causes: &mut Vec<Cause>) {
        let count = items.len() as u64;
        if let Some(max) = self.count.1.filter(|max| count > *max) {
            causes.push(Cause {
                reason: "FieldValueTooMany",
                field: place(at),
                message: format!("Too many: {count}: must have at most {max} items"),
            });
        }
        if let Some(min) = self.count.0.filter(|min| count < *min) {
            let message = format!("{} in body should have at least {min} items", place(at));
            causes.push(Cause::invalid(place(at), &Value::from(count), message));
        }
        let identity = |item: &Value| match &self.list_type {
            ListType::Atomic => None,
            ListType::Set => Some(item.to_string()),
            ListType::Map(keys) => Some(keys.iter().fold(String::new(), |mut id, key| {
                let _ = write!(id, "{key}={} ", item[key.as_str()]);
                id
            })),
        };
        let mut seen = std::collections::HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if let Some(id) = identity(item)
                && !seen.insert(id)
            {
                causes.push(Cause {
                    reason: "FieldValueDuplicate",
                    field: at.clone(),
                    message: format!("Duplicate value: {item}"),
                });
            }
            if let Some(schema) = &self.items {
                schema.validate(item, &at, causes);
            }
        }
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { "<nil>" } else { at }.to_owned()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
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
    fn what_is_wrong_is_named_with_its_place() {
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
                vec![("FieldValueInvalid", "spec.ids[0]")],
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
    fn unknown_fields_go_and_are_named() {
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
    fn defaults_fill_what_is_there_but_make_no_parents() {
        let mut value = json!({"spec": {"mode": null, "nested": {}}});
        schema().fill(&mut value);
        assert_eq!(
            value,
            json!({"spec": {"mode": "one", "nested": {"deep": true}}})
        );
    }
}
