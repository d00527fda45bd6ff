//! Validation of object metadata: names, labels, annotations, finalizers and owners. Messages are those of Kubernetes
//! (`k8s.io/apimachinery/pkg/api/validation`). Pure.

use serde_json::Value;

use super::{object::list, status::Cause};

/// Maximum size of all annotations of one object, in bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Validates an object's metadata, except its name.
pub(crate) fn validate(object: &Value) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = labels(&metadata["labels"], "metadata.labels");
    causes.extend(annotations(&metadata["annotations"]));
    causes.extend(owners(object));
    causes.extend(finalizers(object));
    causes
}

/// Validates the labels at the path `at`.
pub(crate) fn labels(labels: &Value, at: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        causes.extend(qualified(key, at));
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(
                at,
                value,
                "must be no more than 63 characters",
            ));
        }
        if !text.is_empty() && !is_plain(text) {
            causes.push(Cause::invalid(at, value, LABEL_VALUE));
        }
    }
    causes
}

fn annotations(annotations: &Value) -> Vec<Cause> {
    const AT: &str = "metadata.annotations";
    let all = || annotations.as_object().into_iter().flatten();
    let mut causes: Vec<Cause> = all()
        .flat_map(|(key, _)| qualified(&key.to_lowercase(), AT))
        .collect();
    let size: usize = all()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MAX_ANNOTATIONS {
        causes.push(Cause::too_long(AT, MAX_ANNOTATIONS as u64));
    }
    causes
}

fn owners(object: &Value) -> Vec<Cause> {
    const AT: &str = "metadata.ownerReferences";
    let mut causes = Vec::new();
    let mut controllers = Vec::new();
    for owner in list(object, "/metadata/ownerReferences") {
        for (field, empty) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let at = format!("{AT}.{field}");
                causes.push(Cause::invalid(at, &"".into(), empty));
            }
        }
        if owner["kind"] == "Event" {
            causes.push(Cause::invalid(
                AT,
                owner,
                "is disallowed from being an owner",
            ));
        }
        if owner["controller"] == true {
            controllers.push(owner["name"].as_str().unwrap_or_default());
        }
    }
    if let [first, second, ..] = controllers[..] {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        causes.push(Cause::invalid(
            AT,
            &object["metadata"]["ownerReferences"],
            why,
        ));
    }
    causes
}

fn finalizers(object: &Value) -> Vec<Cause> {
    const AT: &str = "metadata.finalizers";
    let all: Vec<&str> = super::object::finalizers(object).collect();
    let mut causes: Vec<Cause> = all.iter().flat_map(|name| qualified(name, AT)).collect();
    if all.contains(&"orphan") && all.contains(&"foregroundDeletion") {
        causes.push(Cause::invalid(
            AT,
            &object["metadata"]["finalizers"],
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    causes
}

/// Validates a qualified name (`prefix/name` or `name`) at the path `at`.
fn qualified(text: &str, at: &str) -> Vec<Cause> {
    let invalid = |why: &str| Cause::invalid(at, &Value::from(text), why);
    let mut causes = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                causes.push(invalid("prefix part must be non-empty"));
            } else if let Err(why) = subdomain(prefix) {
                causes.push(invalid(&format!("prefix part {why}")));
            }
            name
        }
        _ => return vec![invalid(QUALIFIED)],
    };
    if name.is_empty() {
        causes.push(invalid("name part must be non-empty"));
    } else if name.len() > 63 {
        causes.push(invalid("name part must be no more than 63 characters"));
    }
    if !is_plain(name) {
        causes.push(invalid(NAME_PART));
    }
    causes
}

/// Returns whether `text` consists of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_plain(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge)
        && text.ends_with(edge)
        && text
            .chars()
            .all(|c| edge(c) || matches!(c, '-' | '_' | '.'))
}

/// Validates the name of a namespace or container (an RFC 1123 label).
pub(crate) fn label(name: &str) -> Result<(), &'static str> {
    if name.len() > 63 {
        return Err("must be no more than 63 characters");
    }
    if name.contains('.') || subdomain(name).is_err() {
        return Err(LABEL);
    }
    Ok(())
}

/// Validates the name of an object (an RFC 1123 subdomain).
pub(crate) fn subdomain(name: &str) -> Result<(), &'static str> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.len() > 253 {
        return Err("must be no more than 253 characters");
    }
    let fits = name.split('.').all(|part| {
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
    });
    if fits { Ok(()) } else { Err(SUBDOMAIN) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn validates_metadata_as_kubernetes_does() {
        let long = "x".repeat(64);
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "u", "controller": true});
        for (metadata, field, why) in [
            (
                json!({"labels": {"a": "b", "example.com/a_b.C": ""}}),
                "",
                "",
            ),
            (
                json!({"labels": {"a": "-b"}}),
                "metadata.labels",
                "a valid label must be",
            ),
            (
                json!({"labels": {"a": long.clone()}}),
                "metadata.labels",
                "no more than 63",
            ),
            (
                json!({"labels": {"a b": ""}}),
                "metadata.labels",
                "name part must consist",
            ),
            (
                json!({"labels": {"": ""}}),
                "metadata.labels",
                "name part must be non-empty",
            ),
            (
                json!({"labels": {long: ""}}),
                "metadata.labels",
                "no more than 63",
            ),
            (
                json!({"labels": {"/a": ""}}),
                "metadata.labels",
                "prefix part must be non-empty",
            ),
            (
                json!({"labels": {"A.com/a": ""}}),
                "metadata.labels",
                "prefix part a lowercase",
            ),
            (
                json!({"labels": {"a/b/c": ""}}),
                "metadata.labels",
                "a qualified name",
            ),
            (
                json!({"annotations": {"a": "any text \n at all", "Example.com/b": ""}}),
                "",
                "",
            ),
            (
                json!({"annotations": {"a b": ""}}),
                "metadata.annotations",
                "name part",
            ),
            (
                json!({"annotations": {"a": "x".repeat(256 << 10)}}),
                "metadata.annotations",
                "may not be more than 262144 bytes",
            ),
            (json!({"finalizers": ["example.org/f", "orphan"]}), "", ""),
            (
                json!({"finalizers": ["a b"]}),
                "metadata.finalizers",
                "name part",
            ),
            (
                json!({"finalizers": ["orphan", "foregroundDeletion"]}),
                "metadata.finalizers",
                "cannot be both set",
            ),
            (json!({"ownerReferences": [owner]}), "", ""),
            (
                json!({"ownerReferences": [owner, owner]}),
                "metadata.ownerReferences",
                "Only one",
            ),
            (
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": ""}]}),
                "metadata.ownerReferences.uid",
                "must not be empty",
            ),
        ] {
            let causes = validate(&json!({ "metadata": metadata }));
            if field.is_empty() {
                assert_eq!(causes, [], "{metadata}");
                continue;
            }
            assert!(
                causes
                    .iter()
                    .any(|cause| cause.field == field && cause.message.contains(why)),
                "{metadata}: {causes:?}"
            );
        }
    }

    #[test]
    fn validates_dns_names() {
        for name in ["a", "a-b.c", "0"] {
            assert_eq!(subdomain(name), Ok(()), "{name}");
        }
        for name in ["", "A", "a_b", "-a", "a-", "a..b", "a.", &"a".repeat(254)] {
            assert!(subdomain(name).is_err(), "{name}");
        }
        assert!(label("a.b").is_err() && label(&"a".repeat(64)).is_err() && label("a").is_ok());
    }
}
