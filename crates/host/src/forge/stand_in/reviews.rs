//! Reviews of the stand-in: asked for, given, listed.

use axum::{
    Json,
    extract::{Path, Query, RawQuery, State},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api::{Numbered, Refused, Shared, add, edit, find, invalid, refused, words},
    pages::{self, Page},
    shape,
    store::Review,
};

/// What a review can come to, and the state it then has.
const EVENTS: [(&str, &str); 3] = [
    ("APPROVE", "APPROVED"),
    ("REQUEST_CHANGES", "CHANGES_REQUESTED"),
    ("COMMENT", "COMMENTED"),
];

pub(super) async fn request(
    State(service): Shared,
    path: Numbered,
    Json(asked): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let (users, teams) = (words(&asked, "reviewers"), words(&asked, "team_reviewers"));
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
        Json(shape::short(&service, &pull).await),
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
    let (headers, reviews) = pages::cut(&url, query.as_deref(), &page, &pull.reviews);
    let mut shapes = Vec::new();
    for review in reviews {
        shapes.push(shape::review(&service, pull, review).await);
    }
    Ok((headers, Json(Value::Array(shapes))))
}

/// Reviews by the only person there is: the stand-in cannot know who calls.
pub(super) async fn submit(
    State(service): Shared,
    path: Numbered,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let event = asked.get("event").and_then(Value::as_str);
    let state = EVENTS.iter().find(|(name, _)| Some(*name) == event);
    let (_, state) = state.ok_or_else(|| {
        invalid(&json!({"resource": "PullRequestReview", "field": "event", "code": "invalid"}))
    })?;
    let text = asked.get("body").and_then(Value::as_str);
    let given = Review {
        by: "reviewer".into(),
        state: (*state).into(),
        text: text.unwrap_or_default().into(),
        at: Timestamp::now(),
    };
    let added = given.clone();
    let pull = edit(&service, path, |pull| pull.reviews.push(added)).await?;
    Ok(Json(shape::review(&service, &pull, &given).await))
}
