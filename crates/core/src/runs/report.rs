//! What a stage says of itself through its termination message: one JSON object of at most [`REPORT_LIMIT`] bytes.

use serde::{Deserialize, Serialize};

use crate::resources::{Documents, Usage};

/// Kubernetes keeps the *last* 4096 bytes of a termination message, so a longer report would lose its start.
pub const REPORT_LIMIT: usize = 3500;

/// Reasons that stages and the controller give, in `status.reason` and in conditions.
pub mod reason {
    pub const TASKS_MISMATCH: &str = "TasksMismatch";
    pub const CLONE_FAILED: &str = "CloneFailed";
    pub const AGENT_FAILED: &str = "AgentFailed";
    pub const BUDGET_EXCEEDED: &str = "BudgetExceeded";
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    pub const OUTSIDE_TASK: &str = "OutsideTask";
    /// The work has a repository within the repository: a push would take a link to it and leave its files.
    pub const NESTED_REPOSITORY: &str = "NestedRepository";
    pub const INCOMPLETE: &str = "Incomplete";
    pub const NO_CHANGES: &str = "NoChanges";
    /// The source branch no longer holds what the agent started from: only a new attempt from the start helps.
    pub const BASE_MOVED: &str = "BaseMoved";
    pub const PUSH_FAILED: &str = "PushFailed";
    pub const PULL_REQUEST_FAILED: &str = "PullRequestFailed";
    pub const NO_FORGE: &str = "NoForge";
    pub const NOT_CLAIMED: &str = "NotClaimed";
    pub const VERIFIED: &str = "Verified";
}

/// The outcome of one stage. Every field is optional: an agent can write nonsense here, and nothing may break.
///
/// `commit`, `branch` and `pull_request_*` are believed only from prep and publish.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StageReport {
    /// One of [`reason`]; absent when all went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// prep: the commit that was cloned. publish: the commit that was pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// prep: the blob of the `tasks.json` that was cloned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_blob: Option<String>,
    /// prep: tasks in the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<usize>,
    /// prep: [`reason::VERIFIED`] or [`reason::NOT_CLAIMED`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_verified: Option<String>,
    /// publish: the branch that was pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// publish: documents found in the judged commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// publish: why there is no pull request, by the name of the failure ([`reason::NO_FORGE`], `Unauthorized`,
    /// `ProtectedBranch`, `RateLimited` ...): the reason of the condition `PullRequestReady`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_number: Option<i64>,
    /// agent: its session, for continuing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// agent: what it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl StageReport {
    /// The report as one line that fits: the list of missing documents goes first, then the message is cut, then a session's
    /// id that is none. What the agent used stays.
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
                // What is left is short, unless somebody wrote nonsense into it.
                return String::new();
            }
            text = line(&report);
        }
        text
    }

    /// Reads a termination message; anything that is not a report is an empty one.
    #[must_use]
    pub fn parse(message: &str) -> Self {
        serde_json::from_str(message.trim()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_always_fits_and_reads_back() {
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
    fn what_an_agent_used_is_reported_whatever_else_it_said() {
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
    fn nonsense_is_an_empty_report() {
        for text in ["", "null", "[1]", "{\"commit\":5}", "\u{0}"] {
            assert_eq!(StageReport::parse(text), StageReport::default(), "{text}");
        }
    }
}
