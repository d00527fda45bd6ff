//! Archives every run of the embedded cluster in the ledger when it ends, so that its log survives deletion. Prunes the
//! ledger to the limits in the settings.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::Run,
};
use flightdeck_host::ledger::{Ledger, Retention};
use flightdeck_verbs::ClusterContext;

/// Minimum time between two prunes.
const PRUNE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Archives runs until dropped, including runs that ended before the start.
pub(super) async fn run(context: ClusterContext, retention: Retention) {
    let ended = stream::select(ended::<DocsRun>(&context), ended::<CodeRun>(&context));
    let mut ended = pin!(ended);
    let mut pruned: Option<Instant> = None;
    while let Some(run) = ended.next().await {
        let namespace = run.metadata.namespace.clone();
        let context = ClusterContext {
            namespace: namespace.unwrap_or_else(|| context.namespace.clone()),
            ..context.clone()
        };
        if let Err(error) = flightdeck_verbs::archive_run(&context, &run).await {
            tracing::warn!(%error, "cannot archive a run");
        }
        let due = pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE_INTERVAL);
        if let Some(ledger) = context.ledger.filter(|_| due) {
            pruned = Some(Instant::now());
            prune(ledger, retention).await;
        }
    }
}

/// Yields ended runs of all namespaces, at every change.
fn ended<K>(context: &ClusterContext) -> impl Stream<Item = Run> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    Run: From<K>,
{
    let api = Api::<DeserializeGuard<K>>::all(context.client.clone());
    let objects = watcher(api, watcher::Config::default())
        .default_backoff()
        .touched_objects();
    objects.filter_map(async |object| {
        let object = object.inspect_err(|error| tracing::warn!(%error, "watching runs failed"));
        let run = Run::from(object.ok()?.0.ok()?);
        let deleting = run.metadata.deletion_timestamp.is_some();
        (run.ended() && !deleting).then_some(run)
    })
}

async fn prune(ledger: Ledger, retention: Retention) {
    let pruned = tokio::task::spawn_blocking(move || {
        let plan = ledger.plan_prune(&retention, Timestamp::now())?;
        ledger.prune(&plan)
    });
    match pruned.await {
        Ok(Ok(pruned)) => {
            for run in pruned {
                tracing::info!(run = run.name, why = run.why, "pruned from the ledger");
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "cannot prune the ledger"),
        // The runtime is shutting down.
        Err(_) => {}
    }
}
