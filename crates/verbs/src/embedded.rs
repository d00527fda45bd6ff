//! `embedded status`, `embedded stop` and `embedded reset`: the embedded cluster of this machine.

use std::path::PathBuf;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Plan, PlannedVerb, Render, Verb, VerbError, View};
use flightdeck_core::text;
use flightdeck_host::cluster::has_active_runs;

/// The server of the embedded cluster, implemented by front ends on its machine.
pub trait EmbeddedServer: Send + Sync {
    /// Returns the running server and the disk usage.
    fn status(&self) -> BoxFuture<'_, EmbeddedStatus>;

    /// Stops the server. Returns `false` if it was not running.
    fn stop(&self) -> BoxFuture<'_, Result<bool, VerbError>>;

    /// Deletes all data of a stopped server.
    fn delete_data(&self) -> BoxFuture<'_, Result<(), VerbError>>;
}

/// State of the embedded cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddedStatus {
    /// `None` if the server is not running.
    pub server: Option<RunningServer>,
    /// Data directory.
    pub directory: PathBuf,
    pub disk: DiskUsage,
}

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningServer {
    pub address: String,
    pub pid: i32,
    pub version: String,
    pub kubeconfig: PathBuf,
    /// Number of rules by which faults are injected.
    pub fault_rules: usize,
}

/// Disk usage in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiskUsage {
    pub objects: u64,
    pub logs: u64,
    pub volumes: u64,
}

/// Returns the server, or an error for a front end on another machine.
fn server(context: &Context) -> Result<&dyn EmbeddedServer, VerbError> {
    let server = context.access().embedded();
    server.ok_or_else(|| VerbError::Usage("there is no embedded cluster here".into()))
}

/// Shows the embedded cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct StatusEmbedded {}

impl Verb for StatusEmbedded {
    const NAME: &'static str = "embedded status";
    const ABOUT: &'static str = "Show whether the server runs, and where; exit with 3 if not";
    type Output = EmbeddedStatus;

    async fn run(self, context: &Context) -> Result<EmbeddedStatus, VerbError> {
        Ok(server(context)?.status().await)
    }
}

impl Render for EmbeddedStatus {
    fn names(&self) -> Vec<String> {
        let server = self.server.iter();
        server.map(|server| server.address.clone()).collect()
    }

    fn view(&self) -> View {
        let Some(server) = &self.server else {
            return View::Text(vec!["not running; it is started when needed".into()]);
        };
        let faults = (server.fault_rules > 0).then(|| {
            let rules = text::count(server.fault_rules, "rule");
            format!("faults: {rules} injected")
        });
        let DiskUsage {
            objects,
            logs,
            volumes,
        } = self.disk;
        let running = format!(
            "running: {} (process {}, version {})",
            server.address, server.pid, server.version
        );
        let kubeconfig = format!("kubeconfig: {}", server.kubeconfig.display());
        let disk = format!(
            "disk: objects {}, logs {}, volumes {}",
            text::bytes(objects),
            text::bytes(logs),
            text::bytes(volumes)
        );
        let lines = [running, kubeconfig].into_iter().chain(faults);
        View::Text(lines.chain([disk]).collect())
    }

    fn exit_code(&self) -> u8 {
        if self.server.is_some() { 0 } else { 3 }
    }
}

/// Stops the embedded cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct StopEmbedded {}

/// Whether the server was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StoppedServer {
    pub stopped: bool,
}

impl Verb for StopEmbedded {
    const NAME: &'static str = "embedded stop";
    const ABOUT: &'static str =
        "Stop the server; running containers continue and are adopted at the next start";
    type Output = StoppedServer;

    async fn run(self, context: &Context) -> Result<StoppedServer, VerbError> {
        let stopped = server(context)?.stop().await?;
        Ok(StoppedServer { stopped })
    }
}

impl Render for StoppedServer {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let message = if self.stopped {
            "Stopped; running containers continue and are adopted at the next start"
        } else {
            "Not running"
        };
        vec![message.into()]
    }
}

/// Deletes all data of the embedded cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ResetEmbedded {
    /// Reset without checking for active runs, for example if the server does not start.
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
}

/// The data to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResetPlan {
    pub directory: PathBuf,
    /// Size of the data.
    pub bytes: u64,
}

/// A cluster without data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ResetCluster {
    pub directory: PathBuf,
}

impl PlannedVerb for ResetEmbedded {
    const NAME: &'static str = "embedded reset";
    const ABOUT: &'static str = "Stop the server and delete all its data; the ledger is kept";
    type Plan = ResetPlan;

    async fn plan(self, context: &Context) -> Result<ResetPlan, VerbError> {
        let server = server(context)?;
        if context.access().kubeconfig_context().is_some() {
            return Err(VerbError::Usage(
                "embedded reset is for the embedded cluster; remove --context".into(),
            ));
        }
        let status = server.status().await;
        // Containers outlive the server, so it is started to find out whether any belong to an active run.
        if !self.force
            && status.directory.exists()
            && has_active_runs(&context.cluster().await?.client).await
        {
            return Err(VerbError::Conflict(
                "runs are active on the embedded cluster; stop them first".into(),
            ));
        }
        let DiskUsage {
            objects,
            logs,
            volumes,
        } = status.disk;
        Ok(ResetPlan {
            directory: status.directory,
            bytes: objects + logs + volumes,
        })
    }
}

impl Plan for ResetPlan {
    type Output = ResetCluster;
    const NAMED: bool = true;

    fn question(&self) -> Option<String> {
        let (bytes, directory) = (text::bytes(self.bytes), self.directory.display());
        let question = || {
            format!("Delete the runs and volumes of the embedded cluster ({bytes} in {directory})?")
        };
        self.directory.exists().then(question)
    }

    async fn apply(self, context: &Context) -> Result<ResetCluster, VerbError> {
        let server = server(context)?;
        server.stop().await?;
        server.delete_data().await?;
        Ok(ResetCluster {
            directory: self.directory,
        })
    }
}

impl Render for ResetPlan {
    fn names(&self) -> Vec<String> {
        vec![self.directory.display().to_string()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let empty = !self.directory.exists();
        empty
            .then(|| "The embedded cluster has no data".to_owned())
            .into_iter()
            .collect()
    }
}

impl Render for ResetCluster {
    fn names(&self) -> Vec<String> {
        vec![self.directory.display().to_string()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        vec!["Deleted the data of the embedded cluster".into()]
    }
}
