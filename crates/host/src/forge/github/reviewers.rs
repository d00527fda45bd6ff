//! Requests reviews from users and teams.

use http::Method;
use serde_json::json;

use super::{GitHub, classify::CallError, refusal::Refusal};
use crate::forge::ForgeError;

/// The result of a review request.
enum Outcome {
    Requested,
    Unknown,
    /// The reviewer is the author.
    OwnPullRequest,
}

impl GitHub {
    /// Requests all reviews at once. If the forge refuses, requests them one by one, so that only unknown reviewers
    /// are left out. Returns the errors for those.
    pub(super) async fn request_reviewers(
        &self,
        number: i64,
        reviewers: &[String],
    ) -> Result<Vec<ForgeError>, ForgeError> {
        if reviewers.is_empty() {
            return Ok(Vec::new());
        }
        let (teams, users): (Vec<&str>, Vec<&str>) = reviewers
            .iter()
            .map(String::as_str)
            .partition(|name| name.contains('/'));
        let teams: Vec<&str> = teams.into_iter().map(slug).collect();
        if let Outcome::Requested = self.request_reviews(number, &users, &teams).await? {
            return Ok(Vec::new());
        }
        let (mut notes, mut names) = (Vec::new(), Vec::new());
        for name in reviewers {
            match self.request_one(number, name).await? {
                Outcome::Requested => {}
                Outcome::Unknown => names.push(name.clone()),
                Outcome::OwnPullRequest => notes.push(ForgeError::OwnReview { name: name.clone() }),
            }
        }
        if !names.is_empty() {
            let repository = self.repository();
            notes.push(ForgeError::UnknownReviewer { repository, names });
        }
        Ok(notes)
    }

    /// Requests one review. A name with a slash is a team; any other name is tried as a user, then as a team.
    async fn request_one(&self, number: i64, name: &str) -> Result<Outcome, ForgeError> {
        if !name.contains('/') {
            let outcome = self.request_reviews(number, &[name], &[]).await?;
            if !matches!(outcome, Outcome::Unknown) {
                return Ok(outcome);
            }
        }
        self.request_reviews(number, &[], &[slug(name)]).await
    }

    async fn request_reviews(
        &self,
        number: i64,
        users: &[&str],
        teams: &[&str],
    ) -> Result<Outcome, ForgeError> {
        let path = self.path(&format!("/pulls/{number}/requested_reviewers"));
        let body = json!({"reviewers": users, "team_reviewers": teams});
        let action = "request reviews";
        match self.call(Method::POST, &path, Some(&body), action).await {
            Ok(_) => Ok(Outcome::Requested),
            Err(CallError::Refused(Refusal::UnknownReviewer)) => Ok(Outcome::Unknown),
            Err(CallError::Refused(Refusal::OwnReview)) => Ok(Outcome::OwnPullRequest),
            Err(error) => Err(self.unexpected(error, action)),
        }
    }
}

/// Returns `team` of `organisation/team`.
fn slug(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
