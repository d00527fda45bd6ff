//! The launch to check, and where the facts about it come from.

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClusterFacts,
    cluster::ClusterQuery,
    facts::{ActiveRun, DocsLocation},
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::{
    repository::{RemoteAnswer, RemoteError},
    settings::Settings,
};

/// The launch to check, as far as it is chosen. Front ends differ only in how they fill it in.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreflightRequest {
    /// Kind of run: docs or code.
    #[arg(long, default_value = "docs", value_parser = kind)]
    #[serde(default = "docs")]
    pub kind: RunKind,
    /// ID of a task of the run; repeat for several.
    #[arg(long = "task", value_name = "ID")]
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Tag of the plan. Default: the current tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Agent, by its name in the settings. Default: `defaults.agent`.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// GitHub account whose credentials the pods use (real cluster only).
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
    /// Code: service the task belongs to. Default: the repository's name.
    #[arg(long)]
    pub service: Option<String>,
    /// Branch to push to. Default: `docs/<run>` or `feature/task-<id>-<run>`.
    #[arg(long, value_name = "BRANCH")]
    pub target_branch: Option<String>,
    /// Code: repository with the task's documents, if not this one.
    #[arg(long, value_name = "URL")]
    pub docs_repository: Option<String>,
    /// Code: branch of the documents repository. Default: its default branch.
    #[arg(long, value_name = "BRANCH", requires = "docs_repository")]
    pub docs_branch: Option<String>,
    /// Code: directory of the Task Master project in the documents repository. Default: its root.
    #[arg(long, value_name = "DIRECTORY", requires = "docs_repository")]
    pub docs_directory: Option<String>,
}

const fn docs() -> RunKind {
    RunKind::Docs
}

fn kind(word: &str) -> Result<RunKind, String> {
    serde_json::from_value(word.into()).map_err(|_| "expected docs or code".into())
}

impl PreflightRequest {
    /// A request for a run of `kind` with nothing else chosen.
    #[must_use]
    pub const fn new(kind: RunKind) -> Self {
        Self {
            kind,
            tasks: Vec::new(),
            tag: None,
            agent: None,
            github_user: None,
            service: None,
            target_branch: None,
            docs_repository: None,
            docs_branch: None,
            docs_directory: None,
        }
    }

    /// The documents repository; `None` if the documents are in the run's own repository.
    pub(crate) fn docs_location(&self) -> Option<DocsLocation> {
        Some(DocsLocation {
            repository: self.docs_repository.clone()?,
            branch: self.docs_branch.clone(),
            directory: self.docs_directory.clone(),
        })
    }
}

/// Where [`gather`](crate::gather) gets its facts.
pub struct Sources {
    /// Directory to search upwards from for the repository.
    pub start: PathBuf,
    /// Settings of this machine; `None` leaves the agent unchecked.
    pub settings: Option<Arc<Settings>>,
    pub remote: RemoteQuery,
    pub cluster: ClusterSource,
    /// Whether runs are processes of this machine.
    pub embedded: bool,
    /// Active runs, if the caller watches them; otherwise they are listed on a [`ClusterSource::Live`].
    pub active_runs: Option<Vec<ActiveRun>>,
}

impl Sources {
    /// The repository and its remote only: no agent and no cluster.
    #[must_use]
    pub const fn repository(start: PathBuf, remote: RemoteQuery) -> Self {
        Self {
            start,
            settings: None,
            remote,
            cluster: ClusterSource::None,
            embedded: true,
            active_runs: None,
        }
    }
}

/// Whether to contact the remote.
#[derive(Clone, Debug)]
pub enum RemoteQuery {
    /// Contact the remote; required before every launch.
    Fresh,
    /// Contact it without prompting; use the cached answer while the user's git holds a lock.
    Background(Option<Result<RemoteAnswer, RemoteError>>),
    /// Offline: use the cached answer and the last fetch.
    Cached(Option<Result<RemoteAnswer, RemoteError>>),
}

/// Where the facts about the cluster come from.
#[derive(Clone)]
pub enum ClusterSource {
    /// Nothing is known, so the checks of the cluster are skipped.
    None,
    /// Facts gathered earlier, or facts that need no query.
    Known(ClusterFacts),
    /// Query the cluster. The required Secrets are added from the request.
    Live(ClusterQuery),
}
