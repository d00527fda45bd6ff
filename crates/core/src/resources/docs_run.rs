//! `DocsRun`: an agent writes the four documents of each task.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RunSpec, RunStatus, format};

/// Spec of a documentation run: the agent writes `task.md`, `prompt.md`, `design-spec.md` and
/// `acceptance-criteria.md` for each task.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "orchestrator.io",
    version = "v1",
    kind = "DocsRun",
    namespaced,
    status = "RunStatus",
    shortname = "fdr",
    category = "flightdeck",
    derive = "Default",
    derive = "PartialEq",
    doc = "DocsRun is a run in which an agent writes the documents of tasks of a Task Master plan.",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Stage","type":"string","jsonPath":".status.stage"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"Written","type":"integer","jsonPath":".status.documents.written"}"#,
    printcolumn = r#"{"name":"PR","type":"integer","jsonPath":".status.pullRequestNumber"}"#,
    printcolumn = r#"{"name":"Tasks","type":"string","jsonPath":".spec.taskIds","priority":1}"#,
    printcolumn = r#"{"name":"Branch","type":"string","jsonPath":".status.branch","priority":1}"#,
    printcolumn = r#"{"name":"Model","type":"string","jsonPath":".spec.model","priority":1}"#,
    printcolumn = r#"{"name":"Pull Request","type":"string","jsonPath":".status.pullRequestUrl","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DocsRunSpec {
    /// Top-level task ids to document. Never empty.
    #[schemars(
        length(min = 1, max = 500),
        inner(
            length(min = 1, max = 63),
            regex(pattern = format::NAME)
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub task_ids: Vec<String>,
    /// Fields common to all runs.
    #[serde(flatten)]
    pub run: RunSpec,
}
