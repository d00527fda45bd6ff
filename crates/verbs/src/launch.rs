//! `run docs|code`: a new run, composed from what a person chose and what pre-flight verified.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{Context, Subject, VerbError};
use flightdeck_core::{
    remote_url,
    resources::{PreflightOverride, PromptMode, RunSpec, RunStatus, ToolPreset},
    runs::{CodeDetails, Run, RunKind, can_have_documents, naming},
};
use flightdeck_host::settings::Settings;

/// Most tasks of one docs run, as in the CRD.

/// A launch as a person chooses it; whatever is absent comes from the settings and the repository.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// What the run does.
    #[arg(skip = RunKind::Docs)]
    pub kind: RunKind,
    /// Id of a task; may be given several times for docs.
    #[arg(long = "task", value_name = "ID")]
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Docs: every task without its four documents (with --overwrite: every task).
    #[arg(long, conflicts_with = "tasks")]
    #[serde(default)]
    pub all: bool,
    /// Model, handed to the agent as it is.
    #[arg(long)]
    pub model: Option<String>,
    /// Code: the service the task belongs to. Default: the repository's name.
    #[arg(long)]
    pub service: Option<String>,
    /// Code: a repository that holds the task's documents, when it is not this one.
    #[arg(long, value_name = "URL")]
    pub docs_repository: Option<String>,
    /// Code: the branch of that repository. Default: its own default branch.
    #[arg(long, value_name = "BRANCH", requires = "docs_repository")]
    pub docs_branch: Option<String>,
    /// Code: the directory of the Task Master project in that repository. Default: its root.
    #[arg(long, value_name = "DIRECTORY", requires = "docs_repository")]
    pub docs_directory: Option<String>,
    /// Whose Git credentials prep and publish use on a real cluster.
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
    /// Docs: write documents that exist already once more.
    #[arg(long)]
    #[serde(default)]
    pub overwrite: bool,
    /// How many tools the agent gets: minimal, default or advanced.
    #[arg(long, value_name = "PRESET", value_parser = preset)]
    pub tools: Option<ToolPreset>,
    /// Extra instructions for the agent.
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Whether they follow the prompt (append) or stand in its place (replace).
    #[arg(long, value_name = "MODE", value_parser = prompt_mode, requires = "prompt")]
    pub prompt_mode: Option<PromptMode>,
    /// Environment of the agent.
    #[arg(long = "env", value_name = "K=V", value_parser = pair)]
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The agent, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Most US dollars the agent may spend.
    #[arg(long, value_name = "USD")]
    pub budget: Option<String>,
    /// Pass a check that pre-flight refused; needs --reason.
    #[arg(long = "override", value_name = "CHECK", requires = "reason")]
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Why the refused checks are passed; recorded on the run.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

impl Launch {
    /// A launch of `kind` with nothing chosen yet.
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

impl Launch {
    /// The run this launch creates. Pure; `salt` makes its name unique.
    pub fn compose(
        &self,
        subject: &Subject,
        settings: &Settings,
        salt: &str,
    ) -> Result<Run, VerbError> {
        if !self.kind.needs_documents() && self.docs_repository.is_some() {
            return Err(VerbError::Usage(
                "a docs run writes its documents into this repository; --docs-repository is for code".into(),
            ));
        }
        let preflight_override = self.pass_refused(subject)?;
        let tasks = self.chosen_tasks(subject)?;
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
                "no agent is called {agent}; the settings know {known}"
            )));
        }
        let topic = match self.kind {
            RunKind::Docs => subject
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
                naming::repository_label(&subject.repository_url),
            ),
        ]);
        let annotations = BTreeMap::from([
            (
                naming::ANNOTATION_LAUNCHED_BY.to_owned(),
                subject.person.clone(),
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
            code: self.kind.changes_code().then(|| self.code_details(subject)),
            spec: RunSpec {
                repository_url: subject.repository_url.clone(),
                source_branch: subject.branch.clone(),
                working_directory: subject.working_directory.clone(),
                tag: subject.tag.clone(),
                tasks_revision: subject.revision.clone(),
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

    /// Composes and creates the run, unless one is under way for the same tasks.
    pub async fn run(&self, context: &Context, subject: &Subject) -> Result<Run, VerbError> {
        let salt: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(4)
            .collect();
        let run = self.compose(subject, &context.settings, &salt)?;
        context.check_files(&run)?;
        let others = context
            .runs(Some(&naming::repository_label(&subject.repository_url)))
            .await?;
        if let Some((other, task)) = duplicate(&run, &others) {
            return Err(VerbError::Conflict(format!(
                "run {other} is working on task {task} already; open it, or stop it first"
            )));
        }
        context.create(run, false).await
    }

    fn chosen_tasks(&self, subject: &Subject) -> Result<Vec<String>, VerbError> {
        let usage = |sentence: String| Err(VerbError::Usage(sentence));
        let tasks: Vec<String> = if self.all {
            let wanted = subject
                .tasks
                .iter()
                .filter(|(_, documented)| self.overwrite || !documented)
                // Reading the plan has said why these have none.
                .filter(|(id, _)| can_have_documents(&subject.tag, id));
            wanted.map(|(id, _)| id.clone()).collect()
        } else {
            self.tasks.clone()
        };
        if let Some(unknown) = tasks
            .iter()
            .find(|id| !subject.tasks.iter().any(|(known, _)| known == *id))
        {
            return Err(VerbError::NotFound(format!(
                "no task {unknown} in tag {} of tasks.json",
                subject.tag
            )));
        }
        if let Some(path) = tasks
            .iter()
            .find(|id| !can_have_documents(&subject.tag, id))
        {
            return usage(format!(
                "task {path} of tag {} cannot be worked on: its documents would need a folder of that name; give it another id",
                subject.tag
            ));
        }
        match (self.kind, tasks.len()) {
            (_, 0) if self.all && subject.tasks.is_empty() => {
                usage(format!("tag {} of tasks.json has no tasks", subject.tag))
            }
            (_, 0) if self.all => {
                usage("every task has its four documents; --overwrite writes them once more".into())
            }
            (_, 0) => usage("no task was named; give --task ID, or --all for docs".into()),
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

    /// Refuses what pre-flight refused, unless every such check was passed by name with a reason.
    fn pass_refused(&self, subject: &Subject) -> Result<Option<PreflightOverride>, VerbError> {
        let (passed, refused): (Vec<_>, Vec<_>) = subject
            .refused
            .iter()
            .cloned()
            .partition(|(id, _)| self.overrides.contains(id));
        if !refused.is_empty() {
            return Err(VerbError::Refused(refused));
        }
        if passed.is_empty() {
            return Ok(None);
        }
        let reason = self
            .reason
            .clone()
            .filter(|reason| !reason.trim().is_empty());
        let reason = reason
            .ok_or_else(|| VerbError::Usage("passing a refused check needs a reason".into()))?;
        let checks = passed.into_iter().map(|(id, _)| id).collect();
        Ok(Some(PreflightOverride {
            checks,
            reason,
            by: subject.person.clone(),
        }))
    }

    fn code_details(&self, subject: &Subject) -> CodeDetails {
        let repository = remote_url::name(&subject.repository_url);
        let service = self
            .service
            .clone()
            .unwrap_or_else(|| naming::slug(&repository, 63));
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

/// The active run of the same kind that shares a task with `run`, and that task.
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

fn budget(text: &str) -> Result<String, VerbError> {
    let number = text.trim().trim_start_matches('$');
    let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(rest) && rest.len() <= 6 && number.len() <= 16 {
        Ok(number.to_owned())
    } else {
        Err(VerbError::Usage(format!(
            "budget {text}: write US dollars like 2.50"
        )))
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn preset(word: &str) -> Result<ToolPreset, String> {
    serde_json::from_value(word.into()).map_err(|_| "minimal, default or advanced".into())
}

fn prompt_mode(word: &str) -> Result<PromptMode, String> {
    serde_json::from_value(word.into()).map_err(|_| "append or replace".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            repository_url: "https://github.com/acme/shop.git".into(),
            branch: "feature/checkout".into(),
            working_directory: ".".into(),
            tag: "master".into(),
            tasks: vec![("1".into(), true), ("2".into(), false), ("3".into(), false)],
            revision: None,
            refused: Vec::new(),
            person: "Ada".into(),
        }
    }

    fn compose(launch: &Launch, subject: &Subject) -> Result<Run, VerbError> {
        launch.compose(subject, &Settings::shipped(), "7f3a")
    }

    #[test]
    fn all_means_the_tasks_without_documents_written_out() {
        let launch = Launch {
            all: true,
            ..Launch::new(RunKind::Docs)
        };
        let run = compose(&launch, &subject()).unwrap();
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
            &subject(),
        )
        .unwrap();
        assert_eq!(again.tasks.len(), 3);
    }

    #[test]
    fn a_code_run_takes_model_service_and_name_from_what_is_known() {
        let run = compose(
            &Launch {
                tasks: vec!["2".into()],
                ..Launch::new(RunKind::Code)
            },
            &subject(),
        )
        .unwrap();
        assert_eq!(
            (run.name(), run.spec.model.as_str(), run.spec.agent.as_str()),
            ("code-2-7f3a", "sonnet", "claude")
        );
        assert_eq!(run.code.unwrap().service, "shop");
    }

    #[test]
    fn a_code_run_may_read_its_documents_from_another_repository() {
        let launch = Launch {
            tasks: vec!["2".into()],
            docs_repository: Some("https://github.com/acme/docs.git".into()),
            docs_branch: Some("main".into()),
            docs_directory: Some("plans/shop".into()),
            ..Launch::new(RunKind::Code)
        };
        let code = compose(&launch, &subject()).unwrap().code.unwrap();
        let told = [
            code.docs_repository_url,
            code.docs_branch,
            code.docs_project_directory,
        ];
        let told = told.map(Option::unwrap_or_default);
        assert_eq!(
            told,
            ["https://github.com/acme/docs.git", "main", "plans/shop"]
        );
        let branch_alone = Launch {
            docs_repository: None,
            ..launch.clone()
        };
        let refused = compose(&branch_alone, &subject()).unwrap_err();
        assert!(
            refused.to_string().contains("docsRepositoryUrl"),
            "{refused}"
        );
        let docs = Launch {
            kind: RunKind::Docs,
            ..launch
        };
        let refused = compose(&docs, &subject()).unwrap_err();
        assert!(
            refused.to_string().contains("--docs-repository"),
            "{refused}"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_exit_code() {
        let docs = Launch::new(RunKind::Docs);
        let task = |id: &str| vec![id.to_owned()];
        let documented = Subject {
            tasks: vec![("1".into(), true)],
            ..subject()
        };
        let refused = Subject {
            refused: vec![("tasks-pushed".into(), "origin has another file".into())],
            ..subject()
        };
        let path = Subject {
            tasks: vec![("../x".into(), false)],
            ..subject()
        };
        for (launch, subject, code) in [
            (docs.clone(), subject(), 2),
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
                subject(),
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
                subject(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    agent: Some("nobody".into()),
                    ..docs.clone()
                },
                subject(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    budget: Some("lots".into()),
                    ..docs.clone()
                },
                subject(),
                2,
            ),
            (
                Launch {
                    tasks: task("2"),
                    env: vec![("LD_PRELOAD".into(), "x".into())],
                    ..docs.clone()
                },
                subject(),
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
            let error = compose(&launch, &subject).expect_err(&format!("{launch:?}"));
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }

    #[tokio::test]
    async fn a_run_whose_files_no_config_map_holds_is_refused_before_anything_is_sent() {
        let unreachable = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("it was sent"))
        });
        let context = Context {
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
        let refused = launch.run(&context, &subject()).await.unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        let said = refused.to_string();
        assert!(said.contains("spec.promptModification has"), "{said}");

        // What a spec may hold fits; templates of one's own may make more of it.
        let small = Launch {
            prompt: None,
            ..launch.clone()
        };
        let mut run = compose(&small, &subject()).unwrap();
        run.spec.prompt_modification = launch.prompt;
        let said = context.check_files(&run).unwrap_err().to_string();
        assert!(said.contains("the largest is prompt.md"), "{said}");
    }

    #[test]
    fn a_passed_check_is_recorded_with_its_reason() {
        let subject = Subject {
            refused: vec![("sync".into(), "behind".into())],
            ..subject()
        };
        let launch = Launch {
            tasks: vec!["2".into()],
            overrides: vec!["sync".into()],
            reason: Some("rehearsal".into()),
            ..Launch::new(RunKind::Docs)
        };
        let passed = compose(&launch, &subject)
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
    fn two_active_runs_never_share_a_task() {
        let run = |tasks: &[&str], phase: &str| {
            let launch = Launch {
                tasks: tasks.iter().map(|&id| id.to_owned()).collect(),
                ..Launch::new(RunKind::Docs)
            };
            let mut run = compose(&launch, &subject()).unwrap();
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
