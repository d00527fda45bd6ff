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
    cache::{Cache, Pauses},
    observe::RunResource,
    plan::{at_rest, why},
    run::Context,
    thin::Thin,
};
use flightdeck_core::{
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
    let kept = format!(",!{}", naming::LABEL_ARCHIVE);
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use kube_runtime::reflector;
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

    /// Names of the runs that are woken.
    fn woken(runs: &[CodeRun], touched: Touched) -> Vec<String> {
        let (store, mut writer) = reflector::store();
        for run in runs {
            let run = DeserializeGuard(Ok(run.clone()));
            writer.apply_watcher_event(&watcher::Event::Apply(run));
        }
        let woken = concerned(store, "n".into(), stream::iter([touched]));
        let woken: Vec<_> = woken.collect().now_or_never().unwrap();
        let mut names: Vec<String> = woken
            .into_iter()
            .map(|it| it.unwrap().obj_ref.name)
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_run_owns_wakes_that_run_and_none_that_had_its_name() {
        let long = "l".repeat(253);
        let runs = [
            run("short", "u1", &Value::Null),
            run(&long, "u2", &Value::Null),
        ];
        let of = |name: &str, uid: &str| Touched {
            run: Some((name.to_owned(), uid.to_owned())),
            name: "job".into(),
        };
        assert_eq!(woken(&runs, of("short", "u1")), ["short"]);
        // A label holds the beginning of such a name.
        assert_eq!(woken(&runs, of(&long[..63], "u2")), [long.as_str()]);
        assert!(woken(&runs, of("short", "u0")).is_empty());
    }

    #[test]
    fn a_shared_workspace_wakes_those_that_wait_for_it() {
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
        let touched = Touched {
            run: None,
            name: "shop".into(),
        };
        assert_eq!(woken(&runs, touched), ["in-use", "terminating"]);
    }

    #[test]
    fn an_object_tells_the_runs_of_its_kind_and_others_tell_nobody() {
        let touch = |labels: Value| {
            let (docs, mut docs_woken) = mpsc::unbounded();
            let (code, mut code_woken) = mpsc::unbounded();
            let object = json!({ "metadata": { "name": "o", "labels": labels } });
            let object: k8s_openapi::api::batch::v1::Job = serde_json::from_value(object).unwrap();
            Wake { docs, code }.touched(&object);
            let told = |woken: &mut mpsc::UnboundedReceiver<Touched>| {
                let touched = woken.try_recv().ok()?;
                Some(touched.run.map_or(touched.name, |(name, _)| name))
            };
            (told(&mut docs_woken), told(&mut code_woken))
        };
        let of_run = json!({ naming::LABEL_KIND: "docs", naming::LABEL_RUN: "r", naming::LABEL_RUN_UID: "u" });
        assert_eq!(touch(of_run), (Some("r".into()), None));
        let shared = json!({ naming::LABEL_KIND: "code" });
        assert_eq!(touch(shared), (None, Some("o".into())));
        assert_eq!(touch(json!({})), (None, None));
    }

    #[test]
    fn a_run_is_looked_at_when_a_person_changed_it_and_not_for_its_own_status() {
        let seen = |change: &dyn Fn(&mut CodeRun)| {
            let mut run = run("r", "u", &Value::Null);
            change(&mut run);
            what_a_person_changed(&run)
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
