//! Status that the controller reports.
//!
//! Phases and reasons are strings, not enums: an older CRD must not reject a status from a newer controller.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::{Condition, UnknownFields};

/// Status of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
// The derived functions handle the known fields; the impls below add the unknown ones.
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct RunStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// `prep`, `agent` or `publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Reason for the phase, in CamelCase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Explanation of the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Jobs of this run, oldest first; the last 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The `contextVersion` that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_context_version: Option<i32>,
    /// Job of the current stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// ConfigMap with the files of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// PersistentVolumeClaim that the stages share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<String>,
    /// Branch that is pushed, resolved once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Pushed commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Cloned commit, the base of the diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_number: Option<i64>,
    /// Documents of a docs run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// Session id of the agent, to continue the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Token usage and cost, written once when the agent stage ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// True once the work was published, or there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_completed: Option<bool>,
    /// `TasksVerified`, `ConfigReady`, `WorkspaceReady`, `Prepared`, `AgentFinished`, `PullRequestReady`, `Finished`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Fields written by a newer version, preserved on write.
    #[serde(skip)]
    pub unknown_fields: UnknownFields,
}

impl<'de> Deserialize<'de> for RunStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        let unknown_fields = UnknownFields::of(&whole);
        let known = Self::deserialize(whole).map_err(D::Error::custom)?;
        Ok(Self {
            unknown_fields,
            ..known
        })
    }
}

impl Serialize for RunStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.unknown_fields.is_empty() {
            return Self::serialize(self, serializer);
        }
        let known = Self::serialize(self, serde_json::value::Serializer);
        let mut whole = known.map_err(serde::ser::Error::custom)?;
        self.unknown_fields.merge_into(&mut whole);
        whole.serialize(serializer)
    }
}

/// An attempt at a stage: one Job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    pub stage: String,
    pub context_version: i32,
    /// Counts from 1 within a stage and context version.
    pub attempt: i32,
    pub job_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
}

/// Documents of a docs run, counted in the validated commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Documents {
    /// Four per task.
    pub expected: i32,
    pub written: i32,
    /// Paths from the repository root; the first 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Token usage and cost of an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_read_tokens: i64,
    /// Millionths of a US dollar; a float would not survive a round trip.
    pub cost_micro_usd: i64,
    pub turns: i64,
}
