//! The main loop: leadership, and the three steps of a reconciliation (observe, plan, apply).

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, channel::mpsc, stream};
use kube::runtime::{
    Config, WatchStreamExt, applier,
    controller::{Action, trigger_self},
    events::{Recorder, Reporter},
    reflector::{self, Store, store::Writer},
    watcher,
};
use kube::{Api, Client, ResourceExt, core::DeserializeGuard};
use tokio_util::sync::CancellationToken;

use super::{
    ControllerConfig, api_client, apply,
    cache::{Caches, WatchBackoff},
    error::{Category, Error},
    job_state, lease,
    memory::Memory,
    observe::{RunResource, Sources, observe},
    plan::{is_settled, plan, refused},
    prune::Prune,
    trigger,
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Phase, Run, RunKind, naming},
};

/// Maximum number of concurrent reconciliations, per kind.
const CONCURRENCY: u16 = 8;
/// Timeout of a reconciliation, in multiples of the call timeout.
const CALLS: u32 = 12;

/// State shared by all reconciliations.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    pub(super) config: ControllerConfig,
    pub(super) memory: Memory,
    pub(super) caches: Caches,
    pub(super) code_runs: Store<DeserializeGuard<CodeRun>>,
    pub(super) stop: CancellationToken,
}

/// Reconciles the runs of a namespace until `shutdown`, then finishes running reconciliations, releases the Lease and returns.
///
/// Requires installed CRDs ([`super::install_crds`]). Errors are logged and retried; those that a person must resolve are also
/// reported in the run's status and Events.
pub async fn run(
    client: Client,
    config: ControllerConfig,
    shutdown: impl Future<Output = ()> + Send,
) {
    let client = api_client::with_timeout(client, config.call_timeout);
    let stop = CancellationToken::new();
    let work = || reconcile_all(client.clone(), config.clone(), stop.child_token());
    let working = async {
        let Some(lease) = &config.lease else {
            config.leading.send_replace(true);
            return work().await;
        };
        lease::while_leading(
            &client,
            &config.namespace,
            lease,
            &config.leading,
            &stop,
            work,
        )
        .await;
    };
    let shutdown = async {
        shutdown.await;
        stop.cancel();
    };
    let until_the_end = async { tokio::join!(working, shutdown) };
    tokio::select! {
        _ = until_the_end => config.metrics.leading(false),
        () = publish_leadership(&config) => {}
    }
}

/// Updates metrics and readiness with the leadership: without it, no runs are watched.
async fn publish_leadership(config: &ControllerConfig) {
    let mut leading = config.leading.subscribe();
    loop {
        let leads = *leading.borrow_and_update();
        config.metrics.leading(leads);
        if !leads {
            for kind in RunKind::ALL {
                config.health.remove(kind.resource_kind());
            }
        }
        // Never fails: the configuration owns a sender.
        if leading.changed().await.is_err() {
            return;
        }
    }
}

/// Runs until `stop`. Starts with empty caches: cached state may predate another leader's writes.
async fn reconcile_all(client: Client, config: ControllerConfig, stop: CancellationToken) {
    let reporter = Reporter {
        controller: naming::MANAGER.into(),
        instance: Some(config.version.to_owned()),
    };
    let (docs_runs, docs_writer) = reflector::store();
    let (code_runs, code_writer) = reflector::store();
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        config,
        memory: Memory::default(),
        caches: Caches::default(),
        code_runs: code_runs.clone(),
        stop,
    });
    let (docs_sender, docs_triggers) = mpsc::unbounded();
    let (code_sender, code_triggers) = mpsc::unbounded();
    let senders = trigger::Senders {
        docs: docs_sender,
        code: code_sender,
    };
    let reconciling = async {
        tokio::join!(
            reconcile_kind::<DocsRun>(
                &context,
                RunKind::Docs,
                docs_runs,
                docs_writer,
                docs_triggers
            ),
            reconcile_kind::<CodeRun>(
                &context,
                RunKind::Code,
                code_runs,
                code_writer,
                code_triggers
            ),
        )
    };
    tokio::select! {
        _ = reconciling => {}
        () = trigger::watch_owned(&context, &senders) => {}
    }
}

async fn reconcile_kind<K: RunResource>(
    context: &Arc<Context>,
    kind: RunKind,
    store: Store<DeserializeGuard<K>>,
    writer: Writer<DeserializeGuard<K>>,
    owned: mpsc::UnboundedReceiver<trigger::OwnedChange>,
) {
    let namespace = context.config.namespace.as_str();
    let ControllerConfig {
        settings,
        metrics,
        health,
        ..
    } = &context.config;
    let part = kind.resource_kind();
    health.set_pending(part, "not listed yet");
    let runs: Api<DeserializeGuard<K>> = Api::namespaced(context.client.clone(), namespace);
    metrics.runs_of(kind, phases(store.clone()));
    let changed = watcher::watcher(runs, watcher::Config::default()).modify(Prune::prune);
    let changed = reflector::reflector(writer, changed)
        .backoff(WatchBackoff::new(context.config.retry_delays.watch))
        .touched_objects()
        .inspect_err(|error| {
            health.update_pending(part, &error.to_string());
            tracing::warn!(kind = part, %error, "the watch of runs failed");
        })
        .predicate_filter(
            trigger::spec_hash,
            kube::runtime::PredicateConfig::default(),
        );
    let triggers = [
        trigger_self(changed, ()).boxed(),
        trigger::affected_runs(store.clone(), namespace.to_owned(), owned).boxed(),
        trigger::on_settings_change(settings.changes(), store.clone()).boxed(),
    ];
    let stop = context.stop.clone();
    let queue = stream::select_all(triggers)
        .inspect_ok(|request| metrics.queued(kind, &request.obj_ref.name))
        .take_until(stop.clone().cancelled_owned());
    let listed = async {
        if store.wait_until_ready().await.is_ok() {
            health.set_ready(part);
        }
        std::future::pending::<()>().await;
    };
    // Before the first list nothing runs yet, but the queue would wait for the store forever.
    let stopped_early = {
        let store = store.clone();
        async move {
            stop.cancelled().await;
            if store.wait_until_ready().now_or_never().is_some() {
                std::future::pending::<()>().await;
            }
        }
    };
    let reconciling = applier(
        |object, context| Box::pin(reconcile::<K>(object, context, kind)),
        |object: Arc<DeserializeGuard<K>>, error: &Error, context: Arc<Context>| {
            let delays = &context.config.retry_delays;
            let uid = object.uid().unwrap_or_default();
            let wait = context.memory.failed(&uid, error.retry_after(delays), delays.max);
            tracing::warn!(run = object.name_any(), category = error.category().as_str(), ?wait, %error, "reconcile failed; retrying");
            Action::requeue(wait)
        },
        Arc::clone(context),
        store.clone(),
        queue,
        Config::default().concurrency(CONCURRENCY),
    )
    .for_each(|outcome| async {
        if let Err(error) = outcome {
            tracing::debug!(%error, "could not start a reconcile");
        }
    });
    tokio::select! {
        () = reconciling => {}
        () = stopped_early => {}
        () = listed => {}
    }
    health.remove(part);
}

/// Returns phase and waiting reason of each run, for the metrics.
fn phases<K: RunResource>(
    store: Store<DeserializeGuard<K>>,
) -> impl Fn() -> Vec<(String, Option<String>)> + Send + 'static {
    move || {
        let runs = store.state();
        let statuses = runs
            .iter()
            .filter_map(|run| Some(run.0.as_ref().ok()?.status()));
        let phases = statuses.map(|status| {
            let phase = Phase::parse(status.and_then(|status| status.phase.as_deref()));
            let waits = status.filter(|_| phase == Phase::Pending);
            let waits = waits.and_then(|status| status.reason.clone());
            (phase.as_str().to_owned(), waits)
        });
        phases.collect()
    }
}

/// Reconciles a run and updates the metrics.
async fn reconcile<K: RunResource>(
    object: Arc<DeserializeGuard<K>>,
    context: Arc<Context>,
    kind: RunKind,
) -> Result<Action, Error> {
    let guard = context.config.metrics.reconciling(kind, &object.name_any());
    let outcome = reconcile_one::<K>(object, &context).await;
    guard.ended(match &outcome {
        Ok(_) => "ok",
        Err(error) => error.category().as_str(),
    });
    outcome
}

async fn reconcile_one<K: RunResource>(
    object: Arc<DeserializeGuard<K>>,
    context: &Context,
) -> Result<Action, Error> {
    let run: Run = match &object.0 {
        Ok(run) => run.clone().into(),
        Err(invalid) => {
            tracing::warn!(run = object.name_any(), error = %invalid.error, "ignoring a run that cannot be parsed");
            return Ok(Action::await_change());
        }
    };
    tokio::select! {
        () = context.caches.ready() => {}
        () = context.stop.cancelled() => return Ok(Action::await_change()),
    }
    let limit = context.config.call_timeout * CALLS;
    match tokio::time::timeout(limit, reconcile_run::<K>(run, context)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout { after: limit }),
    }
}

async fn reconcile_run<K: RunResource>(run: Run, context: &Context) -> Result<Action, Error> {
    let config = &context.config;
    let memory = &context.memory;
    let mut run = memory.newest(run);
    let uid = run.uid().to_owned();
    if is_settled(&run) {
        let jobs = context.caches.jobs.of_run(&uid);
        if jobs.iter().all(|job| job_state::is_final(job)) {
            memory.forget(&uid);
            return Ok(Action::await_change());
        }
        // The cached run is pruned; read all of it.
        let runs: Api<K> = Api::namespaced(context.client.clone(), run.namespace());
        let full = runs.get_opt(run.name()).await;
        let full = full.map_err(Error::cluster(format!("read the run {}", run.name())))?;
        match full.filter(|full| full.meta().uid.as_deref() == Some(&uid)) {
            Some(full) => run = full.into(),
            None => return Ok(Action::await_change()),
        }
    }
    let settings = config.settings.current();
    let sources = Sources {
        client: &context.client,
        settings: &settings,
        templates: &config.templates,
        memory,
        caches: &context.caches,
        slow_start: config.slow_start,
        code_runs: &context.code_runs,
    };
    let mut observed = observe(&sources, run).await?;
    let leaving = observed.run.metadata.deletion_timestamp.is_some();
    let plan = plan(&observed);
    let requeue = plan.requeue;
    let written = plan.status.clone();
    let (client, recorder) = (&context.client, &context.recorder);
    let mut passed = Vec::new();
    let run = &mut observed.run;
    let mut applied = apply::apply::<K>(client, recorder, run, &mut passed, plan).await;
    if let Err(error) = &applied
        && error.category() == Category::Refused
    {
        let reason = error.category().as_str();
        let report = refused(&observed, reason, &error.to_string());
        let run = &mut observed.run;
        let written = apply::apply::<K>(client, recorder, run, &mut passed, report).await;
        applied = written.and(applied);
    }
    memory.wrote(passed, observed.run.clone());
    memory.succeeded(&uid, applied?);
    if let Some(status) = written {
        let (attempts, usage) = (&status.attempts, status.usage);
        config.metrics.written(&observed.run, attempts, usage);
    }
    if leaving && requeue.is_none() {
        memory.forget(&uid);
    }
    Ok(match requeue {
        Some(delay) => Action::requeue(delay),
        None => Action::await_change(),
    })
}
