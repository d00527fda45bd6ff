//! `runs delete`: deletes a run and its objects. The log and the result are archived first.

use kube::api::{DeleteParams, Preconditions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterContext, Context, Render, Verb, VerbError, View, archive::archive_run};

/// Deletes a run and its objects.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Delete {
    /// Name of the run.
    pub name: String,
    /// Delete the run even if it has not ended; its unpushed work is lost.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// A deleted run, and what was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    pub name: String,
    /// Pushed branch, kept on the remote.
    pub branch: Option<String>,
    /// Pull request, kept open.
    pub pull_request_url: Option<String>,
}

impl Delete {
    /// Archives the run, then deletes it. Does not delete what cannot be archived.
    pub async fn run(&self, context: &ClusterContext) -> Result<Deleted, VerbError> {
        let run = context.run(&self.name).await?;
        if !run.ended() && !self.force {
            return Err(VerbError::Conflict(format!(
                "run {} has not ended; stop it first, or delete it with --force",
                self.name
            )));
        }
        archive_run(context, &run).await?;
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
            let marked = ledger.mark_removed(run.uid(), &user(), jiff::Timestamp::now());
            if let Err(error) = marked {
                tracing::warn!(run = self.name, %error, "cannot record the deletion in the ledger");
            }
        }
        Ok(Deleted {
            name: self.name.clone(),
            branch: run.status.commit.is_some().then(|| run.branch()),
            pull_request_url: run.status.pull_request_url,
        })
    }
}

/// Returns the user name.
fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "unknown".into())
}

impl Deleted {
    /// Describes what was kept: `branch docs/x and pull request URL were kept`.
    #[must_use]
    pub fn kept(&self) -> Option<String> {
        let branch = self.branch.as_ref().map(|name| format!("branch {name}"));
        let url = self.pull_request_url.as_ref();
        match (branch, url.map(|url| format!("pull request {url}"))) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(format!("{one} was kept")),
            (Some(branch), Some(url)) => Some(format!("{branch} and {url} were kept")),
        }
    }
}

impl Verb for Delete {
    const NAME: &'static str = "runs delete";
    const ABOUT: &'static str = "Delete a run and its objects; its record is kept";
    type Output = Deleted;

    async fn run(self, context: &Context) -> Result<Deleted, VerbError> {
        Self::run(&self, context.cluster().await?).await
    }
}

impl Render for Deleted {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let kept = self
            .kept()
            .map_or_else(String::new, |kept| format!("; {kept}"));
        vec![format!("Deleted {}{kept}", self.name)]
    }
}
