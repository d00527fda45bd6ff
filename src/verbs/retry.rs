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
        let retry = |run: &Run| {
            let mut spec = json!({ "contextVersion": next_version(run)? });
            if let Some(revision) = revision {
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
        let add = |run: &Run| {
            let version = next_version(run)?;
            let mut files = run.spec.context.clone();
            files.push(ContextFile {
                filename: format!("context-v{version}.md"),
                content: self.text.clone(),
            });
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
    if run.phase().finished() {
        Ok(run.spec.context_version + 1)
    } else {
        Err(VerbError::Conflict(format!(
            "run {} has not ended; stop it first",
            run.name()
        )))
    }
}
