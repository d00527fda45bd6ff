//! Report of a stage in its termination message: one JSON object of at most [`REPORT_LIMIT`] bytes.

use serde::{Deserialize, Serialize};

use crate::resources::{Documents, Usage};

/// Kubernetes keeps the *last* 4096 bytes of a termination message, which would cut off the start of the JSON.
pub const REPORT_LIMIT: usize = 3500;

/// Values of `status.reason` and of condition reasons.
pub mod reason {
    pub const TASKS_MISMATCH: &str = "TasksMismatch";
    pub const CLONE_FAILED: &str = "CloneFailed";
    pub const AGENT_FAILED: &str = "AgentFailed";
    /// The agent exited with success but did nothing: it is not logged in, or over a usage limit.
    pub const AGENT_NOT_STARTED: &str = "AgentNotStarted";
    pub const BUDGET_EXCEEDED: &str = "BudgetExceeded";
    /// Stopped by a person.
    pub const CANCELLED: &str = "Cancelled";
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    pub const OUTSIDE_TASK: &str = "OutsideTask";
    /// The work tree contains a nested repository. A push would include only a link to it.
    pub const NESTED_REPOSITORY: &str = "NestedRepository";
    pub const INCOMPLETE: &str = "Incomplete";
    pub const NO_CHANGES: &str = "NoChanges";
    /// The source branch no longer contains the base commit. Only a new attempt from the start helps.
    pub const BASE_MOVED: &str = "BaseMoved";
    pub const PUSH_FAILED: &str = "PushFailed";
    pub const PULL_REQUEST_FAILED: &str = "PullRequestFailed";
    /// The agent failed, and what it had finished was pushed.
    pub const PARTIAL: &str = "Partial";
    pub const NO_FORGE: &str = "NoForge";
    pub const NOT_CLAIMED: &str = "NotClaimed";
    pub const VERIFIED: &str = "Verified";
}

/// Outcome of one stage. All fields are optional and untrusted: an agent can write its own report.
///
/// `commit`, `branch` and `pull_request_*` are trusted only from prep and publish.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StageReport {
    /// One of [`reason`]; `None` on success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Explanation for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// prep: cloned commit. publish: pushed commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// prep: blob id of the cloned `tasks.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_blob: Option<String>,
    /// prep: number of tasks in the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<usize>,
    /// prep: [`reason::VERIFIED`] or [`reason::NOT_CLAIMED`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_verified: Option<String>,
    /// publish: pushed branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// publish: documents in the validated commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// publish: why there is no pull request ([`reason::NO_FORGE`], `Unauthorized`, `ProtectedBranch`, `RateLimited`,
    /// ...). Becomes the reason of the condition `PullRequestReady`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_number: Option<i64>,
    /// agent: session id, to continue the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// agent: token usage and cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl StageReport {
    /// Returns the report as one line within [`REPORT_LIMIT`]. Drops missing documents first, then shortens the
    /// message, then drops the session id. The usage is always kept.
    #[must_use]
    pub fn to_message(&self) -> String {
        let mut report = self.clone();
        let line = |report: &Self| serde_json::to_string(report).unwrap_or_default();
        let mut text = line(&report);
        while text.len() > REPORT_LIMIT {
            if let Some(documents) = report
                .documents
                .as_mut()
                .filter(|documents| !documents.missing.is_empty())
            {
                documents.missing.pop();
            } else if let Some(message) = report
                .message
                .as_mut()
                .filter(|message| !message.is_empty())
            {
                let keep = message.chars().count() / 2;
                *message = message.chars().take(keep).collect();
            } else if report.session_id.take().is_none() {
                // The remaining fields are short unless they were forged.
                return String::new();
            }
            text = line(&report);
        }
        text
    }

    /// Parses a termination message; returns an empty report for anything else.
    #[must_use]
    pub fn parse(message: &str) -> Self {
        serde_json::from_str(message.trim()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_fits_and_round_trips() {
        let report = StageReport {
            reason: Some(reason::OUTSIDE_TASK.into()),
            message: Some("päth ".repeat(5000)),
            documents: Some(Documents {
                expected: 48,
                written: 1,
                missing: vec!["x".repeat(500); 20],
            }),
            ..StageReport::default()
        };
        let message = report.to_message();
        assert!(message.len() <= REPORT_LIMIT && !message.is_empty());
        let read = StageReport::parse(&message);
        assert_eq!(read.reason, report.reason);
        assert_eq!(read.documents.map(|documents| documents.expected), Some(48));
    }

    #[test]
    fn keeps_usage_when_shortened() {
        let usage = Usage {
            cost_micro_usd: i64::MAX,
            ..Usage::default()
        };
        let report = StageReport {
            message: Some("\u{1}".repeat(5000)),
            session_id: Some("\"".repeat(9000)),
            usage: Some(usage),
            ..StageReport::default()
        };
        let message = report.to_message();
        assert!(message.len() <= REPORT_LIMIT);
        assert_eq!(StageReport::parse(&message).usage, Some(usage));
    }

    #[test]
    fn invalid_message_is_empty_report() {
        for text in ["", "null", "[1]", "{\"commit\":5}", "\u{0}"] {
            assert_eq!(StageReport::parse(text), StageReport::default(), "{text}");
        }
    }
}
