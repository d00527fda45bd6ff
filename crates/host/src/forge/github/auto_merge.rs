//! Enables auto-merge, which only GraphQL can do
//! (<https://docs.github.com/en/graphql/reference/mutations#enablepullrequestautomerge>).

use http::Method;
use serde_json::{Value, json};

use super::{GRAPHQL, GitHub};
use crate::forge::{ForgeError, PullRequest, client::clean_message};

const ENABLE: &str = "mutation($id: ID!, $method: PullRequestMergeMethod!) { \
    enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: $method}) { \
    pullRequest { autoMergeRequest { mergeMethod } } } }";
/// Merge methods in order of preference: the repository setting that allows each, and its GraphQL name.
const METHODS: [(&str, &str); 3] = [
    ("allow_merge_commit", "MERGE"),
    ("allow_squash_merge", "SQUASH"),
    ("allow_rebase_merge", "REBASE"),
];

impl GitHub {
    /// Enables auto-merge with the first merge method that the repository allows.
    pub(super) async fn enable_auto_merge(&self, pull: &PullRequest) -> Result<(), ForgeError> {
        let repository = self
            .plain_call(Method::GET, &self.path(""), None, "read the repository")
            .await?;
        // A missing setting counts as allowed: tokens without admin access do not see it.
        let allowed = |key: &str| repository.get(key).and_then(Value::as_bool) != Some(false);
        if !allowed("allow_auto_merge") {
            let repository = self.repository();
            return Err(ForgeError::AutoMergeOff { repository });
        }
        let method = METHODS.iter().find(|(key, _)| allowed(key));
        let method = method.map_or("MERGE", |(_, method)| method);
        let body = json!({"query": ENABLE, "variables": {"id": pull.node_id, "method": method}});
        let action = "enable auto-merge";
        let answer = self
            .plain_call(Method::POST, GRAPHQL, Some(&body), action)
            .await?;
        match answer.pointer("/errors/0") {
            None => Ok(()),
            Some(error) => Err(self.auto_merge_error(pull.number, action, error)),
        }
    }

    /// Converts a GraphQL error; GraphQL reports refusals with status 200.
    fn auto_merge_error(&self, number: i64, action: &str, error: &Value) -> ForgeError {
        let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = clean_message(text("message"));
        let words = message.to_lowercase();
        match text("type") {
            "RATE_LIMITED" => ForgeError::RateLimited {
                host: self.host(),
                retry_after_seconds: None,
            },
            "FORBIDDEN" | "INSUFFICIENT_SCOPES" => ForgeError::Forbidden {
                repository: self.repository(),
                action: action.to_owned(),
                message,
            },
            _ if words.contains("clean status") || words.contains("unstable status") => {
                ForgeError::AutoMergeIdle { number }
            }
            _ if words.contains("auto merge is not allowed") => ForgeError::AutoMergeOff {
                repository: self.repository(),
            },
            _ => ForgeError::AutoMerge { number, message },
        }
    }
}
