//! What both kinds of run ask for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// The part of a spec that both kinds share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// What is cloned: an HTTPS or SSH URL, or (embedded cluster only) a path.
    #[schemars(length(min = 1, max = 2048), regex(pattern = format::REPOSITORY))]
    pub repository_url: String,
    /// The branch that is cloned; also the base of the pull request.
    #[schemars(
        length(min = 1, max = 255),
        regex(pattern = format::BRANCH)
    )]
    pub source_branch: String,
    /// The branch the agent's work is pushed to. Default `docs/<run>` or `feature/task-<id>-<run>`.
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
    #[schemars(length(min = 1, max = 255), regex(pattern = format::PARTS))]
    pub tag: String,
    /// What pre-flight verified. Absent on a hand-made run: nothing is then claimed about its tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_revision: Option<TasksRevision>,
    /// The agent, by the name it has in the settings.
    #[serde(default = "claude")]
    #[schemars(length(min = 1, max = 63), regex(pattern = format::NAME))]
    pub agent: String,
    /// Model name, handed to the agent as it is. Empty for an agent without one.
    #[serde(default)]
    #[schemars(length(max = 128), regex(pattern = format::WORD))]
    pub model: String,
    /// Whose Git credentials prep and publish use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 39), regex(pattern = format::USER))]
    pub github_user: Option<String>,
    /// Which tools the agent gets.
    #[serde(default)]
    pub tool_config: ToolPreset,
    /// Tools served inside the pod, beyond the preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = format::LINE)))]
    pub local_tools: Vec<String>,
    /// Tools served outside the pod, beyond the preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128), regex(pattern = format::LINE)))]
    pub remote_tools: Vec<String>,
    /// Environment of the agent stage only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "additionalProperties" = { "type": "string", "maxLength": 4096 }
    ))]
    pub env: BTreeMap<String, String>,
    /// Environment of the agent stage, from Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env_from_secrets: Vec<SecretEnv>,
    /// Extra instructions for the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub prompt_modification: Option<String>,
    /// Whether the extra instructions follow the prompt or stand in its place.
    #[serde(default)]
    pub prompt_mode: PromptMode,
    /// Context added after the launch; entries are never removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["filename"]))]
    pub context: Vec<ContextFile>,
    /// Raised by a retry or by added context: a new attempt of a finished run. Only grows.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub context_version: i32,
    /// Stops every attempt up to this `contextVersion`; 0 stops none. Only grows.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub cancel_version: i32,
    /// Keep status but start nothing, as in a Job.
    #[serde(default)]
    pub suspend: bool,
    /// Docs runs: write documents that exist already once more.
    #[serde(default)]
    pub overwrite: bool,
    /// Most US dollars the agent may spend, as a decimal number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = format::DOLLARS))]
    pub budget_usd: Option<String>,
    /// Most turns the agent may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_turns: Option<i32>,
    /// Seconds a stage's pod may run, at most 30 days. Default 4 h for docs, 2 h for code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub deadline_seconds: Option<i64>,
    /// Times the agent stage is tried again by itself; it costs money, so the default is 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,
    /// Refused checks that a person chose to pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight_override: Option<PreflightOverride>,
    /// Seconds after its end at which the controller may delete the run. Absent: never.
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

/// The exact `tasks.json` that pre-flight compared with the remote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TasksRevision {
    /// Path of the file from the repository root.
    #[schemars(length(min = 1, max = 1024), regex(pattern = format::PARTS))]
    pub path: String,
    /// Git object id of the file's content: what prep compares.
    #[schemars(length(max = 64), regex(pattern = format::OBJECT_ID))]
    pub blob: String,
    /// The commit it was seen at; for information, later commits that leave the file alone are fine.
    #[schemars(length(max = 64), regex(pattern = format::OBJECT_ID))]
    pub commit: String,
}

/// How many tools an agent gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolPreset {
    /// The agent's own tools alone.
    Minimal,
    /// The usual set.
    #[default]
    Default,
    /// Everything that is configured.
    Advanced,
}

/// What extra instructions do to the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptMode {
    /// They follow it.
    #[default]
    Append,
    /// They stand in its place.
    Replace,
}

/// One environment variable of the agent, taken from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretEnv {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 128), regex(pattern = format::VARIABLE))]
    pub name: String,
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = format::OBJECT))]
    pub secret_name: String,
    /// Key within the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = format::KEY))]
    pub secret_key: String,
}

/// A file of context that a person added to a run.
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

/// Who passed which refused checks, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreflightOverride {
    /// Ids of the checks.
    #[schemars(length(min = 1, max = 32), inner(length(max = 63)))]
    pub checks: Vec<String>,
    /// The person's reason.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// The person.
    #[schemars(length(max = 256))]
    pub by: String,
}
