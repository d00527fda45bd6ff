//! Validates a spec against its schema and rules, with readable messages.
//!
//! An API server performs the same checks with less readable messages, and an older or embedded one may skip some.
//! Verbs therefore validate before they write, and the controller before it creates objects.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::LazyLock,
};

use kube_rules::Rules;
use regex::Regex;
use serde_json::{Value, json};

use super::{Kind, definition, format};

/// Maximum length of a value repeated in a message, in characters.
const VALUE_LIMIT: usize = 60;

/// An invalid spec: one or more field errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSpec {
    pub errors: Vec<FieldError>,
}

/// An invalid field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Path below `spec`: `sourceBranch`, `context[1].filename`.
    pub field: String,
    /// Message, which follows the field name.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.{} {}", self.field, self.message)
    }
}

impl fmt::Display for InvalidSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.errors.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

static SPECS: LazyLock<[Value; 2]> =
    LazyLock::new(|| [Kind::Docs, Kind::Code].map(definition::spec));
static RULES: LazyLock<[Rules; 2]> = LazyLock::new(|| {
    SPECS.each_ref().map(|spec| {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        Rules::compile(&schema).0
    })
});
static PATTERNS: LazyLock<BTreeMap<&str, (Regex, &str)>> = LazyLock::new(|| {
    let compiled = format::DESCRIPTIONS.iter().filter_map(|(pattern, words)| {
        Regex::new(pattern)
            .ok()
            .map(|regex| (*pattern, (regex, *words)))
    });
    compiled.collect()
});

/// Validates a `spec`, and on update the change from `old`. Nulls count as absent, unknown fields are ignored.
/// Messages never repeat environment values.
pub fn validate(kind: Kind, spec: &Value, old: Option<&Value>) -> Result<(), InvalidSpec> {
    let spec = without_nulls(spec);
    let old = old.map(without_nulls);
    let mut errors = Vec::new();
    let schema = &SPECS[usize::from(kind == Kind::Code)];
    check_value(schema, &spec, "", &mut errors);
    // Rules expect values that fit the schema.
    if errors.is_empty() {
        errors = rule_errors(kind, spec, old);
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(InvalidSpec { errors })
    }
}

/// Returns the errors of the rules that a schema cannot express, one per top-level field.
fn rule_errors(kind: Kind, spec: Value, old: Option<Value>) -> Vec<FieldError> {
    let rules = &RULES[usize::from(kind == Kind::Code)];
    let object = |spec| Value::from_iter([("spec".to_owned(), spec)]);
    let old = old.map(object);
    let mut errors: Vec<FieldError> = Vec::new();
    for violation in rules.evaluate(&object(spec), old.as_ref()) {
        let field = violation.field.trim_start_matches("spec.");
        let field = field.split(['.', '[']).next().unwrap_or_default();
        if errors.iter().all(|known| known.field != field) {
            errors.push(FieldError {
                field: field.to_owned(),
                message: violation.detail,
            });
        }
    }
    errors
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, child)| !child.is_null())
            .map(|(name, child)| (name.clone(), without_nulls(child)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn check_value(schema: &Value, value: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let wrong = match value {
        Value::String(text) => string_error(schema, text, at),
        Value::Number(number) => number_error(schema, number.as_f64().unwrap_or_default()),
        Value::Array(items) => array_error(schema, items),
        Value::Object(map) => limit_error(schema["maxProperties"].as_u64(), map.len(), "entries"),
        Value::Bool(_) | Value::Null => None,
    };
    let wrong = type_error(schema, value).or(wrong);
    if let Some(message) = wrong {
        errors.push(FieldError {
            field: at.to_owned(),
            message,
        });
        return;
    }
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match value {
        Value::Object(map) => {
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                if !map.contains_key(name) {
                    errors.push(FieldError {
                        field: below(name),
                        message: "is missing".to_owned(),
                    });
                }
            }
            for (name, child) in map {
                let known = schema["properties"].get(name);
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    check_value(schema, child, &below(name), errors);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_value(&schema["items"], item, &format!("{at}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

fn type_error(schema: &Value, value: &Value) -> Option<String> {
    let wanted = schema["type"].as_str()?;
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => true,
    };
    (!fits).then(|| format!("is not of type {wanted}"))
}

fn string_error(schema: &Value, text: &str, at: &str) -> Option<String> {
    let length = text.chars().count();
    if text.is_empty() && schema["minLength"].as_u64() > Some(0) {
        return Some("is empty".to_owned());
    }
    let long = limit_error(schema["maxLength"].as_u64(), length, "characters");
    if long.is_some() {
        return long;
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.iter().any(|choice| choice == text)
    {
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return Some(format!(
            "is {text:?}; must be one of {}",
            choices.join(", ")
        ));
    }
    let (regex, words) = PATTERNS.get(schema["pattern"].as_str()?)?;
    if regex.is_match(text) {
        return None;
    }
    // An address may contain a password.
    let shown = length <= VALUE_LIMIT && !at.ends_with("Url");
    Some(if shown {
        format!("is {text:?}, which is not {words}")
    } else {
        format!("is not {words}")
    })
}

fn number_error(schema: &Value, number: f64) -> Option<String> {
    let below = schema["minimum"].as_f64().filter(|least| number < *least);
    let above = schema["maximum"].as_f64().filter(|most| number > *most);
    match (below, above) {
        (Some(least), _) => Some(format!("is {number}; must be at least {least}")),
        (_, Some(most)) => Some(format!("is {number}; must be at most {most}")),
        _ => None,
    }
}

fn array_error(schema: &Value, items: &[Value]) -> Option<String> {
    if (items.len() as u64) < schema["minItems"].as_u64().unwrap_or(0) {
        return Some("is empty".to_owned());
    }
    let many = limit_error(schema["maxItems"].as_u64(), items.len(), "items");
    let key = schema["x-kubernetes-list-map-keys"][0].as_str();
    let set = schema["x-kubernetes-list-type"] == "set" || key.is_some();
    let mut seen = BTreeSet::new();
    many.or_else(|| {
        let mut names = items.iter().map(|item| key.map_or(item, |key| &item[key]));
        let twice = names.find(|name| set && !seen.insert(name.to_string()))?;
        Some(format!("contains {twice} twice"))
    })
}

fn limit_error(most: Option<u64>, count: usize, what: &str) -> Option<String> {
    let most = most.filter(|most| count as u64 > *most)?;
    Some(format!("has {count} {what}; must have at most {most}"))
}
