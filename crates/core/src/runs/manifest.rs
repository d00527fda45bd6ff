//! `run.json`: the input of the stages of a run, written by the controller into the run's ConfigMap.
//!
//! # Environment of the containers
//!
//! | variable | value | containers |
//! |---|---|---|
//! | [`env::RUN_FILES`] | directory with the run's ConfigMap, including `run.json` | all |
//! | [`env::WORKSPACE`] | workspace volume | prep `setup`, agent, publish `collect` (read-only) |
//! | [`env::HANDOVER`] | `emptyDir` shared by the containers of a pod | prep and publish |
//! | [`env::SSH_FILES`] | SSH key of the user (`key`), optionally `known_hosts` | prep `clone` and publish `push`, for repositories over SSH |
//! | [`env::AGENT_FAILURE`] | reason of the agent's failure, when publish saves unfinished work | publish |
//! | [`env::TERMINATION_MESSAGE`] | file for the final [`super::StageReport`] | all |
//!
//! # Containers of the Jobs
//!
//! Init containers run first, in order.
//!
//! | stage | init container | container |
//! |---|---|---|
//! | prep | `clone`: `flightdeck stage prep clone`, Git credential, no workspace | `setup`: `flightdeck stage prep setup`, workspace, no credential |
//! | agent | | `agent`: `flightdeck stage agent`, workspace, model credential |
//! | publish | `collect`: `flightdeck stage publish collect`, workspace read-only, no credential | `push`: `flightdeck stage publish push`, Git credential, no workspace |
//!
//! Each run has a directory on the workspace, [`RunManifest::run_directory`]. It contains `repo` (the checkout) and `home` (the
//! agent's `HOME`, outside the checkout, so that a session can be continued).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CodeDetails, Run, RunKind, documents, naming};
use crate::resources::TasksRevision;

/// File name of the manifest in the ConfigMap.
pub const MANIFEST_FILE: &str = "run.json";

/// Environment variables that stages read.
pub mod env {
    pub const RUN_FILES: &str = "RUN_FILES";
    pub const WORKSPACE: &str = "WORKSPACE";
    pub const HANDOVER: &str = "HANDOVER";
    pub const SSH_FILES: &str = "SSH_FILES";
    pub const TERMINATION_MESSAGE: &str = "TERMINATION_MESSAGE_PATH";
    pub const AGENT_FAILURE: &str = "AGENT_FAILURE";
}

/// Project on a Git host, for pull requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgeTarget {
    /// Kind of the Git host, as in the settings; `none` if it has no pull requests.
    pub kind: String,
    /// Base URL of the API, for example `https://api.github.com`.
    pub api_url: String,
    /// Path of the project, with all groups: `owner/name` or `group/sub/name`.
    pub project: String,
}

/// Repository of the plan and documents, if separate from the repository being changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocsSource {
    pub repository_url: String,
    /// `None` for the default branch.
    pub branch: Option<String>,
    /// Directory of the Task Master project; `.` for the root.
    pub directory: String,
    /// Whether the settings allow sending the token to its host.
    pub known_host: bool,
}

/// Workspace options of prep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// Depth of the clone; 0 for the full history.
    pub depth: u32,
    /// Number of earlier run directories to keep.
    pub keep_runs: u32,
}

impl Default for Layout {
    /// The defaults in the shipped settings.
    fn default() -> Self {
        Self {
            depth: 1,
            keep_runs: 5,
        }
    }
}

/// The part of a [`RunManifest`] that comes from the settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestSettings {
    pub forge: Option<ForgeTarget>,
    pub pull_request: BTreeMap<String, String>,
    pub publish_incomplete: bool,
    pub refuse_other_changes: bool,
    pub docs: Option<DocsSource>,
    pub layout: Layout,
    pub submodules: Vec<String>,
}

/// Input of the stages. Contains no secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunManifest {
    pub kind: RunKind,
    pub run: String,
    pub uid: String,
    pub namespace: String,
    pub context_version: i32,
    pub repository_url: String,
    pub source_branch: String,
    /// The branch the work is meant for; publish reports the one it pushed.
    pub target_branch: String,
    pub working_directory: String,
    pub tag: String,
    pub task_ids: Vec<String>,
    pub tasks_revision: Option<TasksRevision>,
    pub overwrite: bool,
    pub agent: String,
    pub model: String,
    pub max_turns: Option<i32>,
    pub budget_usd: Option<String>,
    pub prompt_modification: Option<String>,
    /// Code runs only.
    pub service: Option<String>,
    /// Whether an attempt after the first continues; see [`Self::continues`].
    #[serde(default)]
    pub continue_session: bool,
    /// The branch that earlier attempts pushed to.
    #[serde(default)]
    pub pushed_branch: Option<String>,
    /// Paths outside the task that publish may include.
    #[serde(default)]
    pub accepted_paths: Vec<String>,
    pub overwrite_memory: bool,
    /// `None` if the remote is not a known Git host: no token is sent to it, and no pull request is opened.
    pub forge: Option<ForgeTarget>,
    /// Pull request options `labels`, `reviewers`, `draft`, `auto_merge` as strings, as in `docs-pr-config`.
    pub pull_request: BTreeMap<String, String>,
    /// Whether to publish a docs run with missing documents.
    pub publish_incomplete: bool,
    /// Whether a docs run that changed other files is refused, instead of published without those changes.
    #[serde(default)]
    pub refuse_other_changes: bool,
    /// Code runs only.
    #[serde(default)]
    pub docs: Option<DocsSource>,
    #[serde(default)]
    pub layout: Layout,
    /// Repositories of the same host that the run's Git credential may be used for when they are submodules, besides its own:
    /// `owner/name`, or `owner/*`.
    #[serde(default)]
    pub submodules: Vec<String>,
}

impl RunManifest {
    /// Builds the manifest of `run`.
    #[must_use]
    pub fn new(run: &Run, settings: ManifestSettings) -> Self {
        let code = run.code.clone().unwrap_or_default();
        let CodeDetails {
            service,
            overwrite_memory,
            ..
        } = code;
        let ManifestSettings {
            forge,
            pull_request,
            publish_incomplete,
            refuse_other_changes,
            docs,
            layout,
            submodules,
        } = settings;
        let spec = &run.spec;
        Self {
            kind: run.kind,
            run: run.name().to_owned(),
            uid: run.uid().to_owned(),
            namespace: run.namespace().to_owned(),
            context_version: spec.context_version,
            repository_url: spec.repository_url.clone(),
            source_branch: spec.source_branch.clone(),
            target_branch: run.planned_branch(),
            working_directory: spec.working_directory.clone(),
            tag: spec.tag.clone(),
            task_ids: run.tasks.clone(),
            tasks_revision: spec.tasks_revision.clone(),
            overwrite: spec.overwrite,
            agent: spec.agent.clone(),
            model: spec.model.clone(),
            max_turns: spec.max_turns,
            budget_usd: spec.budget_usd.clone(),
            prompt_modification: spec.prompt_modification.clone(),
            service: run.kind.shares_workspace().then_some(service),
            continue_session: spec.continue_session,
            pushed_branch: (run.status.commit.is_some())
                .then(|| run.status.branch.clone())
                .flatten(),
            accepted_paths: spec.accepted_paths.clone(),
            overwrite_memory,
            forge,
            pull_request,
            publish_incomplete,
            refuse_other_changes,
            docs,
            layout,
            submodules,
        }
    }

    /// Returns whether this attempt continues the work and the session of the earlier ones.
    #[must_use]
    pub const fn continues(&self) -> bool {
        self.continue_session && self.context_version > 1
    }

    /// Returns the paths of the documents that the run must write, from the repository root; empty for runs that
    /// write none.
    #[must_use]
    pub fn expected_documents(&self) -> Vec<String> {
        if !self.kind.writes_documents() {
            return Vec::new();
        }
        documents(&self.working_directory, &self.tag, &self.task_ids)
    }

    /// Returns the directory of the Task Master project in the repository with the plan.
    #[must_use]
    pub fn plan_directory(&self) -> &str {
        let docs = self.docs.as_ref().map(|docs| docs.directory.as_str());
        docs.unwrap_or(&self.working_directory)
    }

    /// Returns the branch with the plan, for messages.
    #[must_use]
    pub fn plan_branch(&self) -> String {
        match &self.docs {
            None => self.source_branch.clone(),
            Some(docs) => format!(
                "{} of the docs repository",
                docs.branch.as_deref().unwrap_or("HEAD")
            ),
        }
    }

    /// Returns the directory of the run, relative to the workspace. Shared by all context versions of the run.
    #[must_use]
    pub fn run_directory(&self) -> String {
        naming::run_directory(&self.uid)
    }
}
