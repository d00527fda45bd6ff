//! `runs retry` and `runs context`: starts a new attempt of a run that has ended, optionally with additional context.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, LaunchSource, Render, Verb, VerbError, View};
use flightdeck_core::{
    remote_url,
    resources::{ContextFile, TasksRevision},
    runs::Run,
};
use flightdeck_preflight::{Level, PreflightRequest, RemoteQuery, Report, Sources};

/// Maximum size of one context file in bytes, as in the CRD.
pub const CONTEXT_LIMIT: usize = 16_384;

/// Retries a run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// Name of the run.
    pub name: String,
}

/// Adds `context-v<n>.md` to a run that has ended, and retries it.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct AddContext {
    /// Name of the run.
    pub name: String,
    /// Markdown for the agent.
    pub text: String,
}

/// Returns the context version of the next attempt.
fn next_version(run: &Run) -> Result<i32, VerbError> {
    if run.ended() {
        Ok(run.spec.context_version + 1)
    } else {
        Err(VerbError::Conflict(format!(
            "run {} has not ended; stop it first",
            run.name()
        )))
    }
}

/// Returns the current revision of the plan, if the remote has the plan on disk and the repository and branch are the run's.
async fn revision_now(run: &Run, start: &Path) -> Option<TasksRevision> {
    let request = PreflightRequest {
        tag: Some(run.spec.tag.clone()),
        ..PreflightRequest::new(run.kind)
    };
    let sources = Sources::repository(start.to_owned(), RemoteQuery::Fresh);
    let facts = flightdeck_preflight::gather(&request, sources).await;
    let report = Report::of(&facts);
    let subject = LaunchSource::new(&facts, &report).ok()?;
    let verified = report
        .check("tasks-pushed")
        .is_some_and(|check| check.level == Level::Pass);
    let same_source = remote_url::identity(&subject.repository_url)
        == remote_url::identity(&run.spec.repository_url)
        && subject.branch == run.spec.source_branch
        && subject.working_directory == run.spec.working_directory;
    subject.revision.filter(|_| verified && same_source)
}

/// A new attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub name: String,
    pub context_version: i32,
    /// Name of the added context file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_file: Option<String>,
}

impl Verb for Retry {
    const NAME: &'static str = "runs retry";
    const ABOUT: &'static str = "Start a new attempt of a run that has ended";
    type Output = Attempt;

    /// Requests the attempt. Uses the current plan if pre-flight can verify it in the repository of the working directory;
    /// otherwise the plan of the launch.
    async fn run(self, context: &Context) -> Result<Attempt, VerbError> {
        let cluster = context.cluster().await?;
        let revision = revision_now(&cluster.run(&self.name).await?, &context.start).await;
        let retry = |run: &Run, _: &Value| {
            let mut spec = json!({ "contextVersion": next_version(run)? });
            if let Some(revision) = &revision {
                spec["tasksRevision"] = json!(revision);
            }
            Ok(spec)
        };
        let run = cluster.change_spec(&self.name, "retrying", retry).await?;
        Ok(Attempt {
            name: self.name,
            context_version: run.spec.context_version + 1,
            context_file: None,
        })
    }
}

impl AddContext {
    /// Fails if the text is empty or exceeds the limit of the CRD.
    fn validate(&self) -> Result<(), VerbError> {
        if self.text.trim().is_empty() {
            return Err(VerbError::Usage("the context is empty".into()));
        }
        if self.text.len() > CONTEXT_LIMIT {
            return Err(VerbError::Usage(format!(
                "the context has {} bytes; the limit is {CONTEXT_LIMIT}",
                self.text.len()
            )));
        }
        Ok(())
    }
}

impl Verb for AddContext {
    const NAME: &'static str = "runs context";
    const ABOUT: &'static str = "Add context for the agent and start a new attempt";
    type Output = Attempt;

    async fn run(self, context: &Context) -> Result<Attempt, VerbError> {
        self.validate()?;
        let cluster = context.cluster().await?;
        let add = |run: &Run, spec: &Value| {
            let added = ContextFile {
                filename: context_file(next_version(run)?),
                content: self.text.clone(),
            };
            let mut wanted = run.clone();
            wanted.spec.context.push(added.clone());
            cluster.check_files(&wanted)?;
            let mut files = spec["context"].as_array().cloned().unwrap_or_default();
            files.push(json!(added));
            Ok(json!({ "contextVersion": next_version(run)?, "context": files }))
        };
        let run = cluster
            .change_spec(&self.name, "adding context to", add)
            .await?;
        let version = run.spec.context_version + 1;
        Ok(Attempt {
            name: self.name,
            context_version: version,
            context_file: Some(context_file(version)),
        })
    }
}

/// Returns the name of the file that the agent reads in an attempt.
fn context_file(version: i32) -> String {
    format!("context-v{version}.md")
}

impl Render for Attempt {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let (name, version) = (&self.name, self.context_version);
        vec![match &self.context_file {
            Some(file) => format!("Retrying {name} with {file}, attempt v{version}"),
            None => format!("Retrying {name}, attempt v{version}"),
        }]
    }
}
