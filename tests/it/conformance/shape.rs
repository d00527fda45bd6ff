//! Shapes: what an answer must look like, said by what matters in it. Pure.
//!
//! A map asks for the fields it names; a list for exactly its items; anything else for itself. Words in parentheses ask
//! for less: `(any)`, `(absent)`, `(text)`, `(number)`, `(time)`, `(not X)`, `(contains X)`, `(matches REGEX)`,
//! `(has SHAPE...)` as the first item of a list: these items are among those of the answer, in any place.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names with what they stand for, written `$name` in a row.
pub(super) type Variables = BTreeMap<String, Value>;

/// What is wrong with an answer, by place; empty when nothing is.
pub(super) fn differences(expected: &Value, got: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, Some(got), &mut all);
    all
}

fn compare(at: &str, expected: &Value, got: Option<&Value>, all: &mut Vec<String>) {
    let place = if at.is_empty() { "the answer" } else { at };
    if let Value::String(word) = expected
        && let Some(word) = word
            .strip_prefix('(')
            .and_then(|word| word.strip_suffix(')'))
    {
        if !holds(word, got) {
            all.push(format!("{place}: expected ({word}), got {}", shown(got)));
        }
        return;
    }
    match (expected, got) {
        (Value::Object(fields), Some(Value::Object(there))) => {
            for (name, field) in fields {
                let path = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                compare(&path, field, there.get(name), all);
            }
        }
        // A missing map and one without anything that was asked for are one and the same.
        (Value::Object(fields), None) if fields.values().all(|field| field == "(absent)") => {}
        (Value::Array(items), Some(Value::Array(there))) => match items.split_first() {
            Some((first, wanted)) if first == "(has)" => {
                for item in wanted {
                    if !there.iter().any(|one| differences(item, one).is_empty()) {
                        all.push(format!("{place}: has no {item}; it is {}", shown(got)));
                    }
                }
            }
            _ if items.len() == there.len() => {
                for (index, (item, one)) in items.iter().zip(there).enumerate() {
                    compare(&format!("{at}.{index}"), item, Some(one), all);
                }
            }
            _ => all.push(format!(
                "{place}: expected {} items, got {}: {}",
                items.len(),
                there.len(),
                shown(got)
            )),
        },
        (expected, Some(got)) if expected == got => {}
        _ => all.push(format!("{place}: expected {expected}, got {}", shown(got))),
    }
}

fn holds(word: &str, got: Option<&Value>) -> bool {
    let text = got.and_then(Value::as_str);
    let (name, rest) = word.split_once(' ').unwrap_or((word, ""));
    match name {
        // A list that is null or empty is no list to a client.
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
        _ => panic!("({word}) is no shape"),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// Puts in what the variables stand for. A text that is one variable becomes its value, whatever that is.
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

/// Puts variables into a text; what is no variable stays as it is.
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

/// The value at a dotted path; all of it at "".
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
    fn a_shape_holds_by_what_it_names_and_by_nothing_else() {
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
    fn variables_are_put_in_wherever_they_stand() {
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
