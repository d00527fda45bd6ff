//! `CodeRun`: an agent implements one task.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RunSpec, RunStatus, format};

/// Spec of an implementation run: the agent implements one task on its own branch.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "orchestrator.io",
    version = "v1",
    kind = "CodeRun",
    namespaced,
    status = "RunStatus",
    shortname = "fcr",
    category = "flightdeck",
    derive = "Default",
    derive = "PartialEq",
    doc = "CodeRun is a run in which an agent implements one task of a Task Master plan.",
    printcolumn = r#"{"name":"Task","type":"string","jsonPath":".spec.taskId"}"#,
    printcolumn = r#"{"name":"Service","type":"string","jsonPath":".spec.service"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Stage","type":"string","jsonPath":".status.stage"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"PR","type":"integer","jsonPath":".status.pullRequestNumber"}"#,
    printcolumn = r#"{"name":"Branch","type":"string","jsonPath":".status.branch","priority":1}"#,
    printcolumn = r#"{"name":"Model","type":"string","jsonPath":".spec.model","priority":1}"#,
    printcolumn = r#"{"name":"Pull Request","type":"string","jsonPath":".status.pullRequestUrl","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CodeRunSpec {
    /// The task to implement.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = format::NAME)
    )]
    pub task_id: String,
    /// Service that the task belongs to; names the workspace. A DNS label.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = format::LABEL)
    )]
    pub service: String,
    /// Repository with the documents of the task, if it is not the one being changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = format::REPOSITORY))]
    pub docs_repository_url: Option<String>,
    /// Directory of the Task Master project within the docs repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = format::DIRECTORY))]
    pub docs_project_directory: Option<String>,
    /// Branch of the docs repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = format::BRANCH))]
    pub docs_branch: Option<String>,
    /// Replace the agent's memory file of an earlier attempt.
    #[serde(default)]
    pub overwrite_memory: bool,
    /// Fields common to all runs.
    #[serde(flatten)]
    pub run: RunSpec,
}
