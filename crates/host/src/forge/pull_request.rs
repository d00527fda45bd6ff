//! Pull requests: the desired state, and the state on the forge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The desired pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequestSpec {
    /// The head branch, without `owner:`.
    pub head: String,
    /// The base branch.
    pub base: String,
    pub title: String,
    pub body: String,
    pub draft: bool,
    pub labels: Vec<String>,
    /// Users, or teams as `organisation/team`. A plain name that is not a user is tried as a team.
    pub reviewers: Vec<String>,
    /// Whether to merge automatically once the base branch's requirements are met.
    pub auto_merge: bool,
}

impl PullRequestSpec {
    /// Sets the options of a `docs-pr-config` map: comma-separated lists, booleans as strings.
    #[must_use]
    pub fn with_options(mut self, options: &BTreeMap<String, String>) -> Self {
        let list = |key: &str| -> Vec<String> {
            let words = options.get(key).map(String::as_str).unwrap_or_default();
            let mut list: Vec<String> = Vec::new();
            for word in words.split(',').map(str::trim) {
                if !word.is_empty() && !list.iter().any(|known| known == word) {
                    list.push(word.to_owned());
                }
            }
            list
        };
        self.labels = list("labels");
        self.reviewers = list("reviewers");
        let is = |key: &str| {
            let word = options.get(key);
            word.is_some_and(|word| word.trim().eq_ignore_ascii_case("true"))
        };
        self.draft = is("draft");
        self.auto_merge = is("auto_merge");
        self
    }
}

/// The state of a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    Open,
    Closed,
    Merged,
}

/// A pull request on the forge. Texts are untrusted: sanitise before display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    pub number: i64,
    /// URL of its web page.
    pub url: String,
    pub title: String,
    pub state: PullState,
    pub draft: bool,
    pub base: String,
    pub head: String,
    /// The head commit.
    pub head_commit: String,
    /// Whether auto-merge is enabled.
    pub auto_merge: bool,
    /// GraphQL node ID.
    #[serde(skip)]
    pub node_id: String,
    /// Sentences about requested options (labels, reviewers, auto-merge ...) that could not be set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
