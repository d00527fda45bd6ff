//! Asking people and teams for a review.

use http::Method;
use serde_json::json;

use super::{Forge, ForgeError, judge::CallError, refusal::Refusal};

/// What came of asking.
enum Asked {
    Yes,
    Unknown,
    /// The pull request is their own.
    Own,
}

impl Forge {
    /// Asks all at once; when the forge refuses, one by one, so that the unknown are named and the known are asked. Gives
    /// what is to be said of those that were not.
    pub(super) async fn ask_reviewers(
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
        if let Asked::Yes = self.request_reviews(number, &users, &teams).await? {
            return Ok(Vec::new());
        }
        let (mut notes, mut names) = (Vec::new(), Vec::new());
        for name in reviewers {
            match self.ask_one(number, name).await? {
                Asked::Yes => {}
                Asked::Unknown => names.push(name.clone()),
                Asked::Own => notes.push(ForgeError::OwnReview { name: name.clone() }),
            }
        }
        if !names.is_empty() {
            let repository = self.repository();
            notes.push(ForgeError::UnknownReviewer { repository, names });
        }
        Ok(notes)
    }

    /// A name with a slash is a team; any other is a user, or else a team.
    async fn ask_one(&self, number: i64, name: &str) -> Result<Asked, ForgeError> {
        if !name.contains('/') {
            let asked = self.request_reviews(number, &[name], &[]).await?;
            if !matches!(asked, Asked::Unknown) {
                return Ok(asked);
            }
        }
        self.request_reviews(number, &[], &[slug(name)]).await
    }

    async fn request_reviews(
        &self,
        number: i64,
        users: &[&str],
        teams: &[&str],
    ) -> Result<Asked, ForgeError> {
        let path = self.path(&format!("/pulls/{number}/requested_reviewers"));
        let body = json!({"reviewers": users, "team_reviewers": teams});
        let action = "ask for reviews";
        match self.call(Method::POST, &path, Some(&body), action).await {
            Ok(_) => Ok(Asked::Yes),
            Err(CallError::Refused(Refusal::UnknownReviewer)) => Ok(Asked::Unknown),
            Err(CallError::Refused(Refusal::OwnReview)) => Ok(Asked::Own),
            Err(error) => Err(self.unexpected(error, action)),
        }
    }
}

/// `team` of `organisation/team`.
fn slug(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
