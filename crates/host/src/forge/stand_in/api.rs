//! Routes and middleware of the stand-in.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, RawPathParams, Request, State},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::{
    HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH},
};
use serde_json::{Value, json};

use super::{
    RecordedCall, Service, checks, graphql, page, pulls, responses, reviews,
    store::{Store, StoredPull},
};
use flightdeck_core::runs::naming;

pub(super) type Shared = State<Arc<Service>>;
/// Owner, repository and pull request number.
pub(super) type Numbered = Path<(String, String, i64)>;

/// Maximum size of a recorded body, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// The documentation URL in GitHub's errors.
const DOCUMENTATION: &str = "https://docs.github.com/rest";

pub(super) fn router(service: Arc<Service>) -> Router {
    let repository = Router::new()
        .route("/", get(responses::repository))
        .route("/pulls", get(pulls::list).post(pulls::create))
        .route("/pulls/{number}", get(pulls::read).patch(pulls::change))
        .route(
            "/pulls/{number}/requested_reviewers",
            post(reviews::request),
        )
        .route(
            "/pulls/{number}/reviews",
            get(reviews::list).post(reviews::submit),
        )
        .route("/issues/{number}/labels", post(pulls::labels))
        .route("/commits/{commit}/check-runs", get(checks::runs))
        .route("/commits/{commit}/status", get(checks::statuses));
    Router::new()
        .nest("/repos/{owner}/{name}", repository)
        .route("/graphql", post(graphql::answer))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&service), guard))
        .route_layer(middleware::from_fn(conditional))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&service), record))
        .route("/{owner}/{name}/pull/{number}", get(show))
        .with_state(service)
}

/// An error in GitHub's format.
pub(super) struct Refused(pub(super) StatusCode, pub(super) Value);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

pub(super) fn refused(status: StatusCode, message: &str) -> Refused {
    Refused(
        status,
        json!({"message": message, "documentation_url": DOCUMENTATION, "status": status.as_str()}),
    )
}

pub(super) fn not_found() -> Refused {
    refused(StatusCode::NOT_FOUND, "Not Found")
}

pub(super) fn invalid(error: &Value) -> Refused {
    let Refused(status, mut body) = refused(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
    body["errors"] = json!([error]);
    Refused(status, body)
}

pub(super) fn broken(error: &dyn std::fmt::Display) -> Refused {
    refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

/// Sends the call and its response to the recorder.
async fn record(State(service): Shared, request: Request, next: Next) -> Response {
    let Some(recorder) = &service.options.recorder else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let sent = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let read = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let mut call = RecordedCall {
        method: parts.method.clone(),
        uri: parts.uri.to_string(),
        sent: read(&sent),
        ..RecordedCall::default()
    };
    let response = next.run(Request::from_parts(parts, Body::from(sent))).await;
    let (parts, body) = response.into_parts();
    let answered = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    call.status = parts.status;
    call.answered = read(&answered);
    // The receiver may be gone.
    let _ = recorder.send(call);
    Response::from_parts(parts, Body::from(answered))
}

/// Adds an `ETag` to successful reads, and answers those that match it with 304.
async fn conditional(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let hash = naming::hash(&String::from_utf8_lossy(&body), 32);
    let Ok(etag) = HeaderValue::from_str(&format!("W/\"{hash}\"")) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let unchanged = known.as_ref() == Some(&etag);
    parts.headers.insert(ETAG, etag);
    if unchanged {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// Applies canned responses, and checks the token and the repository's name.
async fn guard(
    State(service): Shared,
    parts: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().to_string();
    if let Some(plan) = service.planned(request.method(), &path).await {
        let mut response = (plan.status, Json(plan.body)).into_response();
        for (name, value) in plan.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    if !service.accepts(request.headers()) {
        return refused(StatusCode::UNAUTHORIZED, "Bad credentials").into_response();
    }
    let part = |wanted: &str| {
        let found = parts.iter().find(|(name, _)| *name == wanted);
        found.map_or("", |(_, value)| value)
    };
    let repository = format!("{}/{}", part("owner"), part("name"));
    let only = service.options.repository.as_ref();
    if repository != "/" && only.is_some_and(|only| *only != repository) {
        return not_found().into_response();
    }
    next.run(request).await
}

async fn show(
    State(service): Shared,
    Path((owner, name, number)): Numbered,
) -> Result<Html<String>, Refused> {
    let mut store = service.store.lock().await;
    pulls::detect_merges(&service, &mut store).await?;
    let found = find(&mut store, &format!("{owner}/{name}"), number)?;
    Ok(Html(page::pull(found)))
}

/// Finds a pull request in the store.
pub(super) fn find<'a>(
    store: &'a mut Store,
    repository: &str,
    number: i64,
) -> Result<&'a mut StoredPull, Refused> {
    store
        .pulls
        .iter_mut()
        .find(|pull| pull.repository == repository && pull.number == number)
        .ok_or_else(not_found)
}

/// Changes a pull request, saves it, and returns it.
pub(super) async fn edit(
    service: &Service,
    Path((owner, name, number)): Numbered,
    change: impl FnOnce(&mut StoredPull),
) -> Result<StoredPull, Refused> {
    let mut store = service.store.lock().await;
    let pull = find(&mut store, &format!("{owner}/{name}"), number)?;
    change(pull);
    let changed = pull.clone();
    store.save().await.map_err(|error| broken(&error))?;
    Ok(changed)
}

/// Returns the strings of a list in a body.
pub(super) fn words(body: &Value, key: &str) -> Vec<String> {
    let items = body.get(key).and_then(Value::as_array);
    let text = |item: &Value| item.as_str().map(str::to_owned);
    items.into_iter().flatten().filter_map(text).collect()
}

/// Adds the items that are not in the list yet.
pub(super) fn add(list: &mut Vec<String>, new: &[String]) {
    for word in new {
        if !list.contains(word) {
            list.push(word.clone());
        }
    }
}
