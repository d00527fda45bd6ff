//! Watches the objects that runs own or wait for, one watch per kind: updates the caches and requeues the affected runs.

use std::hash::{Hash, Hasher};

use futures::{Stream, StreamExt, channel::mpsc, stream};
use k8s_openapi::NamespaceResourceScope;
use kube::runtime::{
    WatchStreamExt,
    controller::ReconcileRequest,
    reflector::{ObjectRef, Store},
    watcher,
};
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, object::HasStatus},
};
use serde::de::DeserializeOwned;

use super::{
    cache::{Cache, WatchBackoff},
    observe::RunResource,
    plan::{is_settled, why},
    prune::Prune,
    run::Context,
};
use flightdeck_core::{
    resources::RunStatus,
    runs::{Run, RunKind, naming},
};

/// A change of an object that runs own or wait for.
pub(super) struct OwnedChange {
    /// The run, by name and uid; `None` for a shared workspace.
    run: Option<(String, String)>,
    name: String,
}

/// Sends changes to the queue of each kind.
pub(super) struct Senders {
    pub(super) docs: mpsc::UnboundedSender<OwnedChange>,
    pub(super) code: mpsc::UnboundedSender<OwnedChange>,
}

impl Senders {
    fn send<T: ResourceExt>(&self, object: &T) {
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
            let change = OwnedChange {
                run: label(naming::LABEL_RUN).zip(label(naming::LABEL_RUN_UID)),
                name: object.name_any(),
            };
            // Fails only while the controller stops.
            drop(sender.unbounded_send(change));
        }
    }
}

/// Updates the caches from one watch per kind.
pub(super) async fn watch_owned(context: &Context, senders: &Senders) {
    let caches = &context.caches;
    let not_archives = format!(",!{}", naming::LABEL_ARCHIVE);
    tokio::join!(
        feed(context, &caches.jobs, "", senders),
        feed(context, &caches.pods, "", senders),
        feed(context, &caches.claims, "", senders),
        // Skip archived logs: there are many, and the controller does not read them.
        feed(context, &caches.files, &not_archives, senders),
    );
}

async fn feed<T>(context: &Context, cache: &Cache<T>, more_labels: &str, senders: &Senders)
where
    T: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + std::fmt::Debug
        + Prune
        + Send
        + 'static,
{
    let ours = format!(
        "{}={}{more_labels}",
        naming::LABEL_MANAGED_BY,
        naming::MANAGER
    );
    let api: Api<T> = Api::namespaced(context.client.clone(), &context.config.namespace);
    let events = watcher::watcher(api, watcher::Config::default().labels(&ours));
    let events = events.backoff(WatchBackoff::new(context.config.retry_delays.watch));
    cache.feed(events, |object| senders.send(object)).await;
}

/// Requeues every active run when the settings change: a refusal or a wait may no longer apply.
pub(super) fn on_settings_change<K: RunResource>(
    changes: impl Stream<Item = ()>,
    store: Store<DeserializeGuard<K>>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> {
    changes.flat_map(move |()| {
        let runs = known(&store).filter(|run: &Run| !is_settled(run));
        let requests = runs.map(|run| {
            let named = ObjectRef::<DeserializeGuard<K>>::new(run.name()).within(run.namespace());
            Ok(ReconcileRequest::from(named))
        });
        stream::iter(requests.collect::<Vec<_>>())
    })
}

/// Hashes what may trigger a reconcile of a run: its spec's generation, deletion and finalizers, but not its status.
pub(super) fn spec_hash<K: Resource>(object: &K) -> Option<u64> {
    let meta = object.meta();
    let mut hasher = std::hash::DefaultHasher::new();
    meta.generation?.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    Some(hasher.finish())
}

/// Returns the runs affected by a change: the owner, or the runs that wait for a shared workspace.
pub(super) fn affected_runs<K: RunResource>(
    store: Store<DeserializeGuard<K>>,
    namespace: String,
    changes: impl Stream<Item = OwnedChange>,
) -> impl Stream<Item = Result<ReconcileRequest<DeserializeGuard<K>>, watcher::Error>> {
    changes.flat_map(move |change| {
        let runs: Vec<_> = match &change.run {
            Some((name, uid)) => find_run(&store, &namespace, name, uid)
                .into_iter()
                .collect(),
            None => waiting_for(&store, &change.name),
        };
        let requests = runs.into_iter().map(|run| Ok(ReconcileRequest::from(run)));
        stream::iter(requests.collect::<Vec<_>>())
    })
}

fn find_run<K: RunResource>(
    store: &Store<DeserializeGuard<K>>,
    namespace: &str,
    name: &str,
    uid: &str,
) -> Option<ObjectRef<DeserializeGuard<K>>> {
    let is_it = |run: &DeserializeGuard<K>| run.meta().uid.as_deref() == Some(uid);
    let named = store.get(&ObjectRef::new(name).within(namespace));
    // A label has only 63 characters of a name of up to 253; search such a run by uid.
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

/// Returns the runs of a kind that can be parsed.
fn known<K: RunResource>(store: &Store<DeserializeGuard<K>>) -> impl Iterator<Item = Run> + use<K> {
    let runs = store.state().into_iter();
    runs.filter_map(|guard| guard.0.clone().ok().map(Into::into))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use kube::runtime::reflector;
    use serde_json::{Value, json};

    use super::*;
    use flightdeck_core::resources::CodeRun;

    fn run(name: &str, uid: &str, status: &Value) -> CodeRun {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "n", "uid": uid, "generation": 1 },
            "spec": { "repositoryUrl": "/srv/x.git", "sourceBranch": "main", "taskId": "1", "service": "shop" },
            "status": status,
        }))
        .unwrap()
    }

    /// Returns the names of the requeued runs.
    fn requeued(runs: &[CodeRun], change: OwnedChange) -> Vec<String> {
        let (store, mut writer) = reflector::store();
        for run in runs {
            let run = DeserializeGuard(Ok(run.clone()));
            writer.apply_watcher_event(&watcher::Event::Apply(run));
        }
        let requests = affected_runs(store, "n".into(), stream::iter([change]));
        let requests: Vec<_> = requests.collect().now_or_never().unwrap();
        let mut names: Vec<String> = requests
            .into_iter()
            .map(|request| request.unwrap().obj_ref.name)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn owned_object_requeues_its_run_by_uid() {
        let long = "l".repeat(253);
        let runs = [
            run("short", "u1", &Value::Null),
            run(&long, "u2", &Value::Null),
        ];
        let of = |name: &str, uid: &str| OwnedChange {
            run: Some((name.to_owned(), uid.to_owned())),
            name: "job".into(),
        };
        assert_eq!(requeued(&runs, of("short", "u1")), ["short"]);
        // The label has only the first 63 characters of the name.
        assert_eq!(requeued(&runs, of(&long[..63], "u2")), [long.as_str()]);
        assert!(requeued(&runs, of("short", "u0")).is_empty());
    }

    #[test]
    fn shared_workspace_requeues_waiting_runs() {
        let waits = |name: &str, reason: &str, claim: &str| {
            let status = json!({ "phase": "Pending", "reason": reason, "workspaceName": claim });
            run(name, name, &status)
        };
        let runs = [
            waits("in-use", "InUse", "shop"),
            waits("terminating", "Terminating", "shop"),
            waits("elsewhere", "InUse", "till"),
            waits("suspended", "Suspended", "shop"),
            run("new", "new", &Value::Null),
        ];
        let change = OwnedChange {
            run: None,
            name: "shop".into(),
        };
        assert_eq!(requeued(&runs, change), ["in-use", "terminating"]);
    }

    #[test]
    fn changes_are_sent_to_the_queue_of_their_kind() {
        let send = |labels: Value| {
            let (docs, mut docs_changes) = mpsc::unbounded();
            let (code, mut code_changes) = mpsc::unbounded();
            let object = json!({ "metadata": { "name": "o", "labels": labels } });
            let object: k8s_openapi::api::batch::v1::Job = serde_json::from_value(object).unwrap();
            Senders { docs, code }.send(&object);
            let received = |changes: &mut mpsc::UnboundedReceiver<OwnedChange>| {
                let change = changes.try_recv().ok()?;
                Some(change.run.map_or(change.name, |(name, _)| name))
            };
            (received(&mut docs_changes), received(&mut code_changes))
        };
        let of_run = json!({ naming::LABEL_KIND: "docs", naming::LABEL_RUN: "r", naming::LABEL_RUN_UID: "u" });
        assert_eq!(send(of_run), (Some("r".into()), None));
        let shared = json!({ naming::LABEL_KIND: "code" });
        assert_eq!(send(shared), (None, Some("o".into())));
        assert_eq!(send(json!({})), (None, None));
    }

    #[test]
    fn status_changes_do_not_requeue_a_run() {
        let seen = |change: &dyn Fn(&mut CodeRun)| {
            let mut run = run("r", "u", &Value::Null);
            change(&mut run);
            spec_hash(&run)
        };
        let before = seen(&|_| {});
        assert_eq!(before, seen(&|run| run.status = Some(RunStatus::default())));
        assert_ne!(before, seen(&|run| run.metadata.generation = Some(2)));
        assert_ne!(
            before,
            seen(&|run| run.metadata.finalizers = Some(vec!["f".into()]))
        );
        let gone: Value = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        let gone: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(gone).unwrap();
        let gone = gone.metadata.deletion_timestamp;
        assert_ne!(
            before,
            seen(&|run| run.metadata.deletion_timestamp.clone_from(&gone))
        );
    }
}
