//! The loop: what wakes a reconciliation, and the three steps of one (observe, plan, apply).

use std::{hash::Hash, hash::Hasher, sync::Arc};

use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
    },
};
use kube::{Api, Client, Resource, ResourceExt, core::DeserializeGuard};
use kube_runtime::{
    Config, WatchStreamExt, applier,
    controller::{Action, ReconcileRequest, trigger_self, trigger_with},
    events::{Recorder, Reporter},
    reflector::{self, ObjectRef, Store},
    watcher,
};
use serde::de::DeserializeOwned;

use super::{
    Health, LiveSettings, Metrics, apply,
    error::{Category, Error, RetryDelays},
    observe::{RunResource, observe},
    plan::{at_rest, plan, refused, why},
};
use crate::{
    resources::{CodeRun, DocsRun},
    runs::{Phase, Run, RunKind, naming},
    settings::Settings,
    templates::Templates,
};

/// Runs reconciled at the same time, of each kind.
const CONCURRENCY: u16 = 8;

/// What a controller is told.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    pub settings: LiveSettings,
    /// The namespace whose runs it looks after.
    pub namespace: String,
    /// Version of this program, as Events name their reporter.
    pub version: &'static str,
    /// Templates of the runs' files.
    pub templates: Arc<Templates>,
    /// Waits after errors. Shorter ones suit a cluster that fails on purpose.
    pub retry_delays: RetryDelays,
    /// What is counted.
    pub metrics: Metrics,
    /// What has to be there before it is of use.
    pub health: Health,
}

impl ControllerConfig {
    /// A controller with the shipped templates and delays.
    #[must_use]
    pub fn new(settings: Arc<Settings>, namespace: &str, version: &'static str) -> Self {
        Self::live(LiveSettings::fixed(settings), namespace, version)
    }

    /// The same with settings that may change.
    #[must_use]
    pub fn live(settings: LiveSettings, namespace: &str, version: &'static str) -> Self {
        Self {
            settings,
            namespace: namespace.to_owned(),
            version,
            templates: Arc::default(),
            retry_delays: RetryDelays::default(),
            metrics: Metrics::default(),
            health: Health::default(),
        }
    }
}

struct Context {
    client: Client,
    recorder: Recorder,
    config: ControllerConfig,
}

/// Looks after the runs of a namespace until `shutdown`, then finishes what it is at and returns.
///
/// Needs the definitions to be installed ([`super::install_crds`]). Errors are retried; they end up in the log and, when the
/// cluster refuses something for good, in an Event of the run.
pub async fn run(
    client: Client,
    config: ControllerConfig,
    shutdown: impl Future<Output = ()> + Send,
) {
    let reporter = Reporter {
        controller: naming::MANAGER.into(),
        instance: Some(config.version.to_owned()),
    };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        config,
    });
    let stop = tokio_util::sync::CancellationToken::new();
    let both = async {
        tokio::join!(
            reconcile_kind::<DocsRun>(&context, RunKind::Docs, stop.child_token()),
            reconcile_kind::<CodeRun>(&context, RunKind::Code, stop.child_token()),
        )
    };
    let shutdown = async {
        shutdown.await;
        stop.cancel();
    };
    tokio::join!(both, shutdown);
}

async fn reconcile_kind<K: RunResource>(
    context: &Arc<Context>,
    kind: RunKind,
    stop: tokio_util::sync::CancellationToken,
) {
    let namespace = context.config.namespace.as_str();
    let ControllerConfig {
        settings,
        metrics,
        health,
        ..
    } = &context.config;
    let part = kind.resource();
    health.waits_for(part, "not listed yet");
    let runs: Api<DeserializeGuard<K>> = Api::namespaced(context.client.clone(), namespace);
    let (store, writer) = reflector::store();
    metrics.runs_of(kind, phases(store.clone()));
    let changed = reflector::reflector(writer, watcher::watcher(runs, watcher::Config::default()))
        .default_backoff()
        .touched_objects()
        .inspect_err(|error| {
            health.still_waits_for(part, &error.to_string());
            tracing::warn!(kind = part, %error, "the watch of the runs broke");
        })
        .predicate_filter(
            what_a_person_changed,
            kube_runtime::PredicateConfig::default(),
        );
    let mut triggers = vec![
        trigger_self(changed, ()).boxed(),
        owned::<K, Job>(context, kind, store.clone()).boxed(),
        owned::<K, Pod>(context, kind, store.clone()).boxed(),
        owned::<K, ConfigMap>(context, kind, store.clone()).boxed(),
        owned::<K, PersistentVolumeClaim>(context, kind, store.clone()).boxed(),
        unfinished(settings.changes(), store.clone()).boxed(),
    ];
    if kind == RunKind::Code {
        triggers.push(waiting_for::<K>(context, store.clone()).boxed());
    }
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
            tracing::warn!(run = object.name_any(), category = error.category().as_str(), %error, "will try again");
            Action::requeue(error.retry_after(&context.config.retry_delays))
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
        let runs = store.state().into_iter();
        let runs = runs.filter_map(|guard| guard.0.clone().ok().map(Into::<Run>::into));
        runs.map(|run| {
            let phase = run.phase();
            let waits = (phase == Phase::Pending).then_some(run.status.reason);
            (phase.as_str().to_owned(), waits.flatten())
        })
        .collect()
    }
}

/// Settings that change wake every run that has not ended: what it was refused, or waited for, may be so no more.
fn unfinished<K: RunResource>(
    changes: impl Stream<Item = ()>,
    store: Store<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> {
    changes.flat_map(move |()| {
        let runs = store.state().into_iter();
        let runs = runs.filter_map(|guard| guard.0.clone().ok().map(Into::<Run>::into));
        let waking = runs.filter(|run: &Run| !at_rest(run)).map(|run| {
            let named = ObjectRef::<DeserializeGuard<K>>::new(run.name()).within(run.namespace());
            Ok(ReconcileRequest::from(named))
        });
        stream::iter(waking.collect::<Vec<_>>())
    })
}

/// A run's own status is no reason to look at it again; what people and the API server change in it is.
fn what_a_person_changed<K: Resource>(object: &K) -> Option<u64> {
    let meta = object.meta();
    let mut hasher = std::hash::DefaultHasher::new();
    meta.generation?.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    Some(hasher.finish())
}

/// Changes of objects labelled as a run's wake that run.
fn owned<K: RunResource, T>(
    context: &Context,
    kind: RunKind,
    store: Store<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> + use<K, T>
where
    T: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let namespace = context.config.namespace.clone();
    let api: Api<T> = Api::namespaced(context.client.clone(), &namespace);
    let ours = format!(
        "{}={},{}={kind}",
        naming::LABEL_MANAGED_BY,
        naming::MANAGER,
        naming::LABEL_KIND
    );
    let changes = watcher::watcher(api, watcher::Config::default().labels(&ours));
    trigger_with(changes.default_backoff().touched_objects(), move |object| {
        let name = object.labels().get(naming::LABEL_RUN)?;
        let named = ObjectRef::<DeserializeGuard<K>>::new(name).within(&namespace);
        if store.get(&named).is_some() {
            return Some(named);
        }
        // A label holds 63 characters of a name that may have 253; the uid tells such a run.
        let uid = object.labels().get(naming::LABEL_RUN_UID)?;
        let run = store.find(|run| run.uid().as_ref() == Some(uid))?;
        Some(ObjectRef::from_obj(&*run))
    })
}

/// A shared workspace that changes wakes the runs that wait for it.
fn waiting_for<K: RunResource>(
    context: &Context,
    store: Store<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> + use<K> {
    let api: Api<PersistentVolumeClaim> =
        Api::namespaced(context.client.clone(), &context.config.namespace);
    let ours = format!("{}={}", naming::LABEL_MANAGED_BY, naming::MANAGER);
    let changes = watcher::watcher(api, watcher::Config::default().labels(&ours));
    trigger_with(changes.default_backoff().touched_objects(), move |claim| {
        let name = claim.name_any();
        let waits = |run: &Run| {
            let reason = run.status.reason.as_deref();
            let waits = matches!(reason, Some(why::IN_USE | why::TERMINATING));
            waits && run.status.workspace_name.as_deref() == Some(name.as_str())
        };
        let runs = store.state().into_iter();
        let runs = runs.filter_map(|guard| guard.0.clone().ok().map(Into::<Run>::into));
        runs.filter(waits)
            .map(|run| ObjectRef::<DeserializeGuard<K>>::new(run.name()).within(run.namespace()))
            .collect::<Vec<_>>()
    })
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
    let config = &context.config;
    let name = object.name_any();
    if object
        .0
        .as_ref()
        .is_ok_and(|run| at_rest(&run.clone().into()))
    {
        return Ok(Action::await_change());
    }
    let observed = observe::<K>(
        &context.client,
        &config.namespace,
        &name,
        &config.settings.current(),
        &config.templates,
    )
    .await?;
    let Some(observed) = observed else {
        return Ok(Action::await_change());
    };
    let plan = plan(&observed);
    let wake = plan.wake;
    let written = plan.status.clone();
    let applied = apply::apply::<K>(&context.client, &context.recorder, &observed, plan).await;
    if let Err(error) = &applied
        && error.category() == Category::Refused
    {
        let reason = error.category().as_str();
        let told = refused(&observed, reason, &error.to_string());
        apply::apply::<K>(&context.client, &context.recorder, &observed, told).await?;
    }
    applied?;
    if let Some(status) = written {
        let (attempts, usage) = (&status.attempts, status.usage);
        config.metrics.written(&observed.run, attempts, usage);
    }
    Ok(match wake {
        Some(wake) => Action::requeue(wake),
        None => Action::await_change(),
    })
}
