//! What the watches know of the objects that runs own, kept by run, so that no reconciliation lists what a watch has told.
//!
//! A cache is never ahead of the event that wakes a reconciliation, nor behind it: the object is put in first. It may be
//! behind the cluster. What rests on it is therefore proved by the writes themselves (see [`super::apply`]).

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
use kube::{ResourceExt, core::PartialObjectMeta};
use kube_runtime::{
    utils::Backoff,
    watcher::{self, Event},
};
use tokio::sync::watch;

use super::thin::Thin;
use flightdeck_core::runs::naming;

/// After this long without trouble a watch that breaks is opened again as soon as at first.
const CALM: Duration = Duration::from_secs(120);
/// Longest wait before a watch that broke is opened again.
const LONGEST: Duration = Duration::from_secs(30);

/// Everything that runs own.
#[derive(Default)]
pub struct Caches {
    pub jobs: Cache<Job>,
    pub pods: Cache<Pod>,
    /// Without their contents, which nothing here needs.
    pub files: Cache<PartialObjectMeta<ConfigMap>>,
    pub claims: Cache<PersistentVolumeClaim>,
}

impl Caches {
    /// Resolves once everything was listed once.
    pub async fn ready(&self) {
        self.jobs.ready().await;
        self.pods.ready().await;
        self.files.ready().await;
        self.claims.ready().await;
    }
}

/// Objects of one kind.
pub struct Cache<T> {
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
    /// Keeps a copy: it is as large as what is in it, where what was read, and thinned, has room to spare.
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

impl<T: ResourceExt + Thin> Cache<T> {
    /// The object of that name.
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        self.read().by_name.get(name).cloned()
    }

    /// Objects labelled with the uid of a run, by name.
    pub fn of_run(&self, uid: &str) -> Vec<Arc<T>> {
        let objects = self.read();
        let names = objects.of_run.get(uid).into_iter().flatten();
        names
            .filter_map(|name| objects.by_name.get(name).cloned())
            .collect()
    }

    async fn ready(&self) {
        let mut listed = self.listed.subscribe();
        // The sender lives as long as this.
        drop(listed.wait_for(|&listed| listed).await);
    }

    /// Takes in what a watch tells, for as long as it tells, and says of each object that came, changed or went.
    ///
    /// A list that is read anew is taken in as a whole: until it is complete, the one before it stands.
    pub async fn feed(
        &self,
        events: impl Stream<Item = Result<Event<T>, watcher::Error>>,
        touched: impl Fn(&T),
    ) {
        let mut staged = Objects::default();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => staged = Objects::default(),
                Ok(Event::InitApply(mut object)) => {
                    object.thin();
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
                        .for_each(|(_, object)| touched(object));
                    now.iter()
                        .filter(|(name, object)| !same(object, before.by_name.get(*name)))
                        .for_each(|(_, object)| touched(object));
                }
                Ok(Event::Apply(mut object)) => {
                    object.thin();
                    let object = self.write().put(&object);
                    touched(&object);
                }
                Ok(Event::Delete(object)) => {
                    self.write().remove(&object);
                    touched(&object);
                }
                Err(error) => tracing::debug!(%error, "a watch broke and is opened again"),
            }
        }
    }

    /// Nothing is left half done under the lock: what a panic elsewhere left is good.
    fn read(&self) -> RwLockReadGuard<'_, Objects<T>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects<T>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits before a watch that broke is opened again: doubled each time, and short again after a calm while.
pub struct Pauses {
    least: Duration,
    next: Duration,
    last: Option<Instant>,
}

impl Pauses {
    pub const fn new(least: Duration) -> Self {
        Self {
            least,
            next: least,
            last: None,
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_none_or(|last| last.elapsed() >= CALM) {
            self.next = self.least;
        }
        self.last = Some(Instant::now());
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

impl Backoff for Pauses {
    /// One event that came through is no calm.
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
            "managedFields": [{ "manager": "somebody" }],
        }, "spec": { "template": { "spec": { "containers": [{ "name": "c" }] } } } }))
        .unwrap()
    }

    async fn told(cache: &Cache<Job>, events: Vec<Event<Job>>) -> Vec<String> {
        let touched = RefCell::new(Vec::new());
        let events = stream::iter(events.into_iter().map(Ok));
        let note = |job: &Job| touched.borrow_mut().push(job.name_any());
        cache.feed(events, note).await;
        touched.into_inner()
    }

    fn names(cache: &Cache<Job>, run: &str) -> Vec<String> {
        let jobs = cache.of_run(run);
        jobs.iter().map(|job| job.name_any()).collect()
    }

    #[tokio::test]
    async fn a_list_read_anew_replaces_the_old_one_when_it_is_complete_and_tells_what_differs() {
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
        let mut touched = told(&cache, list(first)).await;
        touched.sort();
        assert_eq!(touched, ["a", "b", "c"]);

        told(
            &cache,
            vec![Event::Init, Event::InitApply(job("d", "r", 3))],
        )
        .await;
        assert_eq!(names(&cache, "r"), ["a", "b"], "half a list is none");

        let second = vec![job("a", "r", 1), job("b", "r", 2)];
        let mut touched = told(&cache, list(second)).await;
        touched.sort();
        assert_eq!(touched, ["b", "c"]);
        assert_eq!((names(&cache, "r").len(), names(&cache, "s").len()), (2, 0));
    }

    #[tokio::test]
    async fn what_comes_and_goes_is_found_by_run_and_only_what_is_read_is_kept() {
        let cache = Cache::default();
        told(
            &cache,
            vec![
                Event::Apply(job("a", "r", 1)),
                Event::Apply(job("b", "r", 1)),
            ],
        )
        .await;
        let kept = cache.get("a").unwrap();
        assert!(kept.managed_fields().is_empty());
        let template = kept.spec.clone().unwrap().template;
        assert_eq!(template, PodTemplateSpec::default());
        told(&cache, vec![Event::Delete(job("a", "r", 2))]).await;
        assert_eq!(names(&cache, "r"), ["b"]);
        told(&cache, vec![Event::Delete(job("b", "r", 2))]).await;
        assert!(
            cache.read().of_run.is_empty(),
            "a run that is gone leaves nothing"
        );
    }

    #[test]
    fn a_watch_that_breaks_again_and_again_is_opened_ever_more_seldom() {
        let pauses: Vec<u128> = Pauses::new(Duration::from_millis(800))
            .take(8)
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(
            pauses,
            [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]
        );
    }
}
