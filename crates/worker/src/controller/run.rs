//! The loop: who leads, and the three steps of a reconciliation (observe, plan, apply).

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt, channel::mpsc, stream};
use kube::{Api, Client, ResourceExt, core::DeserializeGuard};
use kube_runtime::{
    Config, WatchStreamExt, applier,
    controller::{Action, trigger_self},
    events::{Recorder, Reporter},
    reflector::{self, Store, store::Writer},
    watcher,
};
use tokio_util::sync::CancellationToken;

use super::{
    ControllerConfig, apply,
    cache::{Caches, Pauses},
    calls,
    error::{Category, Error},
    judge, lease,
    memory::Memory,
    observe::{RunResource, Sources, observe},
    plan::{at_rest, plan, refused},
    thin::Thin,
    wake,
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Phase, Run, RunKind, naming},
};

/// Runs reconciled at the same time, of each kind.
const CONCURRENCY: u16 = 8;
/// So many times as long as one call may take, a whole reconciliation may.
const CALLS: u32 = 12;

/// What every reconciliation uses.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) recorder: Recorder,
    pub(super) config: ControllerConfig,
    pub(super) memory: Memory,
    pub(super) caches: Caches,
    pub(super) code_runs: Store<DeserializeGuard<CodeRun>>,
    pub(super) stop: CancellationToken,
}

/// Looks after the runs of a namespace until `shutdown`, then finishes what it is at, gives its Lease back and returns.
///
/// Needs the definitions to be installed ([`super::install_crds`]). Errors are retried; they end up in the log and, when the
/// cluster refuses something for good, in an Event of the run.
pub async fn run(
    client: Client,
    config: ControllerConfig,
    shutdown: impl Future<Output = ()> + Send,
) {
    let client = calls::bounded(client, config.patience);
    let stop = CancellationToken::new();
    let work = || look_after_runs(client.clone(), config.clone(), stop.child_token());
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
        () = say_who_leads(&config) => {}
    }
}

/// Keeps the metrics as the Lease is. Who does not lead watches no runs, and waits for none.
async fn say_who_leads(config: &ControllerConfig) {
    let mut leading = config.leading.subscribe();
    loop {
        let leads = *leading.borrow_and_update();
        config.metrics.leading(leads);
        if !leads {
            for kind in RunKind::ALL {
                config.health.without(kind.resource_kind());
            }
        }
        // The configuration itself holds a sender.
        if leading.changed().await.is_err() {
            return;
        }
    }
}

/// Until `stop`. Everything it knows it learns anew: what was known before may be another controller's past.
async fn look_after_runs(client: Client, config: ControllerConfig, stop: CancellationToken) {
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
    let (wake_docs, docs_woken) = mpsc::unbounded();
    let (wake_code, code_woken) = mpsc::unbounded();
    let wake = wake::Wake {
        docs: wake_docs,
        code: wake_code,
    };
    let reconciling = async {
        tokio::join!(
            reconcile_kind::<DocsRun>(&context, RunKind::Docs, docs_runs, docs_writer, docs_woken),
            reconcile_kind::<CodeRun>(&context, RunKind::Code, code_runs, code_writer, code_woken),
        )
    };
    tokio::select! {
        _ = reconciling => {}
        () = wake::watch_owned(&context, &wake) => {}
    }
}

async fn reconcile_kind<K: RunResource>(
    context: &Arc<Context>,
    kind: RunKind,
    store: Store<DeserializeGuard<K>>,
    writer: Writer<DeserializeGuard<K>>,
    woken: mpsc::UnboundedReceiver<wake::Touched>,
) {
    let namespace = context.config.namespace.as_str();
    let ControllerConfig {
        settings,
        metrics,
        health,
        ..
    } = &context.config;
    let part = kind.resource_kind();
    health.waits_for(part, "not listed yet");
    let runs: Api<DeserializeGuard<K>> = Api::namespaced(context.client.clone(), namespace);
    metrics.runs_of(kind, phases(store.clone()));
    let changed = watcher::watcher(runs, watcher::Config::default()).modify(Thin::thin);
    let changed = reflector::reflector(writer, changed)
        .backoff(Pauses::new(context.config.retry_delays.watch))
        .touched_objects()
        .inspect_err(|error| {
            health.still_waits_for(part, &error.to_string());
            tracing::warn!(kind = part, %error, "the watch of the runs broke");
        })
        .predicate_filter(
            wake::what_a_person_changed,
            kube_runtime::PredicateConfig::default(),
        );
    let triggers = [
        trigger_self(changed, ()).boxed(),
        wake::concerned(store.clone(), namespace.to_owned(), woken).boxed(),
        wake::unfinished(settings.changes(), store.clone()).boxed(),
    ];
    let stop = context.stop.clone();
    let queue = stream::select_all(triggers)
        .inspect_ok(|request| metrics.queued(kind, &request.obj_ref.name))
        .take_until(stop.clone().cancelled_owned());
    let listed = async {
        if store.wait_until_ready().await.is_ok() {
            health.has(part);
        }
        std::future::pending::<()>().await;
    };
    // Before the first list has come nothing is under way, and nothing would wake what waits for it.
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
            let wait = context.memory.failed(&uid, error.retry_after(delays), delays.most);
            tracing::warn!(run = object.name_any(), category = error.category().as_str(), ?wait, %error, "will try again");
            Action::requeue(wait)
        },
        Arc::clone(context),
        store.clone(),
        queue,
        Config::default().concurrency(CONCURRENCY),
    )
    .for_each(|outcome| async {
        if let Err(error) = outcome {
            tracing::debug!(%error, "a reconciliation did not come about");
        }
    });
    tokio::select! {
        () = reconciling => {}
        () = stopped_early => {}
        () = listed => {}
    }
    health.without(part);
}

/// Phase of each run, and what it waits for, as the metrics tell them.
fn phases<K: RunResource>(
    store: Store<DeserializeGuard<K>>,
) -> impl Fn() -> Vec<(String, Option<String>)> + Send + 'static {
    move || {
        let runs = store.state();
        let statuses = runs
            .iter()
            .filter_map(|run| Some(run.0.as_ref().ok()?.status()));
        let told = statuses.map(|status| {
            let phase = Phase::parse(status.and_then(|status| status.phase.as_deref()));
            let waits = status.filter(|_| phase == Phase::Pending);
            let waits = waits.and_then(|status| status.reason.clone());
            (phase.as_str().to_owned(), waits)
        });
        told.collect()
    }
}

/// One reconciliation, counted.
async fn reconcile<K: RunResource>(
    object: Arc<DeserializeGuard<K>>,
    context: Arc<Context>,
    kind: RunKind,
) -> Result<Action, Error> {
    let counted = context.config.metrics.reconciling(kind, &object.name_any());
    let outcome = reconcile_one::<K>(object, &context).await;
    counted.ended(match &outcome {
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
            tracing::warn!(run = object.name_any(), error = %invalid.error, "a run cannot be read and is left alone");
            return Ok(Action::await_change());
        }
    };
    tokio::select! {
        () = context.caches.ready() => {}
        () = context.stop.cancelled() => return Ok(Action::await_change()),
    }
    let longest = context.config.patience * CALLS;
    match tokio::time::timeout(longest, bring_further::<K>(run, context)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Late { after: longest }),
    }
}

async fn bring_further<K: RunResource>(run: Run, context: &Context) -> Result<Action, Error> {
    let config = &context.config;
    let memory = &context.memory;
    let mut run = memory.newest(run);
    let uid = run.uid().to_owned();
    if at_rest(&run) {
        let jobs = context.caches.jobs.of_run(&uid);
        if jobs.iter().all(|job| judge::is_final(job)) {
            memory.forget(&uid);
            return Ok(Action::await_change());
        }
        // What is kept of it in memory is not all of it.
        let runs: Api<K> = Api::namespaced(context.client.clone(), run.namespace());
        let whole = runs.get_opt(run.name()).await;
        let whole = whole.map_err(Error::cluster(format!("read the run {}", run.name())))?;
        match whole.filter(|whole| whole.meta().uid.as_deref() == Some(&uid)) {
            Some(whole) => run = whole.into(),
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
    let wake = plan.wake;
    let written = plan.status.clone();
    let (client, recorder) = (&context.client, &context.recorder);
    let mut passed = Vec::new();
    let run = &mut observed.run;
    let mut applied = apply::apply::<K>(client, recorder, run, &mut passed, plan).await;
    if let Err(error) = &applied
        && error.category() == Category::Refused
    {
        let reason = error.category().as_str();
        let told = refused(&observed, reason, &error.to_string());
        let run = &mut observed.run;
        let written = apply::apply::<K>(client, recorder, run, &mut passed, told).await;
        applied = written.and(applied);
    }
    memory.wrote(passed, observed.run.clone());
    memory.succeeded(&uid, applied?);
    if let Some(status) = written {
        let (attempts, usage) = (&status.attempts, status.usage);
        config.metrics.written(&observed.run, attempts, usage);
    }
    if leaving && wake.is_none() {
        memory.forget(&uid);
    }
    Ok(match wake {
        Some(wake) => Action::requeue(wake),
        None => Action::await_change(),
    })
}
