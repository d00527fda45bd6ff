//! Keeps every run of the embedded cluster in the ledger as soon as it ends: nobody has to have watched it, and whoever
//! deletes it, the log stays. Only what is in the ledger is bounded, by the settings.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{Api, Resource, core::DeserializeGuard};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::Run,
};
use flightdeck_host::ledger::{Ledger, Retention};
use flightdeck_verbs::ClusterContext;

/// Least time between two looks for what may go.
const PRUNE: Duration = Duration::from_secs(10 * 60);

/// Keeps runs until it is dropped. Those that ended before it began are kept as well.
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
            tracing::warn!(%error, "its log may be lost with its pods");
        }
        let due = pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE);
        if let Some(ledger) = context.ledger.filter(|_| due) {
            pruned = Some(Instant::now());
            prune(ledger, retention).await;
        }
    }
}

/// The runs of all namespaces that have ended, each at every change.
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
        let object = object.inspect_err(|error| tracing::warn!(%error, "the watch of runs broke"));
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
                tracing::info!(run = run.name, why = run.why, "is kept no longer");
            }
        }
        Ok(Err(error)) => tracing::warn!(%error, "the ledger is not pruned"),
        // It was dropped with the runtime.
        Err(_) => {}
    }
}
