//! `run.json`: everything the stages of a run are told, written by the controller into the run's ConfigMap.
//!
//! # What a stage's container finds
//!
//! | variable | what it names | who has it |
//! |---|---|---|
//! | [`env::RUN_FILES`] | the run's ConfigMap as a directory, `run.json` among its files | every container |
//! | [`env::WORKSPACE`] | the workspace volume | prep `lay`, agent, publish `collect` (read-only) |
//! | [`env::HANDOVER`] | an empty volume that lives as long as the pod | both containers of prep and of publish |
//! | [`env::SSH_FILES`] | the SSH key of the run's user (`key`), and perhaps `known_hosts` | prep `clone` and publish `push`, where a repository is reached over SSH |
//! | [`env::TERMINATION_MESSAGE`] | the file a [`super::StageReport`] is written to, once, last | every container |
//!
//! Jobs and their containers (init containers run first, in order):
//!
//! | stage | init container | container |
//! |---|---|---|
//! | prep | `clone`: `flightdeck stage prep clone`, Git credential, no workspace | `lay`: `flightdeck stage prep lay`, workspace, no credential |
//! | agent | | `agent`: `flightdeck stage agent`, workspace, model credential |
//! | publish | `collect`: `flightdeck stage publish collect`, workspace read-only, no credential | `push`: `flightdeck stage publish push`, Git credential, no workspace |
//!
//! On the workspace a run has a folder of its own, [`RunManifest::run_directory`], holding `repo` (the checkout) and
//! `home` (the agent's `HOME`, outside the checkout so that a session can be continued).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CodeDetails, Run, RunKind, documents, naming};
use crate::resources::TasksRevision;

/// Name of the manifest among the run's files.
pub const MANIFEST_FILE: &str = "run.json";

/// Names of the environment variables that stages read.
pub mod env {
    pub const RUN_FILES: &str = "RUN_FILES";
    pub const WORKSPACE: &str = "WORKSPACE";
    pub const HANDOVER: &str = "HANDOVER";
    pub const SSH_FILES: &str = "SSH_FILES";
    pub const TERMINATION_MESSAGE: &str = "TERMINATION_MESSAGE_PATH";
}

/// Where pull requests of the repository are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForgeTarget {
    /// Base of the REST API, for example `https://api.github.com`.
    pub api_url: String,
    pub owner: String,
    pub repository: String,
}

/// Where the plan and the task's documents are kept, when that is not the repository being changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocsSource {
    pub repository_url: String,
    /// Absent: what the remote's `HEAD` names.
    pub branch: Option<String>,
    /// Directory of the Task Master project there; `.` for the root.
    pub directory: String,
    /// Whether the settings name its host as one that the token may be sent to.
    pub known_host: bool,
}

/// How prep lays out the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// Commits of history that are cloned; 0 is all.
    pub depth: u32,
    /// Folders of earlier runs that stay on the workspace.
    pub keep_runs: u32,
}

impl Default for Layout {
    /// What the settings say unless somebody changed them.
    fn default() -> Self {
        Self {
            depth: 1,
            keep_runs: 5,
        }
    }
}

/// What the settings say of a run: the part of its [`RunManifest`] that its own spec does not hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arranged {
    pub forge: Option<ForgeTarget>,
    pub pull_request: BTreeMap<String, String>,
    pub publish_incomplete: bool,
    pub docs: Option<DocsSource>,
    pub layout: Layout,
    pub submodules: Vec<String>,
}

/// What the stages of a run are told. Holds no secret.
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
    pub continue_session: bool,
    pub overwrite_memory: bool,
    /// Absent when the remote is no known forge: the branch is then pushed without a pull request.
    pub forge: Option<ForgeTarget>,
    /// Options of the pull request: `labels`, `reviewers`, `draft`, `auto_merge`, as strings (the form of `docs-pr-config`).
    pub pull_request: BTreeMap<String, String>,
    /// Publish a docs run although documents are missing.
    pub publish_incomplete: bool,
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
    /// The manifest of `run`, with what the settings say of it.
    #[must_use]
    pub fn new(run: &Run, arranged: Arranged) -> Self {
        let code = run.code.clone().unwrap_or_default();
        let CodeDetails {
            service,
            continue_session,
            overwrite_memory,
            ..
        } = code;
        let Arranged {
            forge,
            pull_request,
            publish_incomplete,
            docs,
            layout,
            submodules,
        } = arranged;
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
            continue_session,
            overwrite_memory,
            forge,
            pull_request,
            publish_incomplete,
            docs,
            layout,
            submodules,
        }
    }

    /// Paths of the documents a docs run must write, from the repository root; none for a code run.
    #[must_use]
    pub fn expected_documents(&self) -> Vec<String> {
        if !self.kind.writes_documents() {
            return Vec::new();
        }
        documents(&self.working_directory, &self.tag, &self.task_ids)
    }

    /// Directory of the Task Master project in the repository that holds the plan.
    #[must_use]
    pub fn plan_directory(&self) -> &str {
        let docs = self.docs.as_ref().map(|docs| docs.directory.as_str());
        docs.unwrap_or(&self.working_directory)
    }

    /// The branch that the plan is read from, for sentences.
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

    /// The run's folder on the workspace, relative to it: kept for every context version, apart from other runs'.
    #[must_use]
    pub fn run_directory(&self) -> String {
        naming::run_directory(&self.uid)
    }
}
