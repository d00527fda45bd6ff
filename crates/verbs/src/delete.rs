//! `delete`: removes a run that has ended, and everything it owned. Its record stays in the ledger.

use kube::api::{DeleteParams, Preconditions};
use serde::{Deserialize, Serialize};

use super::{Context, VerbError, keep::keep};

/// Removes a run and everything it owned.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Delete {
    /// Name of the run.
    pub name: String,
    /// Delete it although it has not ended: its attempt is stopped and its work is lost.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// What a deletion left behind on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    pub name: String,
    /// A branch that was pushed stays on the remote.
    pub branch: Option<String>,
    /// A pull request stays open.
    pub pull_request_url: Option<String>,
}

impl Delete {
    /// Keeps the run and its log in the ledger, then deletes it; what cannot be recorded is not deleted.
    pub async fn run(&self, context: &Context) -> Result<Deleted, VerbError> {
        let run = context.run(&self.name).await?;
        if !run.ended() && !self.force {
            return Err(VerbError::Conflict(format!(
                "run {} has not ended; stop it first, or delete it with --force",
                self.name
            )));
        }
        keep(context, &run).await?;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: run.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        context
            .api(run.kind)
            .delete(&self.name, &params)
            .await
            .map_err(VerbError::cluster(format!("deleting {}", self.name)))?;
        if let Some(ledger) = &context.ledger {
            let marked = ledger.mark_removed(run.uid(), &person(), jiff::Timestamp::now());
            if let Err(error) = marked {
                tracing::warn!(run = self.name, %error, "the ledger does not know that it is deleted");
            }
        }
        Ok(Deleted {
            name: self.name.clone(),
            branch: run.status.commit.is_some().then(|| run.branch()),
            pull_request_url: run.status.pull_request_url,
        })
    }
}

/// Who this process belongs to.
fn person() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".into())
}
