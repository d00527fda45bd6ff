//! What runs own or wait for, watched once per kind of object: it fills the caches and wakes the runs concerned.

use std::hash::{Hash, Hasher};

use futures::{Stream, StreamExt, channel::mpsc, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, object::HasStatus},
};
use kube_runtime::{
    WatchStreamExt,
    controller::ReconcileRequest,
    reflector::{ObjectRef, Store},
    watcher,
};
use serde::de::DeserializeOwned;

use super::{
    cache::{Cache, Pauses, Thin},
    observe::RunResource,
    plan::{at_rest, why},
    run::Context,
};
use crate::{
    resources::RunStatus,
    runs::{Run, RunKind, naming},
};

/// Something that runs own, or wait for, has changed.
pub(super) struct Touched {
    /// The run by name and uid; `None` for a workspace that several share.
    run: Option<(String, String)>,
    name: String,
}

/// Wakes the runs of either kind.
pub(super) struct Wake {
    pub(super) docs: mpsc::UnboundedSender<Touched>,
    pub(super) code: mpsc::UnboundedSender<Touched>,
}

impl Wake {
    fn touched<T: ResourceExt>(&self, object: &T) {
        let labels = object.labels();
        let kinds = RunKind::ALL.into_iter();
        let kind = kinds.filter(|kind| {
            labels
                .get(naming::LABEL_KIND)
                .is_some_and(|word| word == kind.as_str())
        });
        let label = |key| labels.get(key).cloned();
        for kind in kind {
            let sender = match kind {
                RunKind::Docs => &self.docs,
                RunKind::Code => &self.code,
            };
            let touched = Touched {
                run: label(naming::LABEL_RUN).zip(label(naming::LABEL_RUN_UID)),
                name: object.name_any(),
            };
            // Nobody listens any more when the controller ends.
            drop(sender.unbounded_send(touched));
        }
    }
}

/// Keeps the caches as the cluster is; each kind of object is watched once.
pub(super) async fn watch_owned(context: &Context, wake: &Wake) {
    let caches = &context.caches;
    let kept = format!(",!{}", naming::LABEL_KEPT);
    tokio::join!(
        feed(context, &caches.jobs, "", wake),
        feed(context, &caches.pods, "", wake),
        feed(context, &caches.claims, "", wake),
        // The kept ends of logs are many, and nobody here reads them.
        feed(context, &caches.files, &kept, wake),
    );
}

async fn feed<T>(context: &Context, cache: &Cache<T>, but: &str, wake: &Wake)
where
    T: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Thin
        + Send
        + 'static,
{
    let ours = format!("{}={}{but}", naming::LABEL_MANAGED_BY, naming::MANAGER);
    let api: Api<T> = Api::namespaced(context.client.clone(), &context.config.namespace);
    let events = watcher::watcher(api, watcher::Config::default().labels(&ours));
    let events = events.backoff(Pauses::new(context.config.retry_delays.watch));
    cache.feed(events, |object| wake.touched(object)).await;
}

/// Settings that change wake every run that has not ended: what it was refused, or waited for, may be so no more.
pub(super) fn unfinished<K: RunResource>(
    changes: impl Stream<Item = ()>,
    store: Store<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> {
    changes.flat_map(move |()| {
        let waking = known(&store).filter(|run: &Run| !at_rest(run)).map(|run| {
            let named = ObjectRef::<DeserializeGuard<K>>::new(run.name()).within(run.namespace());
            Ok(ReconcileRequest::from(named))
        });
        stream::iter(waking.collect::<Vec<_>>())
    })
}

/// A run's own status is no reason to look at it again; what people and the API server change in it is.
pub(super) fn what_a_person_changed<K: Resource>(object: &K) -> Option<u64> {
    let meta = object.meta();
    let mut hasher = std::hash::DefaultHasher::new();
    meta.generation?.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    Some(hasher.finish())
}

/// The runs that are concerned when something is touched: its own run, or those that wait for a shared workspace.
pub(super) fn concerned<K: RunResource>(
    store: Store<DeserializeGuard<K>>,
    namespace: String,
    woken: impl Stream<Item = Touched>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> {
    woken.flat_map(move |touched| {
        let runs: Vec<_> = match &touched.run {
            Some((name, uid)) => of_name(&store, &namespace, name, uid).into_iter().collect(),
            None => waiting_for(&store, &touched.name),
        };
        let requests = runs.into_iter().map(|run| Ok(ReconcileRequest::from(run)));
        stream::iter(requests.collect::<Vec<_>>())
    })
}

fn of_name<K: RunResource>(
    store: &Store<DeserializeGuard<K>>,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Option<ObjectRef<DeserializeGuard<K>>> {
    let is_it = |run: &DeserializeGuard<K>| run.meta().uid.as_deref() == Some(uid);
    let named = store.get(&ObjectRef::new(name).within(namespace));
    // A label holds 63 characters of a name that may have 253; the uid tells such a run.
    let run = named
        .filter(|run| is_it(run))
        .or_else(|| store.find(is_it))?;
    Some(ObjectRef::from_obj(&*run))
}

fn waiting_for<K: RunResource>(
    store: &Store<DeserializeGuard<K>>,
    claim: &str,
) -> Vec<ObjectRef<DeserializeGuard<K>>> {
    let waits = |status: &RunStatus| {
        let reason = status.reason.as_deref();
        let waits = matches!(reason, Some(why::IN_USE | why::TERMINATING));
        waits && status.workspace_name.as_deref() == Some(claim)
    };
    let waiting = store.state_filter(|run| {
        let run = run.0.as_ref().ok();
        run.and_then(HasStatus::status).is_some_and(waits)
    });
    waiting
        .iter()
        .map(|run| ObjectRef::from_obj(&**run))
        .collect()
}

/// The runs of a kind that can be read.
fn known<K: RunResource>(store: &Store<DeserializeGuard<K>>) -> impl Iterator<Item = Run> + use<K> {
    let runs = store.state().into_iter();
    runs.filter_map(|guard| guard.0.clone().ok().map(Into::into))
}
