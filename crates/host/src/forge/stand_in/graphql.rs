//! GraphQL of the stand-in: only the mutation that enables auto-merge.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{
    api::{Refused, Shared, broken},
    responses,
};

const MUTATION: &str = "enablePullRequestAutoMerge";

/// GraphQL returns 200 for errors, too.
pub(super) async fn answer(
    State(service): Shared,
    Json(request): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    let query = text("/query").unwrap_or_default();
    if !query.contains(MUTATION) {
        return Ok(refusal(
            "undefinedField",
            "The stand-in does not support this field",
        ));
    }
    let (id, method) = (text("/variables/id"), text("/variables/method"));
    let mut store = service.store.lock().await;
    let found = store
        .pulls
        .iter_mut()
        .find(|pull| pull.open() && Some(responses::node_id(pull).as_str()) == id);
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
