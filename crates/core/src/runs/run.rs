//! A run of any kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Phase, RunKind, Stage, documents, naming};
use crate::{
    remote_url::Transport,
    resources::{
        self, CodeRun, CodeRunSpec, DocsRun, DocsRunSpec, InvalidSpec, RunSpec, RunStatus,
    },
};

/// Fields that only a `CodeRun` has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CodeDetails {
    pub service: String,
    pub docs_repository_url: Option<String>,
    pub docs_project_directory: Option<String>,
    pub docs_branch: Option<String>,
    pub overwrite_memory: bool,
}

/// A `DocsRun` or a `CodeRun`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub kind: RunKind,
    pub metadata: ObjectMeta,
    /// Top-level task ids; exactly one for a code run.
    pub tasks: Vec<String>,
    pub spec: RunSpec,
    /// `Some` for code runs only.
    pub code: Option<CodeDetails>,
    pub status: RunStatus,
}

impl Run {
    /// Name of the object; empty before creation.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns the GitHub user whose SSH key the run needs, if one of its repositories is reached over SSH. Without a
    /// user, ssh of the local account is used.
    #[must_use]
    pub fn ssh_user(&self) -> Option<&str> {
        let code = self.code.as_ref();
        let docs = code.and_then(|code| code.docs_repository_url.as_deref());
        let user = self.spec.github_user.as_deref()?;
        [Some(self.spec.repository_url.as_str()), docs]
            .into_iter()
            .flatten()
            .any(|url| Transport::of(url) == Some(Transport::Ssh))
            .then_some(user)
    }

    /// Namespace of the object; empty before creation.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// UID of the object; empty before creation.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// Returns the phase in the status.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::parse(self.status.phase.as_deref())
    }

    /// Whether the current context version has ended. A status that was observed for an earlier version does not
    /// count.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.phase().finished()
            && self
                .status
                .observed_context_version
                .is_none_or(|seen| seen >= self.spec.context_version)
    }

    /// Returns the stage in the status.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        self.status.stage.as_deref().and_then(Stage::parse)
    }

    /// Whether the current `contextVersion` was cancelled.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.spec.cancel_version >= self.spec.context_version
    }

    /// Returns the branch the work is on: the one that was pushed, or the one it will be pushed to.
    #[must_use]
    pub fn branch(&self) -> String {
        let known = self.status.branch.clone();
        known.unwrap_or_else(|| self.planned_branch())
    }

    /// Returns the branch of the spec, or the default of the kind. An attempt whose work does not contain that branch's commits
    /// is pushed to another one, see [`Run::branch`].
    #[must_use]
    pub fn planned_branch(&self) -> String {
        self.spec.target_branch.clone().unwrap_or_else(|| {
            naming::target_branch(
                self.kind,
                self.name(),
                self.tasks.first().map_or("", String::as_str),
            )
        })
    }

    /// Returns the paths of the documents that the run must write, from the repository root; empty for runs that
    /// write none.
    #[must_use]
    pub fn expected_documents(&self) -> Vec<String> {
        if !self.kind.writes_documents() {
            return Vec::new();
        }
        documents(&self.spec.working_directory, &self.spec.tag, &self.tasks)
    }

    /// Validates the spec against the schema and rules of the definition.
    ///
    /// # Errors
    /// All invalid fields.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        resources::validate(
            self.kind.into(),
            &self.clone().into_resource()["spec"],
            None,
        )
    }

    /// Returns the custom resource without its status.
    #[must_use]
    pub fn into_resource(self) -> serde_json::Value {
        let object = match self.code {
            None => serde_json::to_value(DocsRun {
                metadata: self.metadata,
                spec: DocsRunSpec {
                    task_ids: self.tasks,
                    run: self.spec,
                },
                status: None,
            }),
            Some(code) => serde_json::to_value(CodeRun {
                metadata: self.metadata,
                spec: CodeRunSpec {
                    task_id: self.tasks.into_iter().next().unwrap_or_default(),
                    service: code.service,
                    docs_repository_url: code.docs_repository_url,
                    docs_project_directory: code.docs_project_directory,
                    docs_branch: code.docs_branch,
                    overwrite_memory: code.overwrite_memory,
                    run: self.spec,
                },
                status: None,
            }),
        };
        // Both types contain only strings, numbers and lists, so serialisation cannot fail.
        object.unwrap_or_default()
    }
}

impl From<DocsRun> for Run {
    fn from(object: DocsRun) -> Self {
        Self {
            kind: RunKind::Docs,
            metadata: object.metadata,
            tasks: object.spec.task_ids,
            spec: object.spec.run,
            code: None,
            status: object.status.unwrap_or_default(),
        }
    }
}

impl From<CodeRun> for Run {
    fn from(object: CodeRun) -> Self {
        let spec = object.spec;
        Self {
            kind: RunKind::Code,
            metadata: object.metadata,
            tasks: vec![spec.task_id],
            spec: spec.run,
            code: Some(CodeDetails {
                service: spec.service,
                docs_repository_url: spec.docs_repository_url,
                docs_project_directory: spec.docs_project_directory,
                docs_branch: spec.docs_branch,
                overwrite_memory: spec.overwrite_memory,
            }),
            status: object.status.unwrap_or_default(),
        }
    }
}
