//! Who may do what, and who one is: questions that are posted and never stored.

use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use super::{
    call::parse_body,
    response::{ResponseBody, json_response},
};
use crate::embedded::failure::Failure;

/// Who holds the token may do everything.
pub fn review(
    method: &Method,
    headers: &HeaderMap,
    plural: &str,
    body: &[u8],
) -> Result<Response<ResponseBody>, Failure> {
    if method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let mut review = parse_body(headers, body)?;
    if !review.is_object() {
        return Err(Failure::bad_request("the body must be an object"));
    }
    review["status"] = if plural == "selfsubjectreviews" {
        json!({"userInfo": {"username": "embedded", "groups": ["system:masters", "system:authenticated"]}})
    } else {
        json!({"allowed": true})
    };
    Ok(json_response(StatusCode::CREATED, &review))
}
