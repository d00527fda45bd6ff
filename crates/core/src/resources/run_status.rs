//! What the controller reports of a run.
//!
//! Strings are free of enums here: an older CRD must never refuse a status that a newer controller writes.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::{Condition, Newer};

/// Status of either kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
// The derived functions read and write the known fields; the traits below add what is unknown.
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct RunStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// `prep`, `agent` or `publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Why the run is in its phase, in CamelCase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Every Job made for this run, oldest first; the last 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The `contextVersion` this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_context_version: Option<i32>,
    /// Job of the current stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// ConfigMap with the run's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_name: Option<String>,
    /// PersistentVolumeClaim the stages share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_name: Option<String>,
    /// Branch the work is pushed to, resolved once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Commit that was pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Commit that was cloned: the base of the diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request_number: Option<i64>,
    /// Documents of a docs run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Documents>,
    /// The agent's session, for continuing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What the agent used; written once, when its stage ends.
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
    /// True once the work was published (or nothing was left to do).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_completed: Option<bool>,
    /// `TasksVerified`, `ConfigReady`, `WorkspaceReady`, `Prepared`, `AgentFinished`, `PullRequestReady`, `Finished`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What a newer version wrote, carried along.
    #[serde(skip)]
    pub newer: Newer,
}

impl<'de> Deserialize<'de> for RunStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(deserializer)?;
        let newer = Newer::of(&whole);
        let known = Self::deserialize(whole).map_err(D::Error::custom)?;
        Ok(Self { newer, ..known })
    }
}

impl Serialize for RunStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.newer.is_empty() {
            return Self::serialize(self, serializer);
        }
        let known = Self::serialize(self, serde_json::value::Serializer);
        let mut whole = known.map_err(serde::ser::Error::custom)?;
        self.newer.put_back(&mut whole);
        whole.serialize(serializer)
    }
}

/// One Job of one stage.
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

/// Documents of a docs run, counted in the commit that was judged.
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

/// What an agent used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cache_read_tokens: i64,
    /// Millionths of a US dollar: a float would not survive a round trip.
    pub cost_micro_usd: i64,
    pub turns: i64,
}
