//! `retry` and `context`: a new attempt of a run that has ended, as it was or with something the agent did not know.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Subject, VerbError};
use flightdeck_core::{
    remote_url,
    resources::{ContextFile, TasksRevision},
    runs::Run,
};
use flightdeck_preflight::{Ask, Level, Report, Request};

/// Most bytes of one piece of context, as in the CRD.
pub const CONTEXT_LIMIT: usize = 16_384;

/// A new attempt of a run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Retry {
    /// Name of the run.
    pub name: String,
}

impl Retry {
    /// Asks for the attempt, with the `tasks.json` of this moment where the repository one is in, at `start`, can vouch for
    /// it; otherwise with the one the run was launched with. Returns the attempt's context version.
    pub async fn run(&self, context: &Context, start: &Path) -> Result<i32, VerbError> {
        let revision = revision_now(&context.run(&self.name).await?, start).await;
        let retry = |run: &Run, _: &Value| {
            let mut spec = json!({ "contextVersion": next_version(run)? });
            if let Some(revision) = &revision {
                spec["tasksRevision"] = json!(revision);
            }
            Ok(spec)
        };
        let run = context.change_spec(&self.name, "retrying", retry).await?;
        Ok(run.spec.context_version + 1)
    }
}

/// Adds `context-v<n>.md` to a run that has ended and starts a new attempt.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct AddContext {
    /// Name of the run.
    pub name: String,
    /// What the agent should know, as Markdown.
    pub text: String,
}

impl AddContext {
    /// Adds it; returns the context version of the new attempt.
    pub async fn run(&self, context: &Context) -> Result<i32, VerbError> {
        if self.text.trim().is_empty() {
            return Err(VerbError::Usage("the added context is empty".into()));
        }
        if self.text.len() > CONTEXT_LIMIT {
            return Err(VerbError::Usage(format!(
                "the added context has {} bytes; at most {CONTEXT_LIMIT} fit",
                self.text.len()
            )));
        }
        let add = |run: &Run, spec: &Value| {
            let version = next_version(run)?;
            let mut files = spec["context"].as_array().cloned().unwrap_or_default();
            let added = ContextFile {
                filename: format!("context-v{version}.md"),
                content: self.text.clone(),
            };
            let mut wanted = run.clone();
            wanted.spec.context.push(added.clone());
            context.check_files(&wanted)?;
            files.push(json!(added));
            Ok(json!({ "contextVersion": version, "context": files }))
        };
        let run = context
            .change_spec(&self.name, "adding context to", add)
            .await?;
        Ok(run.spec.context_version + 1)
    }
}

/// The version of the attempt after the one that has ended.
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

/// The plan as the remote has it now, when it is the one on disk, and the repository and branch are the run's.
async fn revision_now(run: &Run, start: &Path) -> Option<TasksRevision> {
    let request = Request {
        ask: Ask::Now,
        tag: Some(run.spec.tag.clone()),
        ..Request::new(start.to_owned(), run.kind)
    };
    let facts = flightdeck_preflight::gather(request).await;
    let report = Report::of(&facts);
    let subject = Subject::of(&facts, &report).ok()?;
    let verified = report
        .check("tasks-pushed")
        .is_some_and(|check| check.level == Level::Pass);
    let same_place = remote_url::identity(&subject.repository_url)
        == remote_url::identity(&run.spec.repository_url)
        && subject.branch == run.spec.source_branch
        && subject.working_directory == run.spec.working_directory;
    subject.revision.filter(|_| verified && same_place)
}
