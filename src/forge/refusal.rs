//! What a 422 means: GitHub says it in fields for some refusals and in sentences for others.

use serde_json::Value;

/// A refusal, told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    MissingBase,
    MissingHead,
    NoCommits,
    AlreadyExists,
    UnknownReviewer,
    Other(String),
}

/// Reads the body of a 422.
pub(super) fn refusal(body: &Value) -> Refusal {
    let message = body
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array);
    let mut sentences = vec![message.to_owned()];
    for error in errors.into_iter().flatten() {
        let text = |key: &str| error.get(key).and_then(Value::as_str);
        match (text("field"), text("code")) {
            (Some("base"), Some("invalid" | "missing")) => return Refusal::MissingBase,
            (Some("head"), Some("invalid" | "missing")) => return Refusal::MissingHead,
            (field, code) => {
                let words = text("message").or_else(|| error.as_str());
                let spelled = || Some(format!("{} {}", field?, code?));
                sentences.extend(words.map(str::to_owned).or_else(spelled));
            }
        }
    }
    let all = sentences.join("; ");
    let lower = all.to_lowercase();
    let says = |words: &str| lower.contains(words);
    if says("no commits between") {
        Refusal::NoCommits
    } else if says("pull request already exists") {
        Refusal::AlreadyExists
    } else if says("reviews may only be requested from collaborators")
        || says("could not resolve to a node")
        || says("review cannot be requested")
    {
        Refusal::UnknownReviewer
    } else {
        Refusal::Other(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let pull = |error: Value| json!({"message": "Validation Failed", "errors": [error]});
        for (body, expected) in [
            (
                pull(json!({"resource": "PullRequest", "field": "base", "code": "invalid"})),
                Refusal::MissingBase,
            ),
            (
                pull(json!({"resource": "PullRequest", "field": "head", "code": "invalid"})),
                Refusal::MissingHead,
            ),
            (
                pull(json!({"code": "custom", "message": "No commits between main and docs/x"})),
                Refusal::NoCommits,
            ),
            (
                pull(json!({"message": "A pull request already exists for acme:docs/x."})),
                Refusal::AlreadyExists,
            ),
            (
                json!({"message": "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the acme/shop repository."}),
                Refusal::UnknownReviewer,
            ),
            (
                pull(json!({"field": "title", "code": "missing_field"})),
                Refusal::Other("Validation Failed; title missing_field".into()),
            ),
            (
                pull(json!("body is too long")),
                Refusal::Other("Validation Failed; body is too long".into()),
            ),
            (json!(null), Refusal::Other(String::new())),
        ] {
            assert_eq!(refusal(&body), expected, "{body}");
        }
    }
}
