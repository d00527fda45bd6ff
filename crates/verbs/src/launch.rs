//! `run docs` and `run code`: launch a run.

mod compose;
#[cfg(test)]
mod tests;

pub use self::compose::NO_LIMIT;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::compose::labels;
use super::{ClusterContext, Context, LaunchSource, Verb, VerbError, runs::LaunchedRun};
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    runs::{Run, RunKind, naming},
};
use flightdeck_preflight::{PreflightRequest, Report};

/// Arguments of a launch. Defaults come from the settings and the repository.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// Kind of run.
    #[arg(skip = RunKind::Docs)]
    #[serde(default = "docs")]
    pub kind: RunKind,
    /// ID of a task; repeat for several (docs only).
    #[arg(long = "task", value_name = "ID")]
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Docs: all tasks without their four documents (with --overwrite: all tasks).
    #[arg(long, conflicts_with = "tasks")]
    #[serde(default)]
    pub all: bool,
    /// Model, passed to the agent.
    #[arg(long)]
    pub model: Option<String>,
    /// Branch to push to; it must not exist. Default: `docs/<run>` or `feature/task-<id>-<run>`.
    #[arg(long, value_name = "BRANCH")]
    pub target_branch: Option<String>,
    /// Code: service the task belongs to. Default: the repository's name.
    #[arg(long)]
    pub service: Option<String>,
    /// Code: repository with the task's documents, if not this one.
    #[arg(long, value_name = "URL")]
    pub docs_repository: Option<String>,
    /// Code: branch of the documents repository. Default: its default branch.
    #[arg(long, value_name = "BRANCH", requires = "docs_repository")]
    pub docs_branch: Option<String>,
    /// Code: directory of the Task Master project in the documents repository. Default: its root.
    #[arg(long, value_name = "DIRECTORY", requires = "docs_repository")]
    pub docs_directory: Option<String>,
    /// GitHub account whose credentials the pods use (real cluster only).
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
    /// Docs: replace existing documents.
    #[arg(long)]
    #[serde(default)]
    pub overwrite: bool,
    /// Tools of the agent: minimal, default or advanced.
    #[arg(long, value_name = "PRESET", value_parser = preset)]
    pub tools: Option<ToolPreset>,
    /// Additional prompt for the agent.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Append the prompt to the default one, or replace it.
    #[arg(long, value_name = "MODE", value_parser = prompt_mode, requires = "prompt")]
    pub prompt_mode: Option<PromptMode>,
    /// Environment variable of the agent; repeat for several.
    #[arg(long = "env", value_name = "K=V", value_parser = pair)]
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Agent, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Spending limit of the agent, in USD; `none` for no limit. Default: `defaults.budget_usd`.
    #[arg(long, value_name = "USD")]
    pub budget: Option<String>,
    /// Launch despite a failed check; requires --reason. Repeat for several.
    #[arg(long = "override", value_name = "CHECK", requires = "reason")]
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Why the checks are overridden; recorded on the run.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

impl Launch {
    /// A launch of `kind` with default arguments.
    #[must_use]
    pub const fn new(kind: RunKind) -> Self {
        Self {
            kind,
            tasks: Vec::new(),
            all: false,
            model: None,
            target_branch: None,
            service: None,
            docs_repository: None,
            docs_branch: None,
            docs_directory: None,
            github_user: None,
            overwrite: false,
            tools: None,
            prompt: None,
            prompt_mode: None,
            env: Vec::new(),
            agent: None,
            budget: None,
            overrides: Vec::new(),
            reason: None,
        }
    }
}

impl From<&Launch> for PreflightRequest {
    fn from(launch: &Launch) -> Self {
        Self {
            tasks: launch.tasks.clone(),
            agent: launch.agent.clone(),
            github_user: launch.github_user.clone(),
            service: launch.service.clone(),
            target_branch: launch.target_branch.clone(),
            docs_repository: launch.docs_repository.clone(),
            docs_branch: launch.docs_branch.clone(),
            docs_directory: launch.docs_directory.clone(),
            ..Self::new(launch.kind)
        }
    }
}

impl Launch {
    /// Creates the run, unless an active run has one of its tasks.
    pub async fn create(
        &self,
        context: &ClusterContext,
        source: &LaunchSource,
    ) -> Result<Run, VerbError> {
        let salt: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(4)
            .collect();
        let run = self.compose(source, &context.settings, &salt)?;
        context.check_files(&run)?;
        let others = context
            .runs(Some(&naming::repository_label(&source.repository_url)))
            .await?;
        if let Some((other, task)) = duplicate(&run, &others) {
            return Err(VerbError::Conflict(format!(
                "run {other} is already running on task {task}; stop it first"
            )));
        }
        context.create(run, false).await
    }

    /// Runs pre-flight, then creates the run; with `dry_run` only composes it.
    async fn check_and_create(
        self,
        context: &Context,
        dry_run: bool,
    ) -> Result<LaunchedRun, VerbError> {
        let request = PreflightRequest::from(&self);
        let facts = context.preflight_facts(&request).await;
        let source = LaunchSource::new(&facts, &Report::of(&facts))?;
        // Validate before connecting: that may start the embedded cluster.
        let run = self.compose(&source, &context.settings, "0000")?;
        if dry_run {
            return Ok(LaunchedRun::dry(run));
        }
        let run = self.create(context.cluster().await?, &source).await?;
        Ok(LaunchedRun::created(run))
    }
}

/// Returns an active run of the same kind that shares a task with `run`, and the task.
#[must_use]
pub fn duplicate<'a>(run: &Run, others: &'a [Run]) -> Option<(&'a str, String)> {
    let mut active = others
        .iter()
        .filter(|other| other.kind == run.kind && other.spec.tag == run.spec.tag && !other.ended());
    active.find_map(|other| {
        other
            .tasks
            .iter()
            .find(|task| run.tasks.contains(task))
            .map(|task| (other.name(), task.clone()))
    })
}

const fn docs() -> RunKind {
    RunKind::Docs
}

/// Launches a docs run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaunchDocs {
    #[command(flatten)]
    #[serde(flatten)]
    pub launch: Launch,
    /// Print the resource instead of creating it.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Verb for LaunchDocs {
    const NAME: &'static str = "run docs";
    const ABOUT: &'static str = "Launch an agent that writes the documents of tasks";
    type Output = LaunchedRun;

    async fn run(self, context: &Context) -> Result<LaunchedRun, VerbError> {
        let kind = RunKind::Docs;
        let launch = Launch {
            kind,
            ..self.launch
        };
        launch.check_and_create(context, self.dry_run).await
    }
}

/// Launches a code run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LaunchCode {
    #[command(flatten)]
    #[serde(flatten)]
    pub launch: Launch,
    /// Print the resource instead of creating it.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Verb for LaunchCode {
    const NAME: &'static str = "run code";
    const ABOUT: &'static str = "Launch an agent that implements a task";
    type Output = LaunchedRun;

    async fn run(self, context: &Context) -> Result<LaunchedRun, VerbError> {
        let kind = RunKind::Code;
        let launch = Launch {
            kind,
            ..self.launch
        };
        launch.check_and_create(context, self.dry_run).await
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

fn preset(word: &str) -> Result<ToolPreset, String> {
    serde_json::from_value(word.into()).map_err(|_| "expected minimal, default or advanced".into())
}

fn prompt_mode(word: &str) -> Result<PromptMode, String> {
    serde_json::from_value(word.into()).map_err(|_| "expected append or replace".into())
}
