//! `runs export`: returns the patch of work that publish refused, from the log of publish.

use std::pin::pin;

use futures::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{ClusterContext, Context, Render, Verb, VerbError, View, archived_log};
use flightdeck_core::{
    log::LogEvent,
    runs::{Run, Stage, patch},
};
use flightdeck_host::{
    cluster::logs::{Excerpt, RunRef, snapshot_run},
    ledger::LedgerError,
};

/// Prints the work of a run that was not pushed, as a patch for `git apply`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Export {
    /// Name of the run.
    pub name: String,
}

/// The work of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedWork {
    pub name: String,
    /// The commit that the patch applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// In the format of `git diff --binary`.
    pub patch: String,
}

impl Verb for Export {
    const NAME: &'static str = "runs export";
    const ABOUT: &'static str = "Print the work of a run that was not pushed, as a patch";
    type Output = ExportedWork;

    async fn run(self, context: &Context) -> Result<ExportedWork, VerbError> {
        let cluster = context.cluster().await?;
        let run = cluster.run(&self.name).await?;
        let patch = patch::find(publish_log(cluster, &run).await?.iter().map(String::as_str));
        let patch = patch.ok_or_else(|| {
            let pushed = run.status.branch.as_ref();
            let hint = pushed.filter(|_| run.status.commit.is_some());
            let hint = hint.map_or_else(String::new, |branch| {
                format!("; its pushed work is on branch {branch}")
            });
            VerbError::NotFound(format!("run {} has no refused work{hint}", self.name))
        })?;
        Ok(ExportedWork {
            name: self.name,
            base_commit: run.status.base_commit,
            patch,
        })
    }
}

/// Returns the lines of publish, from the ledger and from the cluster.
async fn publish_log(cluster: &ClusterContext, run: &Run) -> Result<Vec<String>, VerbError> {
    let archived = archived_log(cluster, run).await;
    let mut lines = Vec::new();
    let reader = archived.clone();
    if let Some(archived) = reader {
        let read = spawn_blocking(move || {
            Ok::<_, LedgerError>(
                archived
                    .events()?
                    .filter_map(publish_line)
                    .collect::<Vec<_>>(),
            )
        });
        let failed = |error: &dyn std::fmt::Display| {
            VerbError::Failed(format!("cannot read the ledger: {error}"))
        };
        let read = read.await.map_err(|error| failed(&error))?;
        lines.extend(read.map_err(|error| failed(&error))?);
    }
    let excerpt = Excerpt {
        stage: Some(Stage::Publish),
        ..Excerpt::default()
    };
    let about = RunRef::from(run);
    let mut events = pin!(snapshot_run(
        &cluster.client,
        &cluster.namespace,
        &about,
        excerpt
    ));
    while let Some(event) = events.next().await {
        if !archived
            .as_ref()
            .is_some_and(|archived| archived.contains(&event))
        {
            lines.extend(publish_line(event));
        }
    }
    Ok(lines)
}

fn publish_line(event: LogEvent) -> Option<String> {
    match event {
        LogEvent::Line(line) if line.source.stage == Some(Stage::Publish) => Some(line.text),
        _ => None,
    }
}

impl Render for ExportedWork {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Text(self.patch.lines().map(str::to_owned).collect())
    }
}
