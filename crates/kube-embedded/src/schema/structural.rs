//! What an API server refuses in a schema itself (`k8s.io/apiextensions-apiserver`, structural schemas). Pure.

use serde_json::Value;

use super::Schema;
use crate::{
    object::{list, text},
    status::Cause,
};

/// Everything wrong with the `openAPIV3Schema` that stands at `at`.
pub fn faults(schema: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if schema["type"] != "object" {
        causes.push(Cause::invalid(
            format!("{at}.type"),
            &schema["type"],
            "must be object at the root",
        ));
    }
    look(schema, at, &mut causes);
    causes
}

fn look(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
    let mut forbid = |field: &str, why: &str| {
        causes.push(Cause::forbidden(format!("{at}.{field}"), why));
    };
    if schema.get("$ref").is_some() {
        forbid("$ref", "$ref is not supported");
    }
    if schema["uniqueItems"] == true {
        forbid(
            "uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    if schema["properties"].is_object() && schema.get("additionalProperties").is_some() {
        forbid(
            "additionalProperties",
            "additionalProperties and properties are mutual exclusive",
        );
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && regex::Regex::new(pattern).is_err()
    {
        causes.push(Cause::invalid(
            format!("{at}.pattern"),
            &schema["pattern"],
            "must be a valid regular expression",
        ));
    }
    if let Some(default) = schema.get("default") {
        let mut wrong = Vec::new();
        let mut filled = default.clone();
        let read = Schema::read(schema);
        read.fill(&mut filled);
        read.validate(&filled, &format!("{at}.default"), &mut wrong);
        causes.extend(wrong);
    }
    if schema["x-kubernetes-list-type"] == "map" {
        list_map(schema, at, causes);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        typed(
            property,
            &format!("{at}.properties[{name}]"),
            "object fields",
            causes,
        );
    }
    if schema["additionalProperties"].is_object() {
        let at = format!("{at}.additionalProperties");
        typed(
            &schema["additionalProperties"],
            &at,
            "object fields",
            causes,
        );
    }
    if schema["items"].is_object() {
        typed(
            &schema["items"],
            &format!("{at}.items"),
            "array items",
            causes,
        );
    } else if schema["type"] == "array" {
        causes.push(Cause {
            message: "Required value: must be specified".to_owned(),
            ..Cause::required(format!("{at}.items"))
        });
    }
}

/// A schema below the root, which must say its type.
fn typed(schema: &Value, at: &str, what: &str, causes: &mut Vec<Cause>) {
    let open = [
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ];
    if text(schema, "/type").is_empty() && !open.iter().any(|flag| schema[*flag] == true) {
        causes.push(Cause {
            message: format!("Required value: must not be empty for specified {what}"),
            ..Cause::required(format!("{at}.type"))
        });
    }
    look(schema, at, causes);
}

/// Items are told apart by their keys, so each must have all of them.
fn list_map(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
    let keys = list(schema, "/x-kubernetes-list-map-keys");
    if keys.is_empty() {
        causes.push(Cause {
            message: "Required value: must not be empty if x-kubernetes-list-type is map"
                .to_owned(),
            ..Cause::required(format!("{at}.x-kubernetes-list-map-keys"))
        });
    }
    for key in keys.iter().filter_map(Value::as_str) {
        let property = &schema["items"]["properties"][key];
        if property.is_null() {
            causes.push(Cause::invalid(
                format!("{at}.x-kubernetes-list-map-keys"),
                &key.into(),
                "entries must all be names of item properties",
            ));
        } else if property.get("default").is_none()
            && !list(schema, "/items/required")
                .iter()
                .any(|name| name == key)
        {
            causes.push(Cause {
                message: "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property".to_owned(),
                ..Cause::required(format!("{at}.items.properties[{key}].default"))
            });
        }
    }
}

/// Whether rules in CEL stand anywhere in a schema.
pub fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            map.contains_key("x-kubernetes-validations") || map.values().any(has_rules)
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_api_server_refuses_in_a_schema_is_refused() {
        let of = |field: Value| json!({"type": "object", "properties": {"f": field}});
        let listed = |items: Value| json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": items});
        let key = json!({"k": {"type": "string"}});
        for (schema, field, why) in [
            (
                of(json!({"type": "string", "default": "a", "enum": ["a"]})),
                "",
                "",
            ),
            (of(json!({"x-kubernetes-int-or-string": true})), "", ""),
            (
                json!({"type": "string"}),
                "s.type",
                "must be object at the root",
            ),
            (
                of(json!({})),
                "s.properties[f].type",
                "must not be empty for specified object",
            ),
            (
                of(json!({"type": "array"})),
                "s.properties[f].items",
                "must be specified",
            ),
            (
                of(json!({"type": "array", "items": {}})),
                "s.properties[f].items.type",
                "must not be empty for specified array",
            ),
            (
                of(json!({"type": "string", "default": "b", "enum": ["a"]})),
                "s.properties[f].default",
                "Unsupported value",
            ),
            (
                of(
                    json!({"type": "object", "default": {"g": 1}, "properties": {"g": {"type": "string"}}}),
                ),
                "s.properties[f].default.g",
                "must be of type string",
            ),
            (
                of(json!({"type": "string", "pattern": "(?=a)"})),
                "s.properties[f].pattern",
                "valid regular expression",
            ),
            (
                of(json!({"type": "object", "properties": {}, "additionalProperties": true})),
                "s.properties[f].additionalProperties",
                "mutual exclusive",
            ),
            (
                of(json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}})),
                "s.properties[f].uniqueItems",
                "quadratic",
            ),
            (
                of(listed(
                    json!({"type": "object", "required": ["k"], "properties": key}),
                )),
                "",
                "",
            ),
            (
                of(listed(json!({"type": "object", "properties": key}))),
                "s.properties[f].items.properties[k].default",
                "must have a default or be a required",
            ),
            (
                of(listed(json!({"type": "object", "properties": {}}))),
                "s.properties[f].x-kubernetes-list-map-keys",
                "names of item properties",
            ),
        ] {
            let causes = faults(&schema, "s");
            if field.is_empty() {
                assert_eq!(causes, [], "{schema}");
                continue;
            }
            assert!(
                causes
                    .iter()
                    .any(|cause| cause.field == field && cause.message.contains(why)),
                "{schema}: {causes:?}"
            );
        }
    }

    #[test]
    fn rules_are_found_wherever_they_stand() {
        let rule = json!([{"rule": "self > 0"}]);
        assert!(has_rules(
            &json!({"properties": {"a": {"items": {"x-kubernetes-validations": rule}}}})
        ));
        assert!(!has_rules(
            &json!({"properties": {"a": {"type": "string"}}})
        ));
    }
}
