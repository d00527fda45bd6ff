//! `run docs` and `run code`: composes a run from the arguments, the settings and the pre-flight facts, and creates it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterContext, Context, LaunchSource, Verb, VerbError, runs::LaunchedRun};
use flightdeck_core::{
    remote_url,
    resources::{PreflightOverride, PromptMode, RunSpec, RunStatus, ToolPreset},
    runs::{CodeDetails, Run, RunKind, can_have_documents, naming},
};
use flightdeck_host::settings::Settings;
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
    /// Spending limit of the agent, in USD.
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
            docs_repository: launch.docs_repository.clone(),
            docs_branch: launch.docs_branch.clone(),
            docs_directory: launch.docs_directory.clone(),
            ..Self::new(launch.kind)
        }
    }
}

impl Launch {
    /// Returns the run to create. Pure; `salt` makes its name unique.
    pub fn compose(
        &self,
        source: &LaunchSource,
        settings: &Settings,
        salt: &str,
    ) -> Result<Run, VerbError> {
        if !self.kind.needs_documents() && self.docs_repository.is_some() {
            return Err(VerbError::Usage(
                "--docs-repository is for code runs; docs runs write to this repository".into(),
            ));
        }
        let preflight_override = self.preflight_override(source)?;
        let tasks = self.chosen_tasks(source)?;
        let agent = self
            .agent
            .clone()
            .unwrap_or_else(|| settings.defaults.agent.clone());
        if !settings.agents.contains_key(&agent) {
            let known = settings
                .agents
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(VerbError::Usage(format!(
                "no agent {agent} in the settings, which have {known}"
            )));
        }
        let topic = match self.kind {
            RunKind::Docs => source
                .branch
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            RunKind::Code => tasks[0].clone(),
        };
        let name = naming::run_name(self.kind, &topic, salt);
        let labels = BTreeMap::from([
            (
                naming::LABEL_MANAGED_BY.to_owned(),
                naming::MANAGER.to_owned(),
            ),
            (naming::LABEL_KIND.to_owned(), self.kind.to_string()),
            (
                naming::LABEL_REPOSITORY.to_owned(),
                naming::repository_label(&source.repository_url),
            ),
        ]);
        let annotations = BTreeMap::from([
            (
                naming::ANNOTATION_LAUNCHED_BY.to_owned(),
                source.user.clone(),
            ),
            (
                naming::ANNOTATION_LAUNCHED_FROM.to_owned(),
                format!("flightdeck {}", env!("CARGO_PKG_VERSION")),
            ),
        ]);
        let run = Run {
            kind: self.kind,
            metadata: ObjectMeta {
                name: Some(name),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            code: (self.kind.changes_code()).then(|| self.code_details(source)),
            spec: RunSpec {
                repository_url: source.repository_url.clone(),
                source_branch: source.branch.clone(),
                working_directory: source.working_directory.clone(),
                tag: source.tag.clone(),
                tasks_revision: source.revision.clone(),
                model: self
                    .model
                    .clone()
                    .unwrap_or_else(|| settings.model(self.kind).to_owned()),
                agent,
                github_user: self.github_user.clone(),
                tool_config: self.tools.unwrap_or_default(),
                env: self.env.iter().cloned().collect(),
                prompt_modification: self.prompt.clone(),
                prompt_mode: self.prompt_mode.unwrap_or_default(),
                overwrite: self.overwrite,
                budget_usd: self.budget.as_deref().map(budget).transpose()?,
                preflight_override,
                ..RunSpec::default()
            },
            tasks,
            status: RunStatus::default(),
        };
        run.validate()
            .map_err(|invalid| VerbError::Usage(invalid.to_string()))?;
        Ok(run)
    }

    /// Creates the run, unless an active run has one of its tasks.
    pub async fn run(
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

    fn chosen_tasks(&self, source: &LaunchSource) -> Result<Vec<String>, VerbError> {
        let usage = |sentence: String| Err(VerbError::Usage(sentence));
        let tasks: Vec<String> = if self.all {
            let wanted = source
                .tasks
                .iter()
                .filter(|(_, documented)| self.overwrite || !documented)
                // These are reported as findings of the plan.
                .filter(|(id, _)| can_have_documents(&source.tag, id));
            wanted.map(|(id, _)| id.clone()).collect()
        } else {
            self.tasks.clone()
        };
        if let Some(unknown) = tasks
            .iter()
            .find(|id| !source.tasks.iter().any(|(known, _)| known == *id))
        {
            return Err(VerbError::NotFound(format!(
                "no task {unknown} in tag {} of tasks.json",
                source.tag
            )));
        }
        if let Some(path) = tasks.iter().find(|id| !can_have_documents(&source.tag, id)) {
            return usage(format!(
                "task {path} of tag {} cannot have documents: its ID is not usable as a directory name",
                source.tag
            ));
        }
        match (self.kind, tasks.len()) {
            (_, 0) if self.all && source.tasks.is_empty() => {
                usage(format!("tag {} of tasks.json has no tasks", source.tag))
            }
            (_, 0) if self.all => {
                usage("all tasks have their documents; use --overwrite to replace them".into())
            }
            (_, 0) => usage("no task given; use --task ID, or --all for docs".into()),
            (kind, n) if n > 1 && !kind.takes_many_tasks() => {
                usage(format!("a {kind} run implements one task, not {n}"))
            }
            (kind, n) if n > kind.tasks_limit() => usage(format!(
                "a {kind} run takes at most {} tasks, not {n}",
                kind.tasks_limit()
            )),
            _ => Ok(tasks),
        }
    }

    /// Fails unless all failed checks are overridden with a reason.
    fn preflight_override(
        &self,
        source: &LaunchSource,
    ) -> Result<Option<PreflightOverride>, VerbError> {
        let (passed, refused): (Vec<_>, Vec<_>) = source
            .blocking
            .iter()
            .cloned()
            .partition(|(id, _)| self.overrides.contains(id));
        if !refused.is_empty() {
            return Err(VerbError::Blocked(refused));
        }
        if passed.is_empty() {
            return Ok(None);
        }
        let reason = self
            .reason
            .clone()
            .filter(|reason| !reason.trim().is_empty());
        let reason =
            reason.ok_or_else(|| VerbError::Usage("--override requires --reason".into()))?;
        let checks = passed.into_iter().map(|(id, _)| id).collect();
        Ok(Some(PreflightOverride {
            checks,
            reason,
            by: source.user.clone(),
        }))
    }

    fn code_details(&self, source: &LaunchSource) -> CodeDetails {
        let address = remote_url::identity(&source.repository_url);
        let repository = address.rsplit('/').next().unwrap_or_default();
        let service = self
            .service
            .clone()
            .unwrap_or_else(|| naming::slug(repository, 63));
        CodeDetails {
            service: if service.is_empty() {
                "service".into()
            } else {
                service
            },
            docs_repository_url: self.docs_repository.clone(),
            docs_branch: self.docs_branch.clone(),
            docs_project_directory: self.docs_directory.clone(),
            ..CodeDetails::default()
        }
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

impl Launch {
    /// Runs pre-flight, then launches.
    async fn checked(self, context: &Context) -> Result<LaunchedRun, VerbError> {
        let facts = context
            .preflight_facts(&PreflightRequest::from(&self))
            .await;
        let source = LaunchSource::new(&facts, &Report::of(&facts))?;
        // Validate before connecting: that may start the embedded cluster.
        self.compose(&source, &context.settings, "0000")?;
        let run = Self::run(&self, context.cluster().await?, &source).await?;
        Ok(LaunchedRun(run))
    }
}

/// Launches a docs run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct LaunchDocs {
    #[command(flatten)]
    #[serde(flatten)]
    pub launch: Launch,
}

impl Verb for LaunchDocs {
    const NAME: &'static str = "run docs";
    const ABOUT: &'static str = "Launch an agent that writes the documents of tasks";
    type Output = LaunchedRun;

    async fn run(self, context: &Context) -> Result<LaunchedRun, VerbError> {
        let kind = RunKind::Docs;
        Launch {
            kind,
            ..self.launch
        }
        .checked(context)
        .await
    }
}

/// Launches a code run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct LaunchCode {
    #[command(flatten)]
    #[serde(flatten)]
    pub launch: Launch,
}

impl Verb for LaunchCode {
    const NAME: &'static str = "run code";
    const ABOUT: &'static str = "Launch an agent that implements a task";
    type Output = LaunchedRun;

    async fn run(self, context: &Context) -> Result<LaunchedRun, VerbError> {
        let kind = RunKind::Code;
        Launch {
            kind,
            ..self.launch
        }
        .checked(context)
        .await
    }
}

fn budget(text: &str) -> Result<String, VerbError> {
    let number = text.trim().trim_start_matches('$');
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(rest) && rest.len() <= 6 && number.len() <= 16 {
        Ok(number.to_owned())
    } else {
        Err(VerbError::Usage(format!(
            "invalid budget {text}; expected USD, like 2.50"
        )))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> LaunchSource {
        LaunchSource {
            repository_url: "https://github.com/acme/shop.git".into(),
            branch: "feature/checkout".into(),
            working_directory: ".".into(),
            tag: "master".into(),
            tasks: vec![("1".into(), true), ("2".into(), false), ("3".into(), false)],
            revision: None,
            blocking: Vec::new(),
            user: "Ada".into(),
        }
    }

    fn compose(launch: &Launch, source: &LaunchSource) -> Result<Run, VerbError> {
        launch.compose(source, &Settings::shipped(), "7f3a")
    }

    #[test]
    fn all_selects_undocumented_tasks() {
        let launch = Launch {
            all: true,
            ..Launch::new(RunKind::Docs)
        };
        let run = compose(&launch, &source()).unwrap();
        assert_eq!(
            (run.name(), run.tasks.as_slice()),
            (
                "docs-checkout-7f3a",
                ["2".to_owned(), "3".to_owned()].as_slice()
            )
        );
        let again = compose(
            &Launch {
                overwrite: true,
                ..launch
            },
            &source(),
        )
        .unwrap();
        assert_eq!(again.tasks.len(), 3);
    }

    #[test]
    fn code_run_gets_defaults() {
        let run = compose(
            &Launch {
                tasks: vec!["2".into()],
                ..Launch::new(RunKind::Code)
            },
            &source(),
        )
        .unwrap();
        assert_eq!(
            (run.name(), run.spec.model.as_str(), run.spec.agent.as_str()),
            ("code-2-7f3a", "sonnet", "claude")
        );
        assert_eq!(run.code.unwrap().service, "shop");
    }

    #[test]
    fn code_run_accepts_docs_repository() {
        let launch = Launch {
            tasks: vec!["2".into()],
            docs_repository: Some("https://github.com/acme/docs.git".into()),
            docs_branch: Some("main".into()),
            docs_directory: Some("plans/shop".into()),
            ..Launch::new(RunKind::Code)
        };
        let code = compose(&launch, &source()).unwrap().code.unwrap();
        let docs = [
            code.docs_repository_url,
            code.docs_branch,
            code.docs_project_directory,
        ];
        let docs = docs.map(Option::unwrap_or_default);
        assert_eq!(
            docs,
            ["https://github.com/acme/docs.git", "main", "plans/shop"]
        );
        let branch_alone = Launch {
            docs_repository: None,
            ..launch.clone()
        };
        let refused = compose(&branch_alone, &source()).unwrap_err();
        assert!(
            refused.to_string().contains("docsRepositoryUrl"),
            "{refused}"
        );
        let docs = Launch {
            kind: RunKind::Docs,
            ..launch
        };
        let refused = compose(&docs, &source()).unwrap_err();
        assert!(
            refused.to_string().contains("--docs-repository"),
            "{refused}"
        );
    }

    #[test]
    fn rejects_invalid_arguments() {
        let docs = Launch::new(RunKind::Docs);
        let task = |id: &str| vec![id.to_owned()];
        let documented = LaunchSource {
            tasks: vec![("1".into(), true)],
            ..source()
        };
        let refused = LaunchSource {
            blocking: vec![("tasks-pushed".into(), "origin has another file".into())],
            ..source()
        };
        let path = LaunchSource {
            tasks: vec![("../x".into(), false)],
            ..source()
        };
        for (launch, source, code) in [
            (docs.clone(), source(), 2),
            (
                Launch {
                    tasks: task("../x"),
                    ..docs.clone()
                },
                path,
                2,
            ),
            (
                Launch {
                    tasks: task("9"),
                    ..docs.clone()
                },
                source(),
                3,
            ),
            (
                Launch {
                    all: true,
                    ..docs.clone()
                },
                documented,
                2,
            ),
            (
                Launch {
                    tasks: vec!["1".into(), "2".into()],
                    ..Launch::new(RunKind::Code)
                },
                source(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    agent: Some("nobody".into()),
                    ..docs.clone()
                },
                source(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    budget: Some("lots".into()),
                    ..docs.clone()
                },
                source(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    env: vec![("LD_PRELOAD".into(), "x".into())],
                    ..docs.clone()
                },
                source(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    ..docs.clone()
                },
                refused.clone(),
                5,
            ),
            (
                Launch {
                    tasks: task("2"),
                    overrides: task("tasks-pushed"),
                    ..docs.clone()
                },
                refused,
                2,
            ),
        ] {
            let error = compose(&launch, &source).expect_err(&format!("{launch:?}"));
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }

    #[tokio::test]
    async fn rejects_files_too_large_for_config_map() {
        let unreachable = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other(
                "unexpected request",
            ))
        });
        let context = ClusterContext {
            client: kube::Client::new(unreachable, "default"),
            namespace: "default".into(),
            settings: std::sync::Arc::new(Settings::shipped()),
            ledger: None,
        };
        let launch = Launch {
            tasks: vec!["2".into()],
            prompt: Some("x".repeat(flightdeck_host::templates::SIZE_LIMIT)),
            ..Launch::new(RunKind::Docs)
        };
        let refused = launch.run(&context, &source()).await.unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        let message = refused.to_string();
        assert!(message.contains("spec.promptModification has"), "{message}");

        // A small prompt fits, but the user's templates may expand it.
        let small = Launch {
            prompt: None,
            ..launch.clone()
        };
        let mut run = compose(&small, &source()).unwrap();
        run.spec.prompt_modification = launch.prompt;
        let message = context.check_files(&run).unwrap_err().to_string();
        assert!(message.contains("the largest is prompt.md"), "{message}");
    }

    #[test]
    fn records_override_with_reason() {
        let source = LaunchSource {
            blocking: vec![("sync".into(), "behind".into())],
            ..source()
        };
        let launch = Launch {
            tasks: vec!["2".into()],
            overrides: vec!["sync".into()],
            reason: Some("rehearsal".into()),
            ..Launch::new(RunKind::Docs)
        };
        let passed = compose(&launch, &source)
            .unwrap()
            .spec
            .preflight_override
            .unwrap();
        assert_eq!(
            (passed.checks, passed.reason.as_str(), passed.by.as_str()),
            (vec!["sync".to_owned()], "rehearsal", "Ada")
        );
    }

    #[test]
    fn finds_active_run_with_same_task() {
        let run = |tasks: &[&str], phase: &str| {
            let launch = Launch {
                tasks: tasks.iter().map(|&id| id.to_owned()).collect(),
                ..Launch::new(RunKind::Docs)
            };
            let mut run = compose(&launch, &source()).unwrap();
            run.status.phase = Some(phase.into());
            run
        };
        let new = run(&["2", "3"], "Pending");
        assert_eq!(
            duplicate(&new, &[run(&["1"], "Running"), run(&["2"], "Failed")]),
            None
        );
        assert_eq!(
            duplicate(&new, &[run(&["1", "3"], "Running")]),
            Some(("docs-checkout-7f3a", "3".to_owned()))
        );
    }
}
