//! Classifies 422 responses, which GitHub explains in fields or in sentences.

use serde_json::Value;

/// The reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    MissingBase,
    MissingHead,
    NoCommits,
    AlreadyExists,
    NoDrafts,
    UnknownReviewer,
    OwnReview,
    Other(String),
}

/// Message fragments in lower case and the refusal they mean. The first match wins.
const SENTENCES: [(&str, Refusal); 9] = [
    ("base ref must be a branch", Refusal::MissingBase),
    ("head ref must be a branch", Refusal::MissingHead),
    ("no commits between", Refusal::NoCommits),
    ("pull request already exists", Refusal::AlreadyExists),
    ("draft pull requests are not supported", Refusal::NoDrafts),
    ("from pull request author", Refusal::OwnReview),
    (
        "reviews may only be requested from collaborators",
        Refusal::UnknownReviewer,
    ),
    ("could not resolve to a node", Refusal::UnknownReviewer),
    ("review cannot be requested", Refusal::UnknownReviewer),
];

impl Refusal {
    /// Returns a message for calls without a specific error for this refusal.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Other(words) => words,
            Self::MissingBase => "the base branch does not exist",
            Self::MissingHead => "the head branch does not exist",
            known => SENTENCES
                .iter()
                .find(|(_, refusal)| refusal == known)
                .map_or("", |(words, _)| words),
        }
    }
}

/// Classifies the body of a 422.
pub(super) fn parse_refusal(body: &Value) -> Refusal {
    let message = body
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // A list, or a single string from older endpoints.
    let errors = body.get("errors");
    let errors: Vec<&Value> = match errors.and_then(Value::as_array) {
        Some(list) => list.iter().collect(),
        None => errors.into_iter().collect(),
    };
    let mut sentences = vec![message.to_owned()];
    for error in errors {
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
    SENTENCES
        .iter()
        .find(|(words, _)| lower.contains(words))
        .map_or(Refusal::Other(all), |(_, refusal)| refusal.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classifies_refusals() {
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
                json!({"message": "Draft pull requests are not supported in this repository."}),
                Refusal::NoDrafts,
            ),
            (
                json!({"message": "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the acme/shop repository."}),
                Refusal::UnknownReviewer,
            ),
            (
                json!({"message": "Validation Failed", "errors": "Could not resolve to a node with the global id of 'T_1'."}),
                Refusal::UnknownReviewer,
            ),
            (
                json!({"message": "Review cannot be requested from pull request author."}),
                Refusal::OwnReview,
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
            assert_eq!(parse_refusal(&body), expected, "{body}");
        }
    }
}
