//! The status of a pull request: state, mergeability, checks and reviews.

use serde::Serialize;

use super::PullRequest;

/// Check counts of the head commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checks {
    pub passed: usize,
    pub failed: usize,
    pub pending: usize,
}

/// The latest decision of each reviewer who approved or requested changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reviews {
    pub approved: Vec<String>,
    pub changes_requested: Vec<String>,
}

/// A pull request and its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequestStatus {
    #[serde(flatten)]
    pub pull_request: PullRequest,
    /// Whether it merges without conflicts; `None` while the forge has not computed it.
    pub mergeable: Option<bool>,
    /// `None` if the token may not read checks.
    pub checks: Option<Checks>,
    /// `None` if the token may not read reviews.
    pub reviews: Option<Reviews>,
    pub labels: Vec<String>,
    /// Users and teams with a pending review request.
    pub reviewers: Vec<String>,
}

impl Checks {
    /// Counts a check by its conclusion; `None` while it runs.
    pub(super) fn count(&mut self, conclusion: Option<&str>) {
        match conclusion {
            None => self.pending += 1,
            Some("success" | "neutral" | "skipped") => self.passed += 1,
            Some(_) => self.failed += 1,
        }
    }
}
