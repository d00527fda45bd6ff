//! `runs delete`: deletes a run and its objects. The log and the result are archived first.

use kube::api::{DeleteParams, Preconditions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClusterContext, Context, Plan, PlannedVerb, Render, Table, VerbError, View,
    archive::archive_run,
};
use flightdeck_core::runs::{Run, RunKind};

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

/// A run to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletePlan {
    pub name: String,
    pub kind: RunKind,
    /// Only this object is deleted, not a later one of the same name.
    pub uid: String,
    pub phase: String,
    /// Kept on the remote.
    pub branch: Option<String>,
    /// Kept open.
    pub pull_request_url: Option<String>,
    /// Cluster and namespace, for the question.
    #[serde(skip)]
    #[schemars(skip)]
    target: String,
    #[serde(skip)]
    #[schemars(skip)]
    force: bool,
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

impl PlannedVerb for Delete {
    const NAME: &'static str = "runs delete";
    const ABOUT: &'static str = "Delete a run and its objects; its record is kept";
    type Plan = DeletePlan;

    async fn plan(self, context: &Context) -> Result<DeletePlan, VerbError> {
        let run = deletable(context.cluster().await?, &self.name, self.force).await?;
        Ok(DeletePlan {
            name: self.name,
            kind: run.kind,
            uid: run.uid().to_owned(),
            phase: run.phase().as_str().to_owned(),
            branch: run.status.commit.is_some().then(|| run.branch()),
            pull_request_url: run.status.pull_request_url.clone(),
            target: context.target().await?,
            force: self.force,
        })
    }
}

impl Plan for DeletePlan {
    type Output = Deleted;
    const NAMED: bool = true;

    fn question(&self) -> Option<String> {
        Some(format!("Delete {} on {}?", self.name, self.target))
    }

    async fn apply(self, context: &Context) -> Result<Deleted, VerbError> {
        let cluster = context.cluster().await?;
        delete(cluster, &self.name, &self.uid, self.force).await
    }
}

/// Archives the run of that UID, then deletes it. Does not delete what cannot be archived, or what was retried or recreated
/// since it was planned.
pub(crate) async fn delete(
    cluster: &ClusterContext,
    name: &str,
    uid: &str,
    force: bool,
) -> Result<Deleted, VerbError> {
    let run = deletable(cluster, name, force).await?;
    if run.uid() != uid {
        return Err(VerbError::Conflict(format!(
            "run {name} was recreated in the meantime; check it and try again"
        )));
    }
    archive_run(cluster, &run).await?;
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: run.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    cluster
        .api(run.kind)
        .delete(name, &params)
        .await
        .map_err(VerbError::cluster(format!("deleting {name}")))?;
    if let Some(ledger) = &cluster.ledger {
        let marked = ledger.mark_removed(uid, &user(), jiff::Timestamp::now());
        if let Err(error) = marked {
            tracing::warn!(run = name, %error, "cannot record the deletion in the ledger");
        }
    }
    Ok(Deleted {
        name: name.to_owned(),
        branch: run.status.commit.is_some().then(|| run.branch()),
        pull_request_url: run.status.pull_request_url,
    })
}

/// Returns the run, if it has ended or `force` is set.
async fn deletable(cluster: &ClusterContext, name: &str, force: bool) -> Result<Run, VerbError> {
    let run = cluster.run(name).await?;
    if run.ended() || force {
        return Ok(run);
    }
    Err(VerbError::Conflict(format!(
        "run {name} has not ended; stop it first, or delete it with --force"
    )))
}

impl Render for DeletePlan {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        let url = self.pull_request_url.clone();
        let kept = self.branch.clone().into_iter().chain(url);
        View::Table(Table::new(
            &["KIND", "NAME", "PHASE", "KEPT", "+UID"],
            vec![vec![
                self.kind.to_string(),
                self.name.clone(),
                self.phase.clone(),
                kept.collect::<Vec<_>>().join(" "),
                self.uid.clone(),
            ]],
        ))
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
