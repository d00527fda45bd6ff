//! The embedded cluster, for verbs, and `embedded kubeconfig`.

use futures::{FutureExt, future::BoxFuture};
use tokio::task::spawn_blocking;

use super::{Session, output};
use flightdeck_verbs::{DiskUsage, EmbeddedServer, EmbeddedStatus, RunningServer, VerbError};
use kube_embedded::{endpoint, node};

impl EmbeddedServer for Session {
    fn status(&self) -> BoxFuture<'_, EmbeddedStatus> {
        let directory = self.paths.embedded.clone();
        let usage = spawn_blocking(move || node::usage(&directory));
        async {
            let usage = usage.await.unwrap_or_default();
            let server = endpoint::find(&self.paths.embedded).map(|found| RunningServer {
                address: found.address,
                pid: found.pid,
                version: found.version,
                kubeconfig: found.kubeconfig,
                fault_rules: found.fault_rules,
            });
            EmbeddedStatus {
                server,
                directory: self.paths.embedded.clone(),
                disk: DiskUsage {
                    objects: usage.objects,
                    logs: usage.logs,
                    volumes: usage.volumes,
                },
            }
        }
        .boxed()
    }

    fn stop(&self) -> BoxFuture<'_, Result<bool, VerbError>> {
        async {
            let stopped = endpoint::stop(&self.paths.embedded).await;
            stopped.map_err(|error| VerbError::Failed(format!("stopping the server: {error}")))
        }
        .boxed()
    }

    fn delete_data(&self) -> BoxFuture<'_, Result<(), VerbError>> {
        let directory = self.paths.embedded.clone();
        async move {
            let failed = |error: std::io::Error| {
                VerbError::Failed(format!("deleting {}: {error}", directory.display()))
            };
            // Held while deleting, so that no server starts on the data.
            let lock = endpoint::Lock::acquire(&directory).map_err(failed)?;
            let Some(_lock) = lock else {
                return Err(VerbError::Conflict(
                    "the embedded cluster was started again in the meantime".into(),
                ));
            };
            tokio::fs::remove_dir_all(&directory).await.map_err(failed)
        }
        .boxed()
    }
}

/// Prints the kubeconfig. Starts the server, because the file is useless without it.
pub(super) async fn kubeconfig(session: &Session, path: bool) -> anyhow::Result<u8> {
    let connection = session.connect().await?;
    output::notices(&connection.notices);
    let found = endpoint::find(&session.paths.embedded)
        .ok_or_else(|| VerbError::Failed("the embedded cluster stopped unexpectedly".into()))?;
    if path {
        output::line(&found.kubeconfig.display().to_string())?;
    } else {
        output::line(std::fs::read_to_string(&found.kubeconfig)?.trim_end())?;
    }
    Ok(0)
}
