//! Reviews: questions about access and identity that are posted but never stored.

use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use super::{
    call::parse_body,
    response::{ResponseBody, json_response},
};
use crate::{discovery, kinds::api_version, route::ResourcePath, status::StatusError};

/// Answers a review; `None` if the path is not one. The holder of the token may do everything.
pub(super) fn review(
    method: &Method,
    path: &ResourcePath,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Result<Response<ResponseBody>, StatusError>> {
    let known = discovery::REVIEWS.iter().find(|(group, plural, _)| {
        path.version == "v1" && path.group == *group && path.plural == *plural
    })?;
    Some(respond(method, known.2, path, headers, body))
}

fn respond(
    method: &Method,
    kind: &str,
    path: &ResourcePath,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<ResponseBody>, StatusError> {
    if method != Method::POST || path.name.is_some() {
        return Err(StatusError::method_not_allowed());
    }
    let mut review = parse_body(headers, body)?;
    if !review.is_object() {
        return Err(StatusError::bad_request("the body must be an object"));
    }
    review["apiVersion"] = api_version(&path.group, &path.version).into();
    review["kind"] = kind.into();
    review["status"] = match kind {
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": "embedded", "groups": ["system:masters", "system:authenticated"]}})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"allowed": true}),
    };
    Ok(json_response(StatusCode::CREATED, &review))
}
