//! Validation of schemas themselves (structural schemas, `k8s.io/apiextensions-apiserver`). Pure.

use serde_json::Value;

use super::Schema;
use crate::{
    object::{list, text},
    status::Cause,
};

/// Validates the `openAPIV3Schema` at the path `at`.
pub(crate) fn validate_schema(schema: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if schema["type"] != "object" {
        causes.push(Cause::invalid(
            format!("{at}.type"),
            &schema["type"],
            "must be object at the root",
        ));
    }
    check(schema, at, &mut causes);
    causes
}

fn check(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
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
        let mut violations = Vec::new();
        let mut filled = default.clone();
        let read = Schema::read(schema);
        read.apply_defaults(&mut filled);
        read.validate(&filled, &format!("{at}.default"), &mut violations);
        causes.extend(violations);
    }
    if schema["x-kubernetes-list-type"] == "map" {
        check_list_map(schema, at, causes);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_typed(
            property,
            &format!("{at}.properties[{name}]"),
            "object fields",
            causes,
        );
    }
    if schema["additionalProperties"].is_object() {
        let at = format!("{at}.additionalProperties");
        check_typed(
            &schema["additionalProperties"],
            &at,
            "object fields",
            causes,
        );
    }
    if schema["items"].is_object() {
        check_typed(
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

/// Checks a schema below the root, which must have a type.
fn check_typed(schema: &Value, at: &str, what: &str, causes: &mut Vec<Cause>) {
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
    check(schema, at, causes);
}

/// Checks the keys of a list map: every item must have all of them.
fn check_list_map(schema: &Value, at: &str, causes: &mut Vec<Cause>) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rejects_what_the_api_server_rejects() {
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
            let causes = validate_schema(&schema, "s");
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
}
