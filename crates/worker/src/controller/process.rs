//! `flightdeck controller`: the controller as a process of its own, in a pod or beside a cluster.

use std::{future::Future, net::SocketAddr, pin::pin, time::Duration};

use tokio::net::TcpListener;

use super::{
    ControllerConfig, CountRequests, Health, LeaseConfig, Metrics, SettingsMaps, health, run,
};
use flightdeck_core::runs::naming;
use flightdeck_host::cluster::client::{self, ClientError, Prompts};

/// How long what is under way may take after the process was told to end; Kubernetes kills it after 30 seconds.
const DRAIN: Duration = Duration::from_secs(25);

/// What the process is told.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// A context of the kubeconfig; `None` for the cluster of the pod it runs in.
    pub context: Option<String>,
    /// `None`: the pod's own, or the context's.
    pub namespace: Option<String>,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
}

/// Why there is no controller.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error(transparent)]
    Connect(#[from] ClientError),
    #[error("listening on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// Runs until `shutdown`, then finishes what is under way. `listening` hears where metrics and health are served.
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
    // Its terminal, if it has one, shows a log.
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
    let maps = SettingsMaps {
        client: client.clone(),
        namespace: namespace.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    // Served once it is known what is waited for: before, nothing would be missing.
    let followed = maps.follow();
    let usable = followed.usable();
    let server = tokio::spawn(health::serve(listener, metrics.clone(), health.clone()));
    listening(address);
    let keep_up = tokio::spawn(followed.keep_up);
    tracing::info!(%namespace, %address, version = env!("CARGO_PKG_VERSION"), "the controller starts");
    // The pod's name where there is one; a number makes each process another one.
    let name = std::env::var("POD_NAME").unwrap_or_else(|_| naming::LEASE.into());
    let identity = format!("{name}_{}", uuid::Uuid::new_v4());
    let config = ControllerConfig {
        lease: Some(LeaseConfig::new(identity)),
        metrics,
        health,
        ..ControllerConfig::live(followed.settings, &namespace, env!("CARGO_PKG_VERSION"))
    };
    let (told, ended) = tokio::sync::oneshot::channel::<()>();
    let mut shutdown = pin!(shutdown);
    let controller = async {
        tokio::select! {
            () = usable => {}
            () = &mut shutdown => return,
        }
        run(client, config, async {
            shutdown.await;
            tracing::info!("told to end: finishing what is under way");
            drop(told);
        })
        .await;
    };
    if drained(controller, async { drop(ended.await) }, DRAIN).await {
        tracing::info!("the controller has ended");
    } else {
        tracing::warn!(
            seconds = DRAIN.as_secs(),
            "what was under way takes too long; it is taken up at the next start"
        );
    }
    keep_up.abort();
    server.abort();
    Ok(())
}

/// Does `work`, for no longer than `limit` after `told`; whether it came to its end.
async fn drained(
    work: impl Future<Output = ()>,
    told: impl Future<Output = ()>,
    limit: Duration,
) -> bool {
    let too_long = async {
        told.await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        () = work => true,
        () = too_long => false,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_is_under_way_is_waited_for_up_to_a_limit() {
        let forever = drained(pending::<()>(), ready(()), Duration::from_millis(20));
        let ended = tokio::time::timeout(Duration::from_secs(60), forever).await;
        assert_eq!(ended, Ok(false));
        assert!(drained(ready(()), ready(()), Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn the_clock_begins_when_the_process_is_told_to_end() {
        let long = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        assert!(drained(long, pending::<()>(), Duration::ZERO).await);
    }
}
