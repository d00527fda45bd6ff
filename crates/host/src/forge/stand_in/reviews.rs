//! Reviews of the stand-in: request, submit and list.

use axum::{
    Json,
    extract::{Path, Query, RawQuery, State},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api::{Numbered, Refused, Shared, add, edit, find, invalid, refused, words},
    pagination::{self, Page},
    responses,
    store::Review,
};

/// Review events and the resulting states.
const EVENTS: [(&str, &str); 3] = [
    ("APPROVE", "APPROVED"),
    ("REQUEST_CHANGES", "CHANGES_REQUESTED"),
    ("COMMENT", "COMMENTED"),
];

pub(super) async fn request(
    State(service): Shared,
    path: Numbered,
    Json(request): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let (users, teams) = (
        words(&request, "reviewers"),
        words(&request, "team_reviewers"),
    );
    if let Some(people) = &service.options.people {
        let is_team = |team: &String| {
            people
                .iter()
                .any(|name| name.ends_with(&format!("/{team}")))
        };
        if !users.iter().all(|user| people.contains(user)) || !teams.iter().all(is_team) {
            let message = format!(
                "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the {}/{} repository.",
                path.0.0, path.0.1
            );
            return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &message));
        }
    }
    let pull = edit(&service, path, |pull| {
        add(&mut pull.reviewers, &users);
        add(&mut pull.teams, &teams);
    })
    .await?;
    Ok((
        StatusCode::CREATED,
        Json(responses::summary(&service, &pull).await),
    ))
}

pub(super) async fn list(
    State(service): Shared,
    Path((owner, name, number)): Numbered,
    Query(page): Query<Page>,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Value>), Refused> {
    let mut store = service.store.lock().await;
    let repository = format!("{owner}/{name}");
    let pull = &*find(&mut store, &repository, number)?;
    let url = format!("{}/repos/{repository}/pulls/{number}/reviews", service.url);
    let (headers, reviews) = pagination::paginate(&url, query.as_deref(), &page, &pull.reviews);
    let mut shapes = Vec::new();
    for review in reviews {
        shapes.push(responses::review(&service, pull, review).await);
    }
    Ok((headers, Json(Value::Array(shapes))))
}

/// Submits a review as a fixed user: the stand-in does not know the caller.
pub(super) async fn submit(
    State(service): Shared,
    path: Numbered,
    Json(request): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let event = request.get("event").and_then(Value::as_str);
    let state = EVENTS.iter().find(|(name, _)| Some(*name) == event);
    let (_, state) = state.ok_or_else(|| {
        invalid(&json!({"resource": "PullRequestReview", "field": "event", "code": "invalid"}))
    })?;
    let text = request.get("body").and_then(Value::as_str);
    let given = Review {
        by: "reviewer".into(),
        state: (*state).into(),
        text: text.unwrap_or_default().into(),
        at: Timestamp::now(),
    };
    let added = given.clone();
    let pull = edit(&service, path, |pull| pull.reviews.push(added)).await?;
    Ok(Json(responses::review(&service, &pull, &given).await))
}
