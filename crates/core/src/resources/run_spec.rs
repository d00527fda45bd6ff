//! Spec fields common to all runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// Spec fields common to all runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// Repository to clone: an HTTPS or SSH URL, or (embedded cluster only) a path.
    #[schemars(length(min = 1, max = 2048), regex(pattern = format::REPOSITORY))]
    pub repository_url: String,
    /// Branch to clone; also the base of the pull request.
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = format::BRANCH)
    )]
    pub source_branch: String,
    /// Branch to push to. Defaults to `docs/<run>` or `feature/task-<id>-<run>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = format::BRANCH)
    )]
    pub target_branch: Option<String>,
    /// Directory of the Task Master project, relative to the repository root; `.` for the root.
    #[serde(default = "dot")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = format::DIRECTORY))]
    pub working_directory: String,
    /// Task Master tag that the task ids belong to.
    #[serde(default = "master")]
    #[schemars(length(min = 1, max = 255), regex(pattern = format::SAFE_PATH))]
    pub tag: String,
    /// Plan that pre-flight verified. If absent (a hand-made run), prep does not verify the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_revision: Option<TasksRevision>,
    /// Name of the agent in the settings.
    #[serde(default = "claude")]
    #[schemars(length(min = 1, max = 63), regex(pattern = format::NAME))]
    pub agent: String,
    /// Model name, passed to the agent unchanged. Empty for an agent without a model.
    #[serde(default)]
    #[schemars(length(max = 128), regex(pattern = format::WORD))]
    pub model: String,
    /// GitHub user whose credentials prep and publish use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 39), regex(pattern = format::USER))]
    pub github_user: Option<String>,
    /// Tools available to the agent.
    #[serde(default)]
    pub tool_config: ToolPreset,
    /// Additional tools served inside the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = format::LINE)))]
    pub local_tools: Vec<String>,
    /// Additional tools served outside the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = format::LINE)))]
    pub remote_tools: Vec<String>,
    /// Environment variables of the agent stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "additionalProperties" = { "type": "string", "maxLength": 4096 }
    ))]
    pub env: BTreeMap<String, String>,
    /// Environment variables of the agent stage, from Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env_from_secrets: Vec<SecretEnv>,
    /// Extra instructions for the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub prompt_modification: Option<String>,
    /// Whether the extra instructions are appended to the prompt or replace it.
    #[serde(default)]
    pub prompt_mode: PromptMode,
    /// Context added after launch. Entries cannot be removed or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["filename"]))]
    pub context: Vec<ContextFile>,
    /// Version of the context. A retry or added context increases it, which starts a new attempt. Cannot decrease.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub context_version: i32,
    /// Cancels all attempts up to this `contextVersion`; 0 cancels none. Cannot decrease.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cancel_version: i32,
    /// Attempts after the first continue the run's own branch and the agent's session. If false, an attempt starts over
    /// from the source branch and discards what was not pushed.
    #[serde(default = "yes")]
    pub continue_session: bool,
    /// The `contextVersion` whose attempt only publishes the work of the previous one, without the agent; 0 for none.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub publish_version: i32,
    /// Paths outside the task that publish may include, named by a person after a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 1024), regex(pattern = format::SAFE_PATH)), extend("x-kubernetes-list-type" = "set"))]
    pub accepted_paths: Vec<String>,
    /// Do not create Jobs, as in a Job.
    #[serde(default)]
    pub suspend: bool,
    /// Docs runs: rewrite existing documents.
    #[serde(default)]
    pub overwrite: bool,
    /// Maximum cost of the agent in US dollars, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = format::USD_AMOUNT))]
    pub budget_usd: Option<String>,
    /// Maximum number of agent turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_turns: Option<i32>,
    /// Maximum duration of a stage in seconds, up to 30 days. Defaults to 4 h for docs and 2 h for code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub deadline_seconds: Option<i64>,
    /// Number of automatic retries of the agent stage. Retries cost money, so the default is 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
    /// Failed pre-flight checks that a person overrode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight_override: Option<PreflightOverride>,
    /// Seconds after completion until the controller may delete the run. If absent, the run is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<i64>,
}

fn dot() -> String {
    ".".into()
}
fn master() -> String {
    "master".into()
}
fn claude() -> String {
    "claude".into()
}
fn one() -> i32 {
    1
}
fn yes() -> bool {
    true
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            repository_url: String::new(),
            source_branch: String::new(),
            target_branch: None,
            working_directory: dot(),
            tag: master(),
            tasks_revision: None,
            agent: claude(),
            model: String::new(),
            github_user: None,
            tool_config: ToolPreset::default(),
            local_tools: Vec::new(),
            remote_tools: Vec::new(),
            env: BTreeMap::new(),
            env_from_secrets: Vec::new(),
            prompt_modification: None,
            prompt_mode: PromptMode::default(),
            context: Vec::new(),
            context_version: one(),
            cancel_version: 0,
            continue_session: yes(),
            publish_version: 0,
            accepted_paths: Vec::new(),
            suspend: false,
            overwrite: false,
            budget_usd: None,
            max_turns: None,
            deadline_seconds: None,
            retries: 0,
            preflight_override: None,
            ttl_seconds_after_finished: None,
        }
    }
}

/// The `tasks.json` that pre-flight compared with the remote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TasksRevision {
    /// Path of the file from the repository root.
    #[schemars(length(min = 1, max = 1024), regex(pattern = format::SAFE_PATH))]
    pub path: String,
    /// Git blob id of the file, which prep verifies.
    #[schemars(length(max = 64), regex(pattern = format::OBJECT_ID))]
    pub blob: String,
    /// Commit at verification time. For information only: later commits may leave the file unchanged.
    #[schemars(length(max = 64), regex(pattern = format::OBJECT_ID))]
    pub commit: String,
}

/// Preset of tools for the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolPreset {
    /// Only the agent's built-in tools.
    Minimal,
    /// The default set.
    #[default]
    Default,
    /// All configured tools.
    Advanced,
}

/// How extra instructions are combined with the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptMode {
    /// Append to the prompt.
    #[default]
    Append,
    /// Replace the prompt.
    Replace,
}

/// An environment variable of the agent, from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretEnv {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 128), regex(pattern = format::VARIABLE))]
    pub name: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = format::OBJECT_NAME))]
    pub secret_name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = format::SECRET_KEY))]
    pub secret_key: String,
}

/// A context file added to a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContextFile {
    /// `context-v<n>.md`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = format::MARKDOWN)
    )]
    pub filename: String,
    /// Markdown.
    #[schemars(length(max = 16384))]
    pub content: String,
}

/// Override of failed pre-flight checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightOverride {
    /// Ids of the overridden checks.
    #[schemars(length(min = 1, max = 32), inner(length(max = 63)))]
    pub checks: Vec<String>,
    /// Reason for the override.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// User who overrode the checks.
    #[schemars(length(max = 256))]
    pub by: String,
}
