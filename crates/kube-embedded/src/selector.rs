//! Label and field selectors. Pure.

use serde_json::Value;

use super::{
    kinds::{Kind, View},
    object::Key,
    status::StatusError,
};

/// A label and field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// The label is an integer greater than this.
    GreaterThan(String, i64),
    LessThan(String, i64),
}

impl Selector {
    /// Parses `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, StatusError> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(kind, fields)?,
        })
    }

    /// Returns whether everything is selected.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns whether a stored object is selected.
    pub(crate) fn matches(&self, key: &Key, value: &Value) -> bool {
        let labels = &value["metadata"]["labels"];
        let label = |name: &str| labels.get(name).and_then(Value::as_str);
        let number = |name: &str| label(name).and_then(|value| value.parse::<i64>().ok());
        self.labels.iter().all(|requirement| match requirement {
            Requirement::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|one| one != value))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
            Requirement::GreaterThan(name, bound) => {
                number(name).is_some_and(|value| value > *bound)
            }
            Requirement::LessThan(name, bound) => number(name).is_some_and(|value| value < *bound),
        }) && self
            .fields
            .iter()
            .all(|(field, equal, wanted)| (field_value(key, value, field) == *wanted) == *equal)
    }
}

/// Returns a field as text, or "".
fn field_value(key: &Key, value: &Value, field: &str) -> String {
    match field {
        "metadata.name" => return key.name.clone(),
        "metadata.namespace" => return key.namespace.clone(),
        _ => {}
    }
    let found = match field {
        "source" => value
            .pointer("/source/component")
            .or_else(|| value.get("reportingComponent")),
        field => field.split('.').try_fold(value, |at, part| at.get(part)),
    };
    match found {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<(String, bool, String)>, StatusError> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==") {
                (field, true, value)
            } else if let Some((field, value)) = part.split_once('=') {
                (field, true, value)
            } else {
                return Err(StatusError::bad_request(format!(
                    "invalid field selector: {part:?} has no \"=\""
                )));
            };
            let field = stored_field(kind, field.trim());
            let known = matches!(field.as_str(), "metadata.name" | "metadata.namespace")
                || kind.selectable.contains(&field);
            if !known {
                return Err(StatusError::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
            Ok((field, equal, value.trim().to_owned()))
        })
        .collect()
}

/// Returns the stored name of a field.
fn stored_field(kind: &Kind, field: &str) -> String {
    if kind.view == View::EventsV1 {
        if let Some(rest) = field.strip_prefix("regarding.") {
            return format!("involvedObject.{rest}");
        }
        if field == "reportingController" {
            return "reportingComponent".to_owned();
        }
    }
    field.to_owned()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, StatusError> {
    let mut parts = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(parse_label)
        .collect()
}

fn parse_label(part: &str) -> Result<Requirement, StatusError> {
    let invalid = || StatusError::bad_request(format!("unable to parse requirement: {part:?}"));
    if let Some((head, values)) = part.split_once('(') {
        let values = values.trim_end().strip_suffix(')').ok_or_else(invalid)?;
        let values = values.split(',').map(|one| one.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let name = label_name(words.next().unwrap_or_default()).ok_or_else(invalid)?;
        return match (words.next(), words.next()) {
            (Some("in"), None) => Ok(Requirement::In(name, values)),
            (Some("notin"), None) => Ok(Requirement::NotIn(name, values)),
            _ => Err(invalid()),
        };
    }
    let pair = |(name, value): (&str, &str)| {
        Some((label_name(name.trim())?, vec![value.trim().to_owned()]))
    };
    if let Some(split) = part.split_once("!=") {
        let (name, values) = pair(split).ok_or_else(invalid)?;
        return Ok(Requirement::NotIn(name, values));
    }
    if let Some(split) = part.split_once("==").or_else(|| part.split_once('=')) {
        let (name, values) = pair(split).ok_or_else(invalid)?;
        return Ok(Requirement::In(name, values));
    }
    let bound = |(name, value): (&str, &str)| {
        let name = label_name(name.trim())?;
        Some((name, value.trim().parse::<i64>().ok()?))
    };
    if let Some(split) = part.split_once('>') {
        let (name, value) = bound(split).ok_or_else(invalid)?;
        return Ok(Requirement::GreaterThan(name, value));
    }
    if let Some(split) = part.split_once('<') {
        let (name, value) = bound(split).ok_or_else(invalid)?;
        return Ok(Requirement::LessThan(name, value));
    }
    if let Some(name) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(
            label_name(name.trim()).ok_or_else(invalid)?,
        ));
    }
    Ok(Requirement::Exists(label_name(part).ok_or_else(invalid)?))
}

fn label_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    (!name.is_empty() && name.chars().all(allowed)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::kinds::Registry, *};

    fn selected(labels: &str, fields: &str) -> Result<bool, u16> {
        let registry = Registry::new([]);
        let kind = registry.find("", "v1", "pods").unwrap();
        let selector = Selector::parse(kind, labels, fields).map_err(|failure| failure.code)?;
        let pod = json!({
            "metadata": {"labels": {"app": "a", "tier": "web", "level": "3"}},
            "spec": {"nodeName": "here"}, "status": {"phase": "Running"}
        });
        Ok(selector.matches(&Key::new("ns", "p"), &pod))
    }

    #[test]
    fn selects_like_kubernetes() {
        for (labels, fields, expected) in [
            ("", "", Ok(true)),
            ("app=a", "", Ok(true)),
            ("app==a,tier!=db", "", Ok(true)),
            ("app=b", "", Ok(false)),
            ("app in (a, b)", "", Ok(true)),
            ("app notin (a,b),tier", "", Ok(false)),
            ("absent notin (a)", "", Ok(true)),
            ("!absent", "", Ok(true)),
            ("!app", "", Ok(false)),
            ("absent!=x", "", Ok(true)),
            ("batch.kubernetes.io/job-name=x", "", Ok(false)),
            ("level>2,level<4", "", Ok(true)),
            ("level>3", "", Ok(false)),
            ("level<3", "", Ok(false)),
            ("app>1", "", Ok(false)),
            ("level>many", "", Err(400)),
            ("app in (a", "", Err(400)),
            ("a b", "", Err(400)),
            ("", "metadata.name=p,metadata.namespace=ns", Ok(true)),
            ("", "status.phase!=Running", Ok(false)),
            ("", "spec.nodeName=", Ok(false)),
            ("", "spec.containers=x", Err(400)),
            ("", "metadata.name", Err(400)),
        ] {
            assert_eq!(selected(labels, fields), expected, "{labels} {fields}");
        }
    }
}
