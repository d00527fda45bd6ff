//! Finds or creates the pull request of a branch, and updates it.

use http::Method;
use serde_json::{Value, json};

use super::{GitHub, classify::CallError, encode, refusal::Refusal};
use crate::forge::{ForgeError, PullRequest, PullRequestSpec, PullState};

/// The action in errors about creating one.
const OPEN: &str = "open a pull request";

impl GitHub {
    /// Finds the pull request by head and base or creates it, then sets title, text, labels, reviewers and
    /// auto-merge. Failures after the pull request exists become [`PullRequest::notes`].
    pub(super) async fn ensure(&self, spec: &PullRequestSpec) -> Result<PullRequest, ForgeError> {
        let mut pull = match self.find_open(&spec.head, &spec.base).await? {
            Some(found) => self.update(found, spec).await,
            None => self.create(spec).await?,
        };
        if let Err(error) = self.add_labels(pull.number, &spec.labels).await {
            pull.notes.push(error.to_string());
        }
        let asked = self.request_reviewers(pull.number, &spec.reviewers).await;
        let unasked = asked.unwrap_or_else(|error| vec![error]);
        pull.notes.extend(unasked.iter().map(ToString::to_string));
        if spec.auto_merge && !pull.auto_merge {
            match self.enable_auto_merge(&pull).await {
                Ok(()) => pull.auto_merge = true,
                Err(error) => pull.notes.push(error.to_string()),
            }
        }
        Ok(pull)
    }

    /// Returns the newest open pull request of a branch into `base`.
    async fn find_open(&self, head: &str, base: &str) -> Result<Option<PullRequest>, ForgeError> {
        let full_head = encode(&format!("{}:{head}", self.owner));
        let path = self.path(&format!(
            "/pulls?state=open&head={full_head}&base={}&sort=created&direction=desc",
            encode(base)
        ));
        let action = "list pull requests";
        let pages = self.pages(&path, action).await;
        let pages = pages.map_err(|error| self.unexpected(error, action))?;
        if !pages.iter().all(Value::is_array) {
            return Err(self.bad_response("expected a list of pull requests"));
        }
        // GitHub ignores filters it does not understand, so filter the response again.
        let asked = |pull: &PullRequest| pull.head == head && pull.base == base;
        Ok(pages
            .iter()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(read_pull_request)
            .find(asked))
    }

    async fn create(&self, spec: &PullRequestSpec) -> Result<PullRequest, ForgeError> {
        let mut retries = 0;
        let opened = loop {
            let opened = self.open(spec, spec.draft).await;
            // GitHub may see a branch only some seconds after its push.
            let is_late = matches!(&opened, Err(CallError::Refused(Refusal::MissingHead)));
            if !is_late || !self.client.wait_briefly(retries).await {
                break opened;
            }
            retries += 1;
        };
        match opened {
            Err(CallError::Refused(Refusal::NoDrafts)) if spec.draft => {
                let mut pull = match self.open(spec, false).await {
                    Ok(pull) => pull,
                    Err(error) => return self.settle(spec, error).await,
                };
                let repository = self.repository();
                pull.notes
                    .push(ForgeError::NoDrafts { repository }.to_string());
                Ok(pull)
            }
            Ok(pull) => Ok(pull),
            Err(error) => self.settle(spec, error).await,
        }
    }

    async fn open(&self, spec: &PullRequestSpec, draft: bool) -> Result<PullRequest, CallError> {
        let body = json!({
            "title": spec.title,
            "body": spec.body,
            "head": spec.head,
            "base": spec.base,
            "draft": draft,
            "maintainer_can_modify": false,
        });
        let path = self.path("/pulls");
        let made = self.call(Method::POST, &path, Some(&body), OPEN).await?;
        self.read(&made.body).map_err(CallError::Other)
    }

    /// Converts a refusal to create a pull request. If one already exists, returns it.
    async fn settle(
        &self,
        spec: &PullRequestSpec,
        error: CallError,
    ) -> Result<PullRequest, ForgeError> {
        let (repository, base, head) = (self.repository(), spec.base.clone(), spec.head.clone());
        Err(match error {
            CallError::Refused(Refusal::MissingBase) => {
                ForgeError::MissingBase { repository, base }
            }
            CallError::Refused(Refusal::MissingHead) => {
                ForgeError::MissingHead { repository, head }
            }
            CallError::Refused(Refusal::NoCommits) => ForgeError::NoCommits { base, head },
            // Created concurrently, or by an earlier attempt whose response was lost.
            CallError::Refused(Refusal::AlreadyExists) => {
                let found = self.find_open(&spec.head, &spec.base).await?;
                return found.ok_or(ForgeError::AlreadyExists {
                    repository,
                    base,
                    head,
                });
            }
            error => self.unexpected(error, OPEN),
        })
    }

    /// Updates title and text. On failure, returns the pull request with a note.
    async fn update(&self, found: PullRequest, spec: &PullRequestSpec) -> PullRequest {
        let path = self.path(&format!("/pulls/{}", found.number));
        let body = json!({"title": spec.title, "body": spec.body});
        let action = "update a pull request";
        let changed = self
            .plain_call(Method::PATCH, &path, Some(&body), action)
            .await;
        match changed.and_then(|value| self.read(&value)) {
            Ok(pull) => pull,
            Err(error) => PullRequest {
                notes: vec![error.to_string()],
                ..found
            },
        }
    }

    async fn add_labels(&self, number: i64, labels: &[String]) -> Result<(), ForgeError> {
        if labels.is_empty() {
            return Ok(());
        }
        let path = self.path(&format!("/issues/{number}/labels"));
        let body = json!({"labels": labels});
        self.plain_call(Method::POST, &path, Some(&body), "set labels")
            .await?;
        Ok(())
    }

    pub(super) fn read(&self, value: &Value) -> Result<PullRequest, ForgeError> {
        read_pull_request(value).ok_or_else(|| self.bad_response("expected a pull request"))
    }
}

/// Parses GitHub's JSON; `None` if it is not a pull request.
fn read_pull_request(value: &Value) -> Option<PullRequest> {
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let is = |key: &str| value.get(key).and_then(Value::as_bool) == Some(true);
    let merged = is("merged") || value.get("merged_at").is_some_and(Value::is_string);
    Some(PullRequest {
        number: value.get("number")?.as_i64()?,
        url: text(value, "/html_url")?,
        title: text(value, "/title").unwrap_or_default(),
        state: match value.get("state").and_then(Value::as_str) {
            _ if merged => PullState::Merged,
            Some("closed") => PullState::Closed,
            _ => PullState::Open,
        },
        draft: is("draft"),
        base: text(value, "/base/ref")?,
        head: text(value, "/head/ref")?,
        head_commit: text(value, "/head/sha").unwrap_or_default(),
        auto_merge: value.get("auto_merge").is_some_and(Value::is_object),
        node_id: text(value, "/node_id").unwrap_or_default(),
        notes: Vec::new(),
    })
}
