//! The one mutation of GitHub's GraphQL that the forge makes: auto-merge, which no REST call switches on.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{
    api::{Refused, Shared, broken},
    shape,
};

const MUTATION: &str = "enablePullRequestAutoMerge";

/// GraphQL answers 200 whatever comes of it.
pub(super) async fn answer(
    State(service): Shared,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let text = |pointer: &str| asked.pointer(pointer).and_then(Value::as_str);
    let query = text("/query").unwrap_or_default();
    if !query.contains(MUTATION) {
        return Ok(refusal(
            "undefinedField",
            "The stand-in knows no such field",
        ));
    }
    let (id, method) = (text("/variables/id"), text("/variables/method"));
    let mut store = service.store.lock().await;
    let found = store
        .pulls
        .iter_mut()
        .find(|pull| pull.open() && Some(shape::node_id(pull).as_str()) == id);
    let Some(pull) = found else {
        let message = format!(
            "Could not resolve to a node with the global id of '{}'.",
            id.unwrap_or_default()
        );
        return Ok(refusal("NOT_FOUND", &message));
    };
    let method = method.unwrap_or("MERGE").to_owned();
    pull.auto_merge = Some(method.clone());
    store.save().await.map_err(|error| broken(&error))?;
    Ok(Json(json!({"data": {MUTATION: {
        "pullRequest": {"autoMergeRequest": {"mergeMethod": method}}
    }}})))
}

fn refusal(kind: &str, message: &str) -> Json<Value> {
    Json(json!({
        "data": {MUTATION: null},
        "errors": [{
            "type": kind,
            "path": [MUTATION],
            "locations": [{"line": 1, "column": 1}],
            "message": message,
        }],
    }))
}
