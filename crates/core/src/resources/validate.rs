//! What is wrong with a spec, in words for a person: its schema and its rules, before an API server is asked.
//!
//! An API server says the same with less care for the reader; one that is older than its rules, or embedded, may not say
//! all of it. So verbs ask before they write, and the controller before it makes anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::LazyLock,
};

use regex::Regex;
use serde_json::Value;

use super::{
    Kind, definition, format,
    rules::{RULES, Rule},
};

/// Longest value that a sentence repeats, in characters.
const SHOWN: usize = 60;

/// Everything wrong with a spec: at least one fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Below `spec`: `sourceBranch`, `context[1].filename`.
    pub field: String,
    /// What is wrong; follows the field's name.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.{} {}", self.field, self.message)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

static SPECS: LazyLock<[Value; 2]> =
    LazyLock::new(|| [Kind::Docs, Kind::Code].map(definition::spec));
static PATTERNS: LazyLock<BTreeMap<&str, (Regex, &str)>> = LazyLock::new(|| {
    let compiled = format::WORDS.iter().filter_map(|(pattern, words)| {
        Regex::new(pattern)
            .ok()
            .map(|regex| (*pattern, (regex, *words)))
    });
    compiled.collect()
});

/// Judges the `spec` of a run, and the change when `old` is what it was. Nulls count as absent; fields that are not known are
/// passed over. Values of the environment are never repeated.
pub fn validate(kind: Kind, spec: &Value, old: Option<&Value>) -> Result<(), Invalid> {
    let spec = without_nulls(spec);
    let old = old.map(without_nulls);
    let mut faults = Vec::new();
    let schema = &SPECS[usize::from(kind == Kind::Code)];
    look(schema, &spec, "", &mut faults);
    for fault in broken_rules(kind, &spec, old.as_ref()) {
        // A field that the schema refuses is blamed once.
        if faults.iter().all(|known| known.field != fault.field) {
            faults.push(fault);
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Invalid { faults })
    }
}

/// What a spec, or the change from `old`, breaks of the rules that no schema keyword can say.
pub fn broken_rules(kind: Kind, spec: &Value, old: Option<&Value>) -> Vec<Fault> {
    let rules = RULES
        .iter()
        .filter(|rule| rule.kind.is_none_or(|only| only == kind));
    let broken = rules.filter(|rule| !rule.holds(spec, old));
    let fault = |rule: &Rule| Fault {
        field: rule.field.to_owned(),
        message: rule.message.to_owned(),
    };
    broken.map(fault).collect()
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

fn look(schema: &Value, value: &Value, at: &str, faults: &mut Vec<Fault>) {
    let wrong = match value {
        Value::String(text) => text_fault(schema, text, at),
        Value::Number(number) => number_fault(schema, number.as_f64().unwrap_or_default()),
        Value::Array(items) => list_fault(schema, items),
        Value::Object(map) => bounded(schema["maxProperties"].as_u64(), map.len(), "entries"),
        Value::Bool(_) | Value::Null => None,
    };
    let wrong = mistyped(schema, value).or(wrong);
    if let Some(message) = wrong {
        faults.push(Fault {
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
                    faults.push(Fault {
                        field: below(name),
                        message: "is missing".to_owned(),
                    });
                }
            }
            for (name, child) in map {
                let known = schema["properties"].get(name);
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    look(schema, child, &below(name), faults);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                look(&schema["items"], item, &format!("{at}[{index}]"), faults);
            }
        }
        _ => {}
    }
}

fn mistyped(schema: &Value, value: &Value) -> Option<String> {
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

fn text_fault(schema: &Value, text: &str, at: &str) -> Option<String> {
    let length = text.chars().count();
    if text.is_empty() && schema["minLength"].as_u64() > Some(0) {
        return Some("is empty".to_owned());
    }
    let long = bounded(schema["maxLength"].as_u64(), length, "characters");
    if long.is_some() {
        return long;
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.iter().any(|choice| choice == text)
    {
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return Some(format!("is {text:?}, not one of {}", choices.join(", ")));
    }
    let (regex, words) = PATTERNS.get(schema["pattern"].as_str()?)?;
    if regex.is_match(text) {
        return None;
    }
    // An address may hold a password although none should.
    let shown = length <= SHOWN && !at.ends_with("Url");
    Some(if shown {
        format!("is {text:?}, which is not {words}")
    } else {
        format!("is not {words}")
    })
}

fn number_fault(schema: &Value, number: f64) -> Option<String> {
    let below = schema["minimum"].as_f64().filter(|least| number < *least);
    let above = schema["maximum"].as_f64().filter(|most| number > *most);
    match (below, above) {
        (Some(least), _) => Some(format!("is {number}; at least {least} is needed")),
        (_, Some(most)) => Some(format!("is {number}; at most {most} is allowed")),
        _ => None,
    }
}

fn list_fault(schema: &Value, items: &[Value]) -> Option<String> {
    if (items.len() as u64) < schema["minItems"].as_u64().unwrap_or(0) {
        return Some("is empty".to_owned());
    }
    let many = bounded(schema["maxItems"].as_u64(), items.len(), "items");
    let key = schema["x-kubernetes-list-map-keys"][0].as_str();
    let set = schema["x-kubernetes-list-type"] == "set" || key.is_some();
    let mut seen = BTreeSet::new();
    many.or_else(|| {
        let mut names = items.iter().map(|item| key.map_or(item, |key| &item[key]));
        let twice = names.find(|name| set && !seen.insert(name.to_string()))?;
        Some(format!("names {twice} twice"))
    })
}

fn bounded(most: Option<u64>, count: usize, what: &str) -> Option<String> {
    let most = most.filter(|most| count as u64 > *most)?;
    Some(format!("has {count} {what}; at most {most} fit"))
}
