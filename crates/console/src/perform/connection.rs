//! The connection to the cluster: retries with backoff, then watches its objects.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::{local_context::LocalContext, send::send};
use crate::{
    connection::{Connect, Connected},
    effect::{ConnectionEffect, Outcome},
    msg::Msg,
    world::Delta,
};
use flightdeck_core::backoff::Backoff;
use flightdeck_host::{cluster, ledger::Ledger, settings::Settings};
use flightdeck_verbs::ClusterContext;

/// Backoff after failed attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));

#[derive(Clone)]
enum Status {
    Connecting,
    Ready(Arc<ClusterContext>),
    Failed(String),
}

/// A handle to the connection, which is made in the background.
#[derive(Clone)]
pub(super) struct Connection {
    status: watch::Receiver<Status>,
    /// Ends the current backoff.
    retry: Arc<Notify>,
}

/// Returns the handle, and the future that connects and then sends watch events.
pub(super) fn start(
    connect: Connect,
    local: Arc<LocalContext>,
    settings: Arc<Settings>,
    ledger: Option<Ledger>,
    sender: mpsc::Sender<Msg>,
) -> (Connection, impl Future<Output = ()> + Send) {
    let (status, receiver) = watch::channel(Status::Connecting);
    let retry = Arc::new(Notify::new());
    let connection = Connection {
        status: receiver,
        retry: Arc::clone(&retry),
    };
    let connecting = async move {
        let connected = connect_with_backoff(&connect, &retry, &status, &sender).await;
        local.set_cluster(&connected);
        let context = ClusterContext {
            client: connected.client,
            namespace: connected.target.namespace.clone(),
            settings,
            ledger,
        };
        send(&sender, Msg::World(Delta::Cluster(connected.target))).await;
        for notice in connected.notices {
            send(&sender, Msg::Done(Outcome::Warning(notice))).await;
        }
        let mut deltas = pin!(cluster::watch_runs(&context.client, &context.namespace));
        status.send_replace(Status::Ready(Arc::new(context)));
        while let Some(delta) = deltas.next().await {
            send(&sender, Msg::World(Delta::Watch(Box::new(delta)))).await;
        }
    };
    (connection, connecting)
}

impl Connection {
    pub(super) fn perform(&self, effect: ConnectionEffect) {
        match effect {
            ConnectionEffect::Retry => self.retry.notify_one(),
        }
    }

    /// Waits for the result of the current attempt.
    ///
    /// # Errors
    /// If the cluster cannot be reached, with the reason as a sentence.
    pub(super) async fn ready(mut self) -> Result<Arc<ClusterContext>, String> {
        let settled = self
            .status
            .wait_for(|status| !matches!(status, Status::Connecting))
            .await;
        match settled.as_deref() {
            Ok(Status::Ready(context)) => Ok(context.clone()),
            Ok(Status::Failed(reason)) => Err(reason.clone()),
            Ok(Status::Connecting) | Err(_) => Err("not connected to a cluster".into()),
        }
    }
}

/// Connects in the background, with exponential backoff.
async fn connect_with_backoff(
    connect: &Connect,
    retry: &Notify,
    status: &watch::Sender<Status>,
    sender: &mpsc::Sender<Msg>,
) -> Connected {
    let mut failures = 0_u32;
    loop {
        let reason = match connect().await {
            Ok(connected) => return connected,
            Err(reason) => reason,
        };
        status.send_replace(Status::Failed(reason.clone()));
        let delay = BACKOFF.delay(failures);
        failures = failures.saturating_add(1);
        let next = Timestamp::now() + delay;
        send(sender, Msg::World(Delta::Unreachable(reason, next))).await;
        // Both a timeout and a notification start the next attempt.
        let _ = tokio::time::timeout(delay, retry.notified()).await;
        send(sender, Msg::World(Delta::Connecting)).await;
    }
}
