//! Shapes: partial descriptions of a response. Pure.
//!
//! A map matches if its fields match; a list, if its items match one by one; any other value, if it is equal. Words in
//! parentheses match more: `(any)`, `(absent)`, `(text)`, `(number)`, `(time)`, `(not X)`, `(contains X)`, `(matches REGEX)`,
//! `(has)` as the first item of a list: the other items occur in the response, in any order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values of variables, which rows write as `$name`.
pub(super) type Variables = BTreeMap<String, Value>;

/// Returns the differences of a response from a shape, each with its path.
pub(super) fn differences(expected: &Value, got: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, Some(got), &mut all);
    all
}

fn compare(at: &str, expected: &Value, got: Option<&Value>, all: &mut Vec<String>) {
    let path = if at.is_empty() { "the response" } else { at };
    if let Value::String(word) = expected
        && let Some(word) = word
            .strip_prefix('(')
            .and_then(|word| word.strip_suffix(')'))
    {
        if !matches(word, got) {
            all.push(format!("{path}: expected ({word}), got {}", shown(got)));
        }
        return;
    }
    match (expected, got) {
        (Value::Object(fields), Some(Value::Object(present))) => {
            for (name, field) in fields {
                let field_path = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                compare(&field_path, field, present.get(name), all);
            }
        }
        // A missing map equals one without the fields that must be absent.
        (Value::Object(fields), None) if fields.values().all(|field| field == "(absent)") => {}
        (Value::Array(items), Some(Value::Array(present))) => match items.split_first() {
            Some((first, wanted)) if first == "(has)" => {
                for item in wanted {
                    if !present.iter().any(|one| differences(item, one).is_empty()) {
                        all.push(format!("{path}: does not contain {item}: {}", shown(got)));
                    }
                }
            }
            _ if items.len() == present.len() => {
                for (index, (item, one)) in items.iter().zip(present).enumerate() {
                    compare(&format!("{at}.{index}"), item, Some(one), all);
                }
            }
            _ => all.push(format!(
                "{path}: expected {} items, got {}: {}",
                items.len(),
                present.len(),
                shown(got)
            )),
        },
        (expected, Some(got)) if expected == got => {}
        _ => all.push(format!("{path}: expected {expected}, got {}", shown(got))),
    }
}

fn matches(word: &str, got: Option<&Value>) -> bool {
    let text = got.and_then(Value::as_str);
    let (name, rest) = word.split_once(' ').unwrap_or((word, ""));
    match name {
        // Clients do not distinguish null, empty and absent.
        "absent" => got.is_none_or(|got| {
            got.is_null()
                || got.as_array().is_some_and(Vec::is_empty)
                || got.as_object().is_some_and(Map::is_empty)
        }),
        "any" => got.is_some_and(|got| !got.is_null()),
        "text" => text.is_some_and(|text| !text.is_empty()),
        "number" => got.is_some_and(Value::is_number),
        "time" => text.is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        "not" => got.is_some_and(|got| text.map_or_else(|| got.to_string(), str::to_owned) != rest),
        "contains" => text.is_some_and(|text| text.contains(rest)),
        "matches" => text.is_some_and(|text| regex::Regex::new(rest).unwrap().is_match(text)),
        _ => panic!("({word}) is not a shape"),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// Replaces variables by their values. A string that is one variable becomes its value, of any type.
pub(super) fn fill(value: &Value, variables: &Variables) -> Value {
    match value {
        Value::String(text) => {
            let whole = text.strip_prefix('$').and_then(|name| variables.get(name));
            whole
                .cloned()
                .unwrap_or_else(|| fill_text(text, variables).into())
        }
        Value::Array(items) => items.iter().map(|item| fill(item, variables)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (fill_text(key, variables), fill(value, variables)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// Replaces variables in a string. Unknown variables stay.
pub(super) fn fill_text(text: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        match variables.get(&rest[..end]) {
            Some(Value::String(value)) => out.push_str(value),
            Some(value) => out.push_str(&value.to_string()),
            None => {
                out.push('$');
                continue;
            }
        }
        rest = &rest[end..];
    }
    out + rest
}

/// Returns the value at a dotted path, or the whole value if the path is empty.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.').filter(|part| !part.is_empty());
    parts.try_fold(value, |at, part| match at {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_match_only_what_they_name() {
        let got = json!({"a": 1, "list": [{"x": 1, "y": 2}, {"x": 3}], "t": "2026-01-01T00:00:00Z", "n": null});
        for (shape, holds) in [
            (json!({"a": 1}), true),
            (json!({"a": 2}), false),
            (
                json!({"a": "(any)", "b": "(absent)", "n": "(absent)"}),
                true,
            ),
            (json!({"a": "(absent)"}), false),
            (json!({"b": "(any)"}), false),
            (json!({"b": {"c": "(absent)"}}), true),
            (json!({"b": {"c": 1}}), false),
            (json!({"list": [{"x": 1}, {"x": 3}]}), true),
            (json!({"list": [{"x": 1}]}), false),
            (json!({"list": ["(has)", {"x": 3}]}), true),
            (json!({"list": ["(has)", {"x": 4}]}), false),
            (json!({"t": "(time)", "a": "(number)"}), true),
            (json!({"a": "(time)"}), false),
            (json!({"t": "(contains 01-01T)"}), true),
            (json!({"t": "(matches ^2026-.*Z$)"}), true),
            (json!({"a": "(not 1)"}), false),
            (json!({"a": "(not 2)"}), true),
        ] {
            assert_eq!(differences(&shape, &got).is_empty(), holds, "{shape}");
        }
    }

    #[test]
    fn variables_are_replaced_everywhere() {
        let variables = Variables::from([("n".into(), json!(7)), ("s".into(), json!("x"))]);
        for (before, after) in [
            (json!("$n"), json!(7)),
            (json!("a-$s.b$n"), json!("a-x.b7")),
            (
                json!({"$s": ["$s"], "$patch": "$$"}),
                json!({"x": ["x"], "$patch": "$$"}),
            ),
        ] {
            assert_eq!(fill(&before, &variables), after);
        }
    }
}
