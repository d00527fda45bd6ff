//! Checks of the stand-in. The only one is whether a branch merges into its base.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    api::Shared,
    origin::{commit, merges},
    responses,
};

type Commit = Path<(String, String, String)>;

pub(super) async fn runs(
    State(service): Shared,
    Path((owner, name, commit_id)): Commit,
) -> Json<Value> {
    let mut runs = Vec::new();
    if let Some(bare) = &service.options.bare_repository {
        let store = service.store.lock().await;
        for pull in &store.pulls {
            if commit(bare, &pull.head).await.as_deref() == Some(commit_id.as_str()) {
                let merges = merges(bare, &pull.base, &pull.head).await;
                let repository = format!("{owner}/{name}");
                runs.push(responses::check_run(
                    &service,
                    &repository,
                    pull,
                    &commit_id,
                    merges,
                ));
            }
        }
    }
    Json(json!({"total_count": runs.len(), "check_runs": runs}))
}

/// Returns no statuses; the stand-in has none.
pub(super) async fn statuses(
    State(service): Shared,
    Path((owner, name, commit_id)): Commit,
) -> Json<Value> {
    Json(responses::no_statuses(
        &service,
        &format!("{owner}/{name}"),
        &commit_id,
    ))
}
