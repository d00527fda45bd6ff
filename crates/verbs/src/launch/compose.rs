//! Composes the run to create from the arguments, the settings and the pre-flight facts. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Launch;
use crate::{LaunchSource, VerbError};
use flightdeck_core::{
    remote_url,
    resources::{PreflightOverride, RunSpec, RunStatus},
    runs::{CodeDetails, Run, RunKind, can_have_documents, naming},
};
use flightdeck_host::settings::Settings;

impl Launch {
    /// Returns the run to create. `salt` makes its name unique.
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
        let defaults = &settings.defaults;
        let preflight_override = self.preflight_override(source)?;
        let tasks = self.selected_tasks(source)?;
        let run = Run {
            kind: self.kind,
            metadata: self.metadata(source, tasks.first(), salt),
            code: (self.kind.changes_code()).then(|| self.code_details(source)),
            spec: RunSpec {
                repository_url: source.repository_url.clone(),
                target_branch: self.target_branch.clone(),
                source_branch: source.branch.clone(),
                working_directory: source.working_directory.clone(),
                tag: source.tag.clone(),
                tasks_revision: source.revision.clone(),
                model: self
                    .model
                    .clone()
                    .unwrap_or_else(|| settings.model(self.kind).to_owned()),
                agent: self.known_agent(settings)?,
                github_user: self
                    .github_user
                    .clone()
                    .or_else(|| defaults.github_user().map(str::to_owned)),
                tool_config: self.tools.unwrap_or_default(),
                env: self.env.iter().cloned().collect(),
                prompt_modification: self.prompt.clone(),
                prompt_mode: self.prompt_mode.unwrap_or_default(),
                overwrite: self.overwrite,
                budget_usd: (self.budget.as_deref())
                    .or_else(|| defaults.budget())
                    .filter(|budget| *budget != NO_LIMIT)
                    .map(budget)
                    .transpose()?,
                retries: defaults.retries,
                deadline_seconds: Some(defaults.deadline_seconds).filter(|seconds| *seconds > 0),
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

    /// Returns the name, labels and annotations of the run.
    fn metadata(
        &self,
        source: &LaunchSource,
        first_task: Option<&String>,
        salt: &str,
    ) -> ObjectMeta {
        let topic = match self.kind {
            RunKind::Docs => source.branch.rsplit('/').next().unwrap_or_default(),
            RunKind::Code => first_task.map_or("", String::as_str),
        };
        let launched_from = format!("flightdeck {}", env!("CARGO_PKG_VERSION"));
        let annotations = [
            (naming::ANNOTATION_LAUNCHED_BY, source.user.clone()),
            (naming::ANNOTATION_LAUNCHED_FROM, launched_from),
        ];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value));
        ObjectMeta {
            name: Some(naming::run_name(self.kind, topic, salt)),
            labels: Some(labels(self.kind, &source.repository_url)),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        }
    }

    /// Returns the agent. Fails if the settings do not define it.
    fn known_agent(&self, settings: &Settings) -> Result<String, VerbError> {
        let agent = self.agent.as_ref().unwrap_or(&settings.defaults.agent);
        if settings.agents.contains_key(agent) {
            return Ok(agent.clone());
        }
        let known: Vec<&str> = settings.agents.keys().map(String::as_str).collect();
        Err(VerbError::Usage(format!(
            "no agent {agent} in the settings, which have {}",
            known.join(", ")
        )))
    }

    /// Returns the IDs of the tasks. Fails if one does not exist, or if their number does not fit the kind.
    fn selected_tasks(&self, source: &LaunchSource) -> Result<Vec<String>, VerbError> {
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
        let (overridden, blocking): (Vec<_>, Vec<_>) = source
            .blocking
            .iter()
            .cloned()
            .partition(|(id, _)| self.overrides.contains(id));
        if !blocking.is_empty() {
            return Err(VerbError::Blocked(blocking));
        }
        if overridden.is_empty() {
            return Ok(None);
        }
        let reason = self
            .reason
            .clone()
            .filter(|reason| !reason.trim().is_empty());
        let reason =
            reason.ok_or_else(|| VerbError::Usage("--override requires --reason".into()))?;
        let checks = overridden.into_iter().map(|(id, _)| id).collect();
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

/// Returns the labels that every run has.
pub(crate) fn labels(kind: RunKind, repository_url: &str) -> BTreeMap<String, String> {
    let labels = [
        (naming::LABEL_MANAGED_BY, naming::MANAGER.to_owned()),
        (naming::LABEL_KIND, kind.to_string()),
        (
            naming::LABEL_REPOSITORY,
            naming::repository_label(repository_url),
        ),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A budget without a limit, where the settings have one.
pub const NO_LIMIT: &str = "none";

/// Parses a budget in USD.
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
