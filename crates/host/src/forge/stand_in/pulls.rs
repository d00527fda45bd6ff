//! Pull requests of the stand-in: list, create, read, update and label.

use axum::{
    Json,
    extract::{Path, Query, RawQuery, State},
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Service,
    api::{Numbered, Refused, Shared, add, broken, edit, find, invalid, words},
    origin::{commit, has_commits},
    pagination::{self, Page},
    responses,
    store::{Store, StoredPull},
};

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    state: String,
    head: Option<String>,
    base: Option<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) async fn list(
    State(service): Shared,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<Filter>,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Value>), Refused> {
    let repository = format!("{owner}/{name}");
    let mut store = service.store.lock().await;
    detect_merges(&service, &mut store).await?;
    let wanted = |pull: &&StoredPull| {
        pull.repository == repository
            && match filter.state.as_str() {
                "all" => true,
                "closed" => !pull.open(),
                _ => pull.open(),
            }
            && filter.base.as_ref().is_none_or(|base| *base == pull.base)
            && filter
                .head
                .as_ref()
                .is_none_or(|head| *head == format!("{owner}:{}", pull.head))
    };
    let found: Vec<&StoredPull> = store.pulls.iter().rev().filter(wanted).collect();
    let (headers, found) = pagination::paginate(
        &format!("{}/repos/{repository}/pulls", service.url),
        query.as_deref(),
        &filter.page,
        &found,
    );
    let mut shapes = Vec::new();
    for pull in found {
        shapes.push(responses::summary(&service, pull).await);
    }
    Ok((headers, Json(Value::Array(shapes))))
}

#[derive(Deserialize)]
pub(super) struct Creation {
    title: String,
    #[serde(default)]
    body: String,
    head: String,
    base: String,
    #[serde(default)]
    draft: bool,
}

pub(super) async fn create(
    State(service): Shared,
    Path((owner, name)): Path<(String, String)>,
    Json(request): Json<Creation>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let repository = format!("{owner}/{name}");
    let head = request
        .head
        .strip_prefix(&format!("{owner}:"))
        .unwrap_or(&request.head)
        .to_owned();
    let custom = |message: String| {
        invalid(&json!({"resource": "PullRequest", "code": "custom", "message": message}))
    };
    if let Some(bare) = &service.options.bare_repository {
        for (field, branch) in [("base", &request.base), ("head", &head)] {
            if commit(bare, branch).await.is_none() {
                let error = json!({"resource": "PullRequest", "field": field, "code": "invalid"});
                return Err(invalid(&error));
            }
        }
        if !has_commits(bare, &request.base, &head)
            .await
            .map_err(|error| broken(&error))?
        {
            return Err(custom(format!(
                "No commits between {} and {head}",
                request.base
            )));
        }
    }
    let mut store = service.store.lock().await;
    let same = |pull: &StoredPull| {
        pull.open()
            && pull.repository == repository
            && pull.head == head
            && pull.base == request.base
    };
    if store.pulls.iter().any(same) {
        return Err(custom(format!(
            "A pull request already exists for {owner}:{head}."
        )));
    }
    let stored = StoredPull {
        number: store.next_number(),
        repository,
        title: request.title,
        body: request.body,
        base: request.base,
        head,
        draft: request.draft,
        created: Timestamp::now(),
        merged: None,
        closed: false,
        labels: Vec::new(),
        reviewers: Vec::new(),
        teams: Vec::new(),
        reviews: Vec::new(),
        auto_merge: None,
    };
    let answer = responses::full(&service, &stored).await;
    store.pulls.push(stored);
    store.save().await.map_err(|error| broken(&error))?;
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(super) async fn read(
    State(service): Shared,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Value>, Refused> {
    let mut store = service.store.lock().await;
    detect_merges(&service, &mut store).await?;
    let found = find(&mut store, &format!("{owner}/{name}"), number)?;
    Ok(Json(responses::full(&service, found).await))
}

pub(super) async fn change(
    State(service): Shared,
    path: Numbered,
    Json(request): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let pull = edit(&service, path, |pull| {
        let text = |key: &str| request.get(key).and_then(Value::as_str);
        if let Some(title) = text("title") {
            title.clone_into(&mut pull.title);
        }
        if let Some(body) = text("body") {
            body.clone_into(&mut pull.body);
        }
        if let Some(state) = text("state") {
            pull.closed = state == "closed";
        }
    })
    .await?;
    Ok(Json(responses::full(&service, &pull).await))
}

pub(super) async fn labels(
    State(service): Shared,
    path: Numbered,
    Json(request): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let pull = edit(&service, path, |pull| {
        add(&mut pull.labels, &words(&request, "labels"));
    })
    .await?;
    Ok(Json(responses::labels(&service, &pull)))
}

/// Marks pull requests as merged once their base contains their head.
pub(super) async fn detect_merges(service: &Service, store: &mut Store) -> Result<(), Refused> {
    let Some(bare) = &service.options.bare_repository else {
        return Ok(());
    };
    let mut changed = false;
    for pull in store.pulls.iter_mut().filter(|pull| pull.open()) {
        if commit(bare, &pull.head).await.is_some()
            && commit(bare, &pull.base).await.is_some()
            && !has_commits(bare, &pull.base, &pull.head)
                .await
                .map_err(|error| broken(&error))?
        {
            pull.merged = Some(Timestamp::now());
            changed = true;
        }
    }
    if changed {
        store.save().await.map_err(|error| broken(&error))?;
    }
    Ok(())
}
