//! Objects owned by runs, as received from the watches and indexed by run, so that reconciling needs no lists.
//!
//! An object is cached before its event triggers a reconciliation. The cache may be older than the cluster, so decisions
//! based on it are verified by the writes (see [`super::apply`]).

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, pin_mut};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::runtime::{
    utils,
    watcher::{self, Event},
};
use kube::{ResourceExt, core::PartialObjectMeta};
use tokio::sync::watch;

use super::prune::Prune;
use flightdeck_core::{backoff::Backoff, runs::naming};

/// The watch backoff resets after this time without an error.
const RESET_AFTER: Duration = Duration::from_secs(120);
/// Maximum watch backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// The objects owned by runs.
#[derive(Default)]
pub(crate) struct Caches {
    pub jobs: Cache<Job>,
    pub pods: Cache<Pod>,
    /// Metadata only; the contents are not needed.
    pub files: Cache<PartialObjectMeta<ConfigMap>>,
    pub claims: Cache<PersistentVolumeClaim>,
}

impl Caches {
    /// Waits until every kind was listed once.
    pub(super) async fn ready(&self) {
        self.jobs.ready().await;
        self.pods.ready().await;
        self.files.ready().await;
        self.claims.ready().await;
    }
}

/// Cached objects of one kind.
pub(crate) struct Cache<T> {
    objects: RwLock<Objects<T>>,
    listed: watch::Sender<bool>,
}

struct Objects<T> {
    by_name: HashMap<String, Arc<T>>,
    of_run: HashMap<String, BTreeSet<String>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            objects: RwLock::default(),
            listed: watch::Sender::new(false),
        }
    }
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            of_run: HashMap::new(),
        }
    }
}

impl<T: ResourceExt + Clone> Objects<T> {
    /// Stores a clone, which frees the spare capacity of the pruned original.
    fn put(&mut self, object: &T) -> Arc<T> {
        let name = object.name_any();
        if let Some(uid) = object.labels().get(naming::LABEL_RUN_UID) {
            let names = self.of_run.entry(uid.clone()).or_default();
            names.insert(name.clone());
        }
        let object = Arc::new(object.clone());
        self.by_name.insert(name, Arc::clone(&object));
        object
    }

    fn remove(&mut self, object: &T) {
        let name = object.name_any();
        self.by_name.remove(&name);
        let Some(uid) = object.labels().get(naming::LABEL_RUN_UID) else {
            return;
        };
        if let Some(names) = self.of_run.get_mut(uid) {
            names.remove(&name);
            if names.is_empty() {
                self.of_run.remove(uid);
            }
        }
    }
}

impl<T: ResourceExt + Prune> Cache<T> {
    /// Returns the object `name`.
    pub(super) fn get(&self, name: &str) -> Option<Arc<T>> {
        self.read().by_name.get(name).cloned()
    }

    /// Returns the objects with the label of a run's uid, by name.
    pub(super) fn of_run(&self, uid: &str) -> Vec<Arc<T>> {
        let objects = self.read();
        let names = objects.of_run.get(uid).into_iter().flatten();
        names
            .filter_map(|name| objects.by_name.get(name).cloned())
            .collect()
    }

    async fn ready(&self) {
        let mut listed = self.listed.subscribe();
        // Cannot fail: `self` owns the sender.
        drop(listed.wait_for(|&listed| listed).await);
    }

    /// Updates the cache from a watch until it ends, and calls `changed` for each added, changed or deleted object.
    ///
    /// A new list replaces the old one only once it is complete.
    pub(super) async fn feed(
        &self,
        events: impl Stream<Item = Result<Event<T>, watcher::Error>>,
        changed: impl Fn(&T),
    ) {
        let mut staged = Objects::default();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => staged = Objects::default(),
                Ok(Event::InitApply(mut object)) => {
                    object.prune();
                    staged.put(&object);
                }
                Ok(Event::InitDone) => {
                    let before = std::mem::replace(&mut *self.write(), std::mem::take(&mut staged));
                    let now = self.read().by_name.clone();
                    self.listed.send_replace(true);
                    let same = |a: &T, b: Option<&Arc<T>>| {
                        b.is_some_and(|b| a.resource_version() == b.resource_version())
                    };
                    let gone = before.by_name.iter();
                    gone.filter(|(name, _)| !now.contains_key(*name))
                        .for_each(|(_, object)| changed(object));
                    now.iter()
                        .filter(|(name, object)| !same(object, before.by_name.get(*name)))
                        .for_each(|(_, object)| changed(object));
                }
                Ok(Event::Apply(mut object)) => {
                    object.prune();
                    let object = self.write().put(&object);
                    changed(&object);
                }
                Ok(Event::Delete(object)) => {
                    self.write().remove(&object);
                    changed(&object);
                }
                Err(error) => tracing::debug!(%error, "watch failed; reopening"),
            }
        }
    }

    // A poisoned lock is fine: no update can panic halfway.
    fn read(&self) -> RwLockReadGuard<'_, Objects<T>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<T>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Backoff for reopening a watch: doubles up to [`MAX_BACKOFF`], and resets after [`RESET_AFTER`] without an error.
pub(crate) struct WatchBackoff {
    backoff: Backoff,
    failures: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    pub(super) const fn new(initial: Duration) -> Self {
        Self {
            backoff: Backoff::new(initial, MAX_BACKOFF),
            failures: 0,
            last: None,
        }
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_none_or(|last| last.elapsed() >= RESET_AFTER) {
            self.failures = 0;
        }
        self.last = Some(Instant::now());
        let delay = self.backoff.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        Some(delay)
    }
}

impl utils::Backoff for WatchBackoff {
    // A single event does not show that the watch is stable; `next` resets by time.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::stream;
    use k8s_openapi::api::core::v1::PodTemplateSpec;
    use serde_json::json;

    use super::*;

    fn job(name: &str, run: &str, version: u32) -> Job {
        serde_json::from_value(json!({ "metadata": {
            "name": name, "resourceVersion": version.to_string(), "labels": { naming::LABEL_RUN_UID: run },
            "managedFields": [{ "manager": "kubectl" }],
        }, "spec": { "template": { "spec": { "containers": [{ "name": "c" }] } } } }))
        .unwrap()
    }

    async fn feed(cache: &Cache<Job>, events: Vec<Event<Job>>) -> Vec<String> {
        let changed = RefCell::new(Vec::new());
        let events = stream::iter(events.into_iter().map(Ok));
        let note = |job: &Job| changed.borrow_mut().push(job.name_any());
        cache.feed(events, note).await;
        changed.into_inner()
    }

    fn names(cache: &Cache<Job>, run: &str) -> Vec<String> {
        let jobs = cache.of_run(run);
        jobs.iter().map(|job| job.name_any()).collect()
    }

    #[tokio::test]
    async fn complete_list_replaces_old_one_and_reports_changes() {
        let cache = Cache::default();
        let list = |jobs: Vec<Job>| {
            let jobs = jobs.into_iter().map(Event::InitApply);
            [Event::Init]
                .into_iter()
                .chain(jobs)
                .chain([Event::InitDone])
                .collect::<Vec<_>>()
        };
        let first = vec![job("a", "r", 1), job("b", "r", 1), job("c", "s", 1)];
        let mut changed = feed(&cache, list(first)).await;
        changed.sort();
        assert_eq!(changed, ["a", "b", "c"]);

        feed(
            &cache,
            vec![Event::Init, Event::InitApply(job("d", "r", 3))],
        )
        .await;
        assert_eq!(
            names(&cache, "r"),
            ["a", "b"],
            "an incomplete list is not used"
        );

        let second = vec![job("a", "r", 1), job("b", "r", 2)];
        let mut changed = feed(&cache, list(second)).await;
        changed.sort();
        assert_eq!(changed, ["b", "c"]);
        assert_eq!((names(&cache, "r").len(), names(&cache, "s").len()), (2, 0));
    }

    #[tokio::test]
    async fn indexes_pruned_objects_by_run() {
        let cache = Cache::default();
        feed(
            &cache,
            vec![
                Event::Apply(job("a", "r", 1)),
                Event::Apply(job("b", "r", 1)),
            ],
        )
        .await;
        let cached = cache.get("a").unwrap();
        assert!(cached.managed_fields().is_empty());
        let template = cached.spec.clone().unwrap().template;
        assert_eq!(template, PodTemplateSpec::default());
        feed(&cache, vec![Event::Delete(job("a", "r", 2))]).await;
        assert_eq!(names(&cache, "r"), ["b"]);
        feed(&cache, vec![Event::Delete(job("b", "r", 2))]).await;
        assert!(cache.read().of_run.is_empty(), "empty entries are removed");
    }

    #[test]
    fn watch_backoff_doubles_up_to_a_limit() {
        let delays: Vec<u128> = WatchBackoff::new(Duration::from_millis(800))
            .take(8)
            .map(|delay| delay.as_millis())
            .collect();
        assert_eq!(
            delays,
            [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
        );
    }
}
