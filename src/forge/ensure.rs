//! The pull request of a branch: found before one is made, then brought up to date.

use http::Method;
use serde_json::{Value, json};

use super::{
    Forge, ForgeError, PullRequest, PullRequestSpec, PullState,
    call::{CallError, encode},
    refusal::Refusal,
};

impl Forge {
    /// Makes sure that the pull request is there: found by head and base, else made; then title, text, labels and reviewers
    /// are as asked. Labels or reviewers that cannot be had are [`PullRequest::notes`], no failure.
    pub async fn ensure_pull_request(
        &self,
        spec: &PullRequestSpec,
    ) -> Result<PullRequest, ForgeError> {
        let mut pull = match self.find_open(&spec.head, Some(&spec.base)).await? {
            Some(found) => self.update(&found, spec).await?,
            None => self.create(spec).await?,
        };
        let labels = self.add_labels(pull.number, &spec.labels).await;
        let reviewers = self.ask_reviewers(pull.number, &spec.reviewers).await;
        for error in [labels, reviewers].into_iter().filter_map(Result::err) {
            pull.notes.push(error.to_string());
        }
        if spec.auto_merge {
            let note = format!(
                "auto-merge cannot be switched on from here: do it at {}",
                pull.url
            );
            pull.notes.push(note);
        }
        Ok(pull)
    }

    /// The pull request of a branch: the open one, else the latest.
    pub async fn find(&self, head: &str) -> Result<Option<PullRequest>, ForgeError> {
        let all = self.list(head, None, "all").await?;
        let open = all.iter().position(|pull| pull.state == PullState::Open);
        Ok(all.into_iter().nth(open.unwrap_or(0)))
    }

    async fn find_open(
        &self,
        head: &str,
        base: Option<&str>,
    ) -> Result<Option<PullRequest>, ForgeError> {
        Ok(self.list(head, base, "open").await?.into_iter().next())
    }

    /// Newest first.
    async fn list(
        &self,
        head: &str,
        base: Option<&str>,
        state: &str,
    ) -> Result<Vec<PullRequest>, ForgeError> {
        let full_head = encode(&format!("{}:{head}", self.target.owner));
        let base_query = base.map_or_else(String::new, |base| format!("&base={}", encode(base)));
        let path = self.path(&format!(
            "/pulls?state={state}&head={full_head}{base_query}&sort=created&direction=desc&per_page=30"
        ));
        let answer = self
            .plain_call(Method::GET, &path, None, "list pull requests")
            .await?;
        let Some(items) = answer.as_array() else {
            return Err(self.strange("a list of pull requests was expected"));
        };
        // GitHub leaves out a filter it does not understand, so the answer is held against the question.
        let asked =
            |pull: &PullRequest| pull.head == head && base.is_none_or(|base| pull.base == base);
        Ok(items
            .iter()
            .filter_map(PullRequest::read)
            .filter(asked)
            .collect())
    }

    async fn create(&self, spec: &PullRequestSpec) -> Result<PullRequest, ForgeError> {
        let body = json!({
            "title": spec.title,
            "body": spec.body,
            "head": spec.head,
            "base": spec.base,
            "draft": spec.draft,
            "maintainer_can_modify": false,
        });
        let action = "open a pull request";
        let made = self
            .call(Method::POST, &self.path("/pulls"), Some(&body), action)
            .await;
        let (repository, base, head) = (self.repository(), spec.base.clone(), spec.head.clone());
        match made {
            Ok(value) => self.read(&value),
            Err(CallError::Refused(Refusal::MissingBase)) => {
                Err(ForgeError::MissingBase { repository, base })
            }
            Err(CallError::Refused(Refusal::MissingHead)) => {
                Err(ForgeError::MissingHead { repository, head })
            }
            Err(CallError::Refused(Refusal::NoCommits)) => {
                Err(ForgeError::NoCommits { base, head })
            }
            // Somebody was quicker, or an earlier try of ours was heard although its answer was lost.
            Err(CallError::Refused(Refusal::AlreadyExists)) => {
                let found = self.find_open(&spec.head, Some(&spec.base)).await?;
                found.ok_or(ForgeError::AlreadyExists {
                    repository,
                    base,
                    head,
                })
            }
            Err(error) => Err(self.unexpected(error, action)),
        }
    }

    async fn update(
        &self,
        found: &PullRequest,
        spec: &PullRequestSpec,
    ) -> Result<PullRequest, ForgeError> {
        let path = self.path(&format!("/pulls/{}", found.number));
        let body = json!({"title": spec.title, "body": spec.body});
        let value = self
            .plain_call(Method::PATCH, &path, Some(&body), "change a pull request")
            .await?;
        self.read(&value)
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

    /// Asks all at once; when the forge refuses, one by one, so that the unknown are named and the known are asked.
    async fn ask_reviewers(&self, number: i64, reviewers: &[String]) -> Result<(), ForgeError> {
        if reviewers.is_empty() {
            return Ok(());
        }
        let (teams, users): (Vec<&str>, Vec<&str>) = reviewers
            .iter()
            .map(String::as_str)
            .partition(|name| name.contains('/'));
        let teams: Vec<&str> = teams
            .into_iter()
            .map(|name| name.rsplit('/').next().unwrap_or(name))
            .collect();
        if self.request_reviews(number, &users, &teams).await? {
            return Ok(());
        }
        let mut names = Vec::new();
        for name in reviewers {
            let team = name.rsplit('/').next().unwrap_or(name);
            let asked = !name.contains('/') && self.request_reviews(number, &[name], &[]).await?
                || self.request_reviews(number, &[], &[team]).await?;
            if !asked {
                names.push(name.clone());
            }
        }
        if names.is_empty() {
            Ok(())
        } else {
            let repository = self.repository();
            Err(ForgeError::UnknownReviewer { repository, names })
        }
    }

    /// Whether the forge knows all of them.
    async fn request_reviews(
        &self,
        number: i64,
        users: &[&str],
        teams: &[&str],
    ) -> Result<bool, ForgeError> {
        let path = self.path(&format!("/pulls/{number}/requested_reviewers"));
        let body = json!({"reviewers": users, "team_reviewers": teams});
        let action = "ask for reviews";
        match self.call(Method::POST, &path, Some(&body), action).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused(Refusal::UnknownReviewer)) => Ok(false),
            Err(error) => Err(self.unexpected(error, action)),
        }
    }

    pub(super) fn read(&self, value: &Value) -> Result<PullRequest, ForgeError> {
        PullRequest::read(value).ok_or_else(|| self.strange("a pull request was expected"))
    }

    pub(super) fn strange(&self, message: &str) -> ForgeError {
        ForgeError::Answer {
            host: self.host.clone(),
            message: message.to_owned(),
        }
    }
}
