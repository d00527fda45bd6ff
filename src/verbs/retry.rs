//! `retry` and `context`: a new attempt of a run that has ended, as it was or with something the agent did not know.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, VerbError};
use crate::{
    resources::{ContextFile, TasksRevision},
    runs::Run,
};

/// Most bytes of one piece of context, as in the CRD.
const CONTEXT_LIMIT: usize = 16_384;

/// A new attempt of a run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Retry {
    /// Name of the run.
    pub name: String,
}

impl Retry {
    /// Asks for the attempt; returns its context version. `revision` is the `tasks.json` of this moment, where it is known.
    pub async fn run(
        &self,
        context: &Context,
        revision: Option<&TasksRevision>,
    ) -> Result<i32, VerbError> {
        let run = ended(context, &self.name).await?;
        let version = run.spec.context_version + 1;
        let mut spec = json!({ "contextVersion": version });
        if let Some(revision) = revision {
            spec["tasksRevision"] = json!(revision);
        }
        context.change_spec(&run, "retrying", spec).await?;
        Ok(version)
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
        let run = ended(context, &self.name).await?;
        let version = run.spec.context_version + 1;
        let mut files = run.spec.context.clone();
        files.push(ContextFile {
            filename: format!("context-v{version}.md"),
            content: self.text.clone(),
        });
        context
            .change_spec(
                &run,
                "adding context to",
                json!({ "contextVersion": version, "context": files }),
            )
            .await?;
        Ok(version)
    }
}

async fn ended(context: &Context, name: &str) -> Result<Run, VerbError> {
    let run = context.run(name).await?;
    if run.phase().finished() {
        Ok(run)
    } else {
        Err(VerbError::Conflict(format!(
            "run {name} has not ended; stop it first"
        )))
    }
}
