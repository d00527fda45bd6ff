//! `flightdeck controller`: the controller as a standalone process, in a pod or outside the cluster.

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use tokio::net::TcpListener;

use super::{
    ControllerConfig, CountRequests, Health, LeaseConfig, Metrics, SettingsWatcher, health, run,
};
use flightdeck_core::runs::naming;
use flightdeck_host::cluster::client::{self, ClientError, Prompts};

/// Time to finish running reconciliations after the shutdown signal; Kubernetes kills the process after 30 seconds.
const DRAIN: Duration = Duration::from_secs(25);

/// Options of the process.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// A context of the kubeconfig; `None` for the cluster this pod runs in.
    pub context: Option<String>,
    /// `None` for the namespace of the pod or context.
    pub namespace: Option<String>,
    /// Address of the metrics and health server.
    pub listen: SocketAddr,
}

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error(transparent)]
    Connect(#[from] ClientError),
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// Runs until `shutdown`, then finishes running reconciliations. Calls `listening` with the address of the server.
pub async fn serve(
    options: ProcessOptions,
    listening: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ProcessError> {
    let config = client::controller_config(options.context.as_deref()).await?;
    let namespace = options
        .namespace
        .unwrap_or_else(|| config.default_namespace.clone());
    let metrics = Metrics::default();
    // Never prompt: a terminal of this process shows its log.
    let client = client::builder(config, Prompts::Never)
        .await?
        .with_layer(&CountRequests(metrics.clone()))
        .build();
    let at = |source| ProcessError::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(at)?;
    let address = listener.local_addr().map_err(at)?;
    let health = Health::default();
    let source = SettingsWatcher {
        client: client.clone(),
        namespace: namespace.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    // Mark the parts as pending before serving readiness.
    let watched = source.watch();
    let valid = watched.valid();
    let server = tokio::spawn(health::serve(listener, metrics.clone(), health.clone()));
    listening(address);
    let settings_task = tokio::spawn(watched.task);
    tracing::info!(%namespace, %address, version = env!("CARGO_PKG_VERSION"), "starting the controller");
    // The pod's name if there is one; the UUID makes each process unique.
    let name = std::env::var("POD_NAME").unwrap_or_else(|_| naming::LEASE.into());
    let identity = format!("{name}_{}", uuid::Uuid::new_v4());
    let config = ControllerConfig {
        lease: Some(LeaseConfig::new(identity)),
        metrics,
        health,
        ..ControllerConfig::live(watched.settings, &namespace, env!("CARGO_PKG_VERSION"))
    };
    let (stopping, ended) = tokio::sync::oneshot::channel::<()>();
    let mut shutdown = pin!(shutdown);
    let controller = async {
        tokio::select! {
            () = valid => {}
            () = &mut shutdown => return,
        }
        run(client, config, async {
            shutdown.await;
            tracing::info!("shutting down: finishing running reconciliations");
            drop(stopping);
        })
        .await;
    };
    if drained(controller, async { drop(ended.await) }, DRAIN).await {
        tracing::info!("controller stopped");
    } else {
        tracing::warn!(
            seconds = DRAIN.as_secs(),
            "shutdown timed out; the next start continues the work"
        );
    }
    settings_task.abort();
    server.abort();
    Ok(())
}

/// Runs `work`, for at most `limit` after `stopping`. Returns whether it completed.
async fn drained(
    work: impl Future<Output = ()>,
    stopping: impl Future<Output = ()>,
    limit: Duration,
) -> bool {
    let timeout = async {
        stopping.await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        () = work => true,
        () = timeout => false,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn waits_for_running_work_up_to_a_limit() {
        let forever = drained(pending::<()>(), ready(()), Duration::from_millis(20));
        let ended = tokio::time::timeout(Duration::from_secs(60), forever).await;
        assert_eq!(ended, Ok(false));
        assert!(drained(ready(()), ready(()), Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn time_limit_starts_at_shutdown() {
        let long = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        assert!(drained(long, pending::<()>(), Duration::ZERO).await);
    }
}
