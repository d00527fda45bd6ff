//! How a pull request stands: its state, whether it can be merged, its checks.

use http::Method;
use serde::Serialize;
use serde_json::Value;

use super::{
    Forge, ForgeError, PullRequest,
    call::{CallError, encode},
};

/// Checks of the head commit, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checks {
    pub passed: usize,
    pub failed: usize,
    pub pending: usize,
}

/// A pull request and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestStatus {
    #[serde(flatten)]
    pub pull_request: PullRequest,
    /// Whether it merges without conflict; absent while the forge has not worked it out.
    pub mergeable: Option<bool>,
    /// Absent when the token may not read checks.
    pub checks: Option<Checks>,
    pub labels: Vec<String>,
    /// Users and teams that were asked and have not answered.
    pub reviewers: Vec<String>,
}

impl Forge {
    /// How a pull request stands.
    pub async fn status(&self, number: i64) -> Result<PullRequestStatus, ForgeError> {
        let action = "read a pull request";
        let path = self.path(&format!("/pulls/{number}"));
        let value = match self.call(Method::GET, &path, None, action).await {
            Ok(value) => value,
            Err(CallError::NotFound) => {
                // Says which of the two is missing.
                self.plain_call(Method::GET, &self.path(""), None, "read the repository")
                    .await?;
                let repository = self.repository();
                return Err(ForgeError::NoPullRequest { repository, number });
            }
            Err(error) => return Err(self.unexpected(error, action)),
        };
        let pull_request = self.read(&value)?;
        let names = |list: &str, key: &str| -> Vec<String> {
            let items = value.get(list).and_then(Value::as_array);
            let name = |item: &Value| Some(item.get(key)?.as_str()?.to_owned());
            items.into_iter().flatten().filter_map(name).collect()
        };
        let mut reviewers = names("requested_reviewers", "login");
        reviewers.extend(names("requested_teams", "slug"));
        Ok(PullRequestStatus {
            mergeable: value.get("mergeable").and_then(Value::as_bool),
            checks: self.checks(&pull_request.head_commit).await?,
            labels: names("labels", "name"),
            reviewers,
            pull_request,
        })
    }

    /// Checks of a commit: of apps (check runs) and of older integrations (statuses).
    async fn checks(&self, commit: &str) -> Result<Option<Checks>, ForgeError> {
        if commit.is_empty() {
            return Ok(None);
        }
        let commit = encode(commit);
        let runs = self.path(&format!("/commits/{commit}/check-runs?per_page=100"));
        let statuses = self.path(&format!("/commits/{commit}/status?per_page=100"));
        let (runs, statuses) = futures::join!(self.readable(&runs), self.readable(&statuses));
        let (runs, statuses) = (runs?, statuses?);
        if runs.is_none() && statuses.is_none() {
            return Ok(None);
        }
        let mut checks = Checks::default();
        let items = |value: &Option<Value>, key: &str| -> Vec<Value> {
            let items = value.as_ref().and_then(|value| value.get(key)?.as_array());
            items.cloned().unwrap_or_default()
        };
        for run in items(&runs, "check_runs") {
            checks.count(run.get("conclusion").and_then(Value::as_str));
        }
        for status in items(&statuses, "statuses") {
            let state = status.get("state").and_then(Value::as_str);
            checks.count(state.filter(|state| *state != "pending"));
        }
        Ok(Some(checks))
    }

    /// `None` when the token may not read it.
    async fn readable(&self, path: &str) -> Result<Option<Value>, ForgeError> {
        match self.call(Method::GET, path, None, "read checks").await {
            Ok(value) => Ok(Some(value)),
            Err(CallError::NotFound | CallError::Other(ForgeError::Forbidden { .. })) => Ok(None),
            Err(error) => Err(self.unexpected(error, "read checks")),
        }
    }
}

impl Checks {
    fn count(&mut self, conclusion: Option<&str>) {
        match conclusion {
            None => self.pending += 1,
            Some("success" | "neutral" | "skipped") => self.passed += 1,
            Some(_) => self.failed += 1,
        }
    }
}
