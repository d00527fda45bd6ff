//! The stand-in's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Service, Store,
    origin::{commit, has_commits, merges},
    page,
    store::Kept,
};
use crate::runs::naming;

type Shared = State<Arc<Service>>;

pub(super) fn router(service: Arc<Service>) -> Router {
    let repository = Router::new()
        .route("/", get(repository))
        .route("/pulls", get(list).post(create))
        .route("/pulls/{number}", get(read).patch(change))
        .route("/pulls/{number}/requested_reviewers", post(reviewers))
        .route("/issues/{number}/labels", post(labels))
        .route("/commits/{commit}/check-runs", get(check_runs))
        .route("/commits/{commit}/status", get(statuses))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&service), guard));
    Router::new()
        .nest("/repos/{owner}/{name}", repository.clone())
        .route("/{owner}/{name}/pull/{number}", get(show))
        .with_state(service)
}

/// An error in GitHub's form.
struct Refused(StatusCode, Value);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

fn not_found() -> Refused {
    Refused(StatusCode::NOT_FOUND, json!({"message": "Not Found"}))
}

fn invalid(error: &Value) -> Refused {
    let body = json!({"message": "Validation Failed", "errors": [error]});
    Refused(StatusCode::UNPROCESSABLE_ENTITY, body)
}

fn broken(error: &dyn std::fmt::Display) -> Refused {
    let body = json!({"message": error.to_string()});
    Refused(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// Planned answers, the token, the name of the repository: what every call has to pass.
async fn guard(
    State(service): Shared,
    Path(parts): Path<Vec<(String, String)>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().to_string();
    if let Some(plan) = service.planned(request.method(), &path).await {
        let mut response = (plan.status, Json(plan.body)).into_response();
        for (name, value) in plan.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    if !service.accepts(request.headers()) {
        return Refused(
            StatusCode::UNAUTHORIZED,
            json!({"message": "Bad credentials"}),
        )
        .into_response();
    }
    let part = |wanted: &str| {
        let found = parts.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    };
    let asked = format!("{}/{}", part("owner"), part("name"));
    if service
        .options
        .repository
        .as_ref()
        .is_some_and(|only| *only != asked)
    {
        return not_found().into_response();
    }
    next.run(request).await
}

async fn repository(Path((owner, name)): Path<(String, String)>) -> Json<Value> {
    Json(json!({"full_name": format!("{owner}/{name}"), "name": name}))
}

#[derive(Deserialize)]
struct Filter {
    #[serde(default)]
    state: String,
    head: Option<String>,
    base: Option<String>,
}

async fn list(
    State(service): Shared,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Refused> {
    let repository = format!("{owner}/{name}");
    let mut store = service.store.lock().await;
    notice_merges(&service, &mut store).await?;
    let wanted = |pull: &&Kept| {
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
    let mut found = Vec::new();
    for pull in store.pulls.iter().rev().filter(wanted) {
        found.push(shape(&service, pull).await);
    }
    Ok(Json(Value::Array(found)))
}

#[derive(Deserialize)]
struct Creation {
    title: String,
    #[serde(default)]
    body: String,
    head: String,
    base: String,
    #[serde(default)]
    draft: bool,
}

async fn create(
    State(service): Shared,
    Path((owner, name)): Path<(String, String)>,
    Json(asked): Json<Creation>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let repository = format!("{owner}/{name}");
    let head = asked
        .head
        .strip_prefix(&format!("{owner}:"))
        .unwrap_or(&asked.head)
        .to_owned();
    if let Some(bare) = &service.options.bare_repository {
        for (field, branch) in [("base", &asked.base), ("head", &head)] {
            if commit(bare, branch).await.is_none() {
                let error = json!({"resource": "PullRequest", "field": field, "code": "invalid"});
                return Err(invalid(&error));
            }
        }
        if !has_commits(bare, &asked.base, &head)
            .await
            .map_err(|error| broken(&error))?
        {
            let message = format!("No commits between {} and {head}", asked.base);
            return Err(invalid(
                &json!({"resource": "PullRequest", "code": "custom", "message": message}),
            ));
        }
    }
    let mut store = service.store.lock().await;
    let same = |pull: &Kept| {
        pull.open() && pull.repository == repository && pull.head == head && pull.base == asked.base
    };
    if store.pulls.iter().any(same) {
        let message = format!("A pull request already exists for {owner}:{head}.");
        return Err(invalid(
            &json!({"resource": "PullRequest", "code": "custom", "message": message}),
        ));
    }
    let kept = Kept {
        number: store.next_number(),
        repository,
        title: asked.title,
        body: asked.body,
        base: asked.base,
        head,
        draft: asked.draft,
        created: Timestamp::now(),
        merged: None,
        closed: false,
        labels: Vec::new(),
        reviewers: Vec::new(),
        teams: Vec::new(),
    };
    let answer = shape(&service, &kept).await;
    store.pulls.push(kept);
    store.save().await.map_err(|error| broken(&error))?;
    Ok((StatusCode::CREATED, Json(answer)))
}

type Numbered = Path<(String, String, i64)>;

async fn read(
    State(service): Shared,
    Path((owner, name, number)): Numbered,
) -> Result<Json<Value>, Refused> {
    let mut store = service.store.lock().await;
    notice_merges(&service, &mut store).await?;
    let repository = format!("{owner}/{name}");
    let found = store
        .pulls
        .iter()
        .find(|pull| pull.repository == repository && pull.number == number);
    Ok(Json(shape(&service, found.ok_or_else(not_found)?).await))
}

async fn change(
    State(service): Shared,
    path: Numbered,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Refused> {
    edit(&service, path, |pull| {
        let text = |key: &str| asked.get(key).and_then(Value::as_str);
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
    .await
    .map(Json)
}

async fn labels(
    State(service): Shared,
    path: Numbered,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, Refused> {
    let pull = edit(&service, path, |pull| {
        add(&mut pull.labels, &words(&asked, "labels"));
    })
    .await?;
    Ok(Json(pull["labels"].clone()))
}

async fn reviewers(
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
            let body = json!({"message": message});
            return Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, body));
        }
    }
    let pull = edit(&service, path, |pull| {
        add(&mut pull.reviewers, &users);
        add(&mut pull.teams, &teams);
    })
    .await?;
    Ok((StatusCode::CREATED, Json(pull)))
}

/// The one check it can make by itself: that the branch merges into its base.
async fn check_runs(
    State(service): Shared,
    Path((_, _, commit_id)): Path<(String, String, String)>,
) -> Json<Value> {
    let mut runs = Vec::new();
    if let Some(bare) = &service.options.bare_repository {
        let store = service.store.lock().await;
        for pull in &store.pulls {
            if commit(bare, &pull.head).await.as_deref() == Some(commit_id.as_str()) {
                let merges = merges(bare, &pull.base, &pull.head).await;
                let conclusion = if merges { "success" } else { "failure" };
                runs.push(json!({
                    "name": format!("merges into {}", pull.base),
                    "status": "completed",
                    "conclusion": conclusion,
                }));
            }
        }
    }
    Json(json!({"total_count": runs.len(), "check_runs": runs}))
}

async fn statuses() -> Json<Value> {
    Json(json!({"state": "pending", "statuses": []}))
}

async fn show(
    State(service): Shared,
    Path((owner, name, number)): Numbered,
) -> Result<Html<String>, Refused> {
    let mut store = service.store.lock().await;
    notice_merges(&service, &mut store).await?;
    let repository = format!("{owner}/{name}");
    let found = store
        .pulls
        .iter()
        .find(|pull| pull.repository == repository && pull.number == number);
    Ok(Html(page::pull(found.ok_or_else(not_found)?)))
}

/// Changes a pull request, keeps it, and gives its form.
async fn edit(
    service: &Service,
    Path((owner, name, number)): Numbered,
    change: impl FnOnce(&mut Kept),
) -> Result<Value, Refused> {
    let mut store = service.store.lock().await;
    let repository = format!("{owner}/{name}");
    let pull = store
        .pulls
        .iter_mut()
        .find(|pull| pull.repository == repository && pull.number == number)
        .ok_or_else(not_found)?;
    change(pull);
    let changed = pull.clone();
    store.save().await.map_err(|error| broken(&error))?;
    Ok(shape(service, &changed).await)
}

/// A pull request is merged once its base holds its head.
async fn notice_merges(service: &Service, store: &mut Store) -> Result<(), Refused> {
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

/// A pull request in GitHub's form.
async fn shape(service: &Service, pull: &Kept) -> Value {
    let (mut sha, mut mergeable) = (naming::hash(&pull.head, 40), Value::Null);
    if let Some(bare) = &service.options.bare_repository {
        if let Some(commit) = commit(bare, &pull.head).await {
            sha = commit;
        }
        if pull.open() {
            mergeable = merges(bare, &pull.base, &pull.head).await.into();
        }
    }
    let names = |words: &[String], key: &str| -> Vec<Value> {
        words.iter().map(|word| json!({key: word})).collect()
    };
    json!({
        "number": pull.number,
        "html_url": format!("{}/{}/pull/{}", service.url, pull.repository, pull.number),
        "title": pull.title,
        "body": pull.body,
        "state": if pull.open() { "open" } else { "closed" },
        "draft": pull.draft,
        "merged": pull.merged.is_some(),
        "merged_at": pull.merged,
        "mergeable": mergeable,
        "created_at": pull.created,
        "base": {"ref": pull.base},
        "head": {"ref": pull.head, "sha": sha},
        "labels": names(&pull.labels, "name"),
        "requested_reviewers": names(&pull.reviewers, "login"),
        "requested_teams": names(&pull.teams, "slug"),
    })
}

fn words(asked: &Value, key: &str) -> Vec<String> {
    let items = asked.get(key).and_then(Value::as_array);
    let text = |item: &Value| item.as_str().map(str::to_owned);
    items.into_iter().flatten().filter_map(text).collect()
}

fn add(list: &mut Vec<String>, new: &[String]) {
    for word in new {
        if !list.contains(word) {
            list.push(word.clone());
        }
    }
}
