//! Reads the status of a pull request.

use http::Method;
use serde_json::Value;

use super::{GitHub, classify::CallError, encode};
use crate::forge::{Checks, ForgeError, PullRequestStatus, Reviews};

impl GitHub {
    /// Returns the status of a pull request.
    pub(super) async fn read_status(&self, number: i64) -> Result<PullRequestStatus, ForgeError> {
        let action = "read a pull request";
        let path = self.path(&format!("/pulls/{number}"));
        let value = match self.call(Method::GET, &path, None, action).await {
            Ok(answer) => answer.body,
            Err(CallError::NotFound) => {
                // Distinguishes a missing repository from a missing pull request.
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
        let (checks, reviews) =
            futures::join!(self.checks(&pull_request.head_commit), self.reviews(number));
        Ok(PullRequestStatus {
            mergeable: value.get("mergeable").and_then(Value::as_bool),
            checks: checks?,
            reviews: reviews?,
            labels: names("labels", "name"),
            reviewers,
            pull_request,
        })
    }

    /// Counts the checks of a commit: check runs of apps, and statuses of older integrations.
    async fn checks(&self, commit: &str) -> Result<Option<Checks>, ForgeError> {
        if commit.is_empty() {
            return Ok(None);
        }
        let commit = encode(commit);
        let runs = self.path(&format!("/commits/{commit}/check-runs?filter=latest"));
        let statuses = self.path(&format!("/commits/{commit}/status?page=1"));
        let (runs, statuses) = futures::join!(
            self.items(&runs, "check_runs", "read checks"),
            self.items(&statuses, "statuses", "read checks")
        );
        let (runs, statuses) = (runs?, statuses?);
        if runs.is_none() && statuses.is_none() {
            return Ok(None);
        }
        let mut checks = Checks::default();
        for run in runs.into_iter().flatten() {
            checks.count(run.get("conclusion").and_then(Value::as_str));
        }
        for status in statuses.into_iter().flatten() {
            let state = status.get("state").and_then(Value::as_str);
            checks.count(state.filter(|state| *state != "pending"));
        }
        Ok(Some(checks))
    }

    /// Returns the latest decision of each reviewer. Comments are not decisions.
    async fn reviews(&self, number: i64) -> Result<Option<Reviews>, ForgeError> {
        let path = self.path(&format!("/pulls/{number}/reviews?page=1"));
        let Some(items) = self.items(&path, "", "read reviews").await? else {
            return Ok(None);
        };
        let mut last: Vec<(String, String)> = Vec::new();
        // The forge lists reviews oldest first.
        for item in &items {
            let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str);
            let (Some(who), Some(state)) = (text("/user/login"), text("/state")) else {
                continue;
            };
            if ["APPROVED", "CHANGES_REQUESTED", "DISMISSED"].contains(&state) {
                last.retain(|(known, _)| known != who);
                last.push((who.to_owned(), state.to_owned()));
            }
        }
        let of = |wanted: &str| -> Vec<String> {
            let found = last.iter().filter(|(_, state)| state == wanted);
            found.map(|(who, _)| who.clone()).collect()
        };
        Ok(Some(Reviews {
            approved: of("APPROVED"),
            changes_requested: of("CHANGES_REQUESTED"),
        }))
    }

    /// Returns the items of every page: those below `key`, or the page itself if `key` is empty. Returns `None` if
    /// the token may not read them.
    async fn items(
        &self,
        path: &str,
        key: &str,
        action: &str,
    ) -> Result<Option<Vec<Value>>, ForgeError> {
        let pages = match self.pages(path, action).await {
            Ok(pages) => pages,
            Err(CallError::NotFound | CallError::Other(ForgeError::Forbidden { .. })) => {
                return Ok(None);
            }
            Err(error) => return Err(self.unexpected(error, action)),
        };
        let mut items = Vec::new();
        for mut page in pages {
            let list = if key.is_empty() {
                page.take()
            } else {
                page.get_mut(key).map(Value::take).unwrap_or_default()
            };
            if let Value::Array(list) = list {
                items.extend(list);
            }
        }
        Ok(Some(items))
    }
}
