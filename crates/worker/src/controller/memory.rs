//! What this process remembers of runs beyond the cluster's state. It may be lost at any time: it only avoids API calls and
//! retries, and correctness never depends on it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::prune::Prune;
use flightdeck_core::{backoff::Backoff, runs::Run};

/// Time within which a watch should report a created Job.
const WATCH_DELAY: Duration = Duration::from_secs(5);

/// Entries by run uid. Large, rarely present values are boxed to keep the map small.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    failures: u32,
    /// Created Jobs, each with its object until its watch reports it.
    created: BTreeMap<String, Option<Box<CreatedJob>>>,
    written: Option<Box<WrittenRun>>,
}

/// A Job as created.
struct CreatedJob {
    job: Job,
    at: Instant,
}

/// The last version of the run that this process wrote.
struct WrittenRun {
    /// Resource versions it replaced.
    before: BTreeSet<String>,
    run: Run,
}

impl Memory {
    /// Returns the newest known version of the run: the watched one, or the written one if the watch has not caught up.
    pub(super) fn newest(&self, watched: Run) -> Run {
        let mut runs = self.lock();
        let Some(entry) = runs.get_mut(watched.uid()) else {
            return watched;
        };
        match &entry.written {
            Some(written) if written.before.contains(version(&watched)) => written.run.clone(),
            _ => {
                entry.written = None;
                watched
            }
        }
    }

    /// Records that the versions `passed` of the run were replaced, the last one by `run`.
    pub(super) fn wrote(&self, passed: Vec<String>, run: Run) {
        if passed.is_empty() {
            return;
        }
        let mut runs = self.lock();
        let entry = runs.entry(run.uid().to_owned()).or_default();
        let previous = entry.written.take();
        let mut versions = previous.map(|written| written.before).unwrap_or_default();
        versions.extend(passed);
        entry.written = Some(Box::new(WrittenRun {
            before: versions,
            run,
        }));
    }

    /// Returns the names of the Jobs created for the run.
    pub(super) fn created(&self, uid: &str) -> BTreeSet<String> {
        let runs = self.lock();
        runs.get(uid)
            .map(|entry| entry.created.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Returns a recently created Job that its watch may not have reported yet.
    pub(super) fn recently_created(&self, uid: &str, job: &str) -> Option<Job> {
        let runs = self.lock();
        let created = runs.get(uid)?.created.get(job)?.as_ref()?;
        (created.at.elapsed() < WATCH_DELAY).then(|| created.job.clone())
    }

    /// Records that the watch reported the Job: from now on the cache decides.
    pub(super) fn seen(&self, uid: &str, job: &str) {
        let mut runs = self.lock();
        let entry = runs.get_mut(uid);
        if let Some(created) = entry.and_then(|entry| entry.created.get_mut(job)) {
            *created = None;
        }
    }

    /// Records a successful reconciliation, and the Job it created.
    pub(super) fn succeeded(&self, uid: &str, job: Option<Job>) {
        let mut runs = self.lock();
        if let Some(entry) = runs.get_mut(uid) {
            entry.failures = 0;
        }
        if let Some(mut job) = job {
            job.prune();
            let created = &mut runs.entry(uid.to_owned()).or_default().created;
            let at = Instant::now();
            created.insert(job.name_any(), Some(Box::new(CreatedJob { job, at })));
        }
    }

    /// Records a failed reconciliation. Returns the delay before the retry: `initial`, doubled with each consecutive failure.
    pub(super) fn failed(&self, uid: &str, initial: Duration, max: Duration) -> Duration {
        let mut runs = self.lock();
        let entry = runs.entry(uid.to_owned()).or_default();
        let delay = Backoff::new(initial, max).delay(entry.failures);
        entry.failures = entry.failures.saturating_add(1);
        delay
    }

    /// Removes the entry of a run that is settled or gone.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    // A poisoned lock is fine: no update can panic halfway.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(run: &Run) -> &str {
    let version = run.metadata.resource_version.as_deref();
    version.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::{resources::DocsRun, runs::Phase};

    fn run(version: &str, phase: &str) -> Run {
        let run: DocsRun = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "r", "uid": "uid", "resourceVersion": version },
            "spec": { "repositoryUrl": "/srv/x.git", "sourceBranch": "main", "taskIds": ["1"] },
            "status": { "phase": phase },
        }))
        .unwrap();
        run.into()
    }

    #[test]
    fn written_run_wins_over_an_older_watched_one() {
        let memory = Memory::default();
        assert_eq!(memory.newest(run("1", "Pending")).phase(), Phase::Pending);
        memory.wrote(vec!["1".into(), "2".into()], run("3", "Running"));
        memory.wrote(vec!["3".into()], run("4", "Succeeded"));
        for watched in ["1", "2", "3"] {
            assert_eq!(
                memory.newest(run(watched, "Pending")).phase(),
                Phase::Succeeded
            );
        }
        assert_eq!(memory.newest(run("5", "Failed")).phase(), Phase::Failed);
        // The replaced versions are forgotten once the watch has caught up.
        assert_eq!(memory.newest(run("1", "Pending")).phase(), Phase::Pending);
    }

    #[test]
    fn retry_delay_doubles_up_to_a_limit() {
        let memory = Memory::default();
        let next = || {
            let (initial, max) = (Duration::from_millis(50), Duration::from_secs(30));
            memory.failed("uid", initial, max).as_millis()
        };
        assert_eq!([next(), next(), next()], [50, 100, 200]);
        for _ in 0..100 {
            next();
        }
        assert_eq!(next(), 30_000);
        memory.succeeded("uid", None);
        assert_eq!(next(), 50);
    }

    #[test]
    fn created_jobs_are_known_until_the_run_is_forgotten() {
        let memory = Memory::default();
        let mut job = Job::default();
        job.metadata.name = Some("job".into());
        memory.succeeded("uid", Some(job));
        memory.succeeded("uid", None);
        assert!(memory.created("uid").contains("job") && memory.created("other").is_empty());
        assert!(memory.recently_created("uid", "job").is_some());
        memory.seen("uid", "job");
        assert!(
            memory.recently_created("uid", "job").is_none(),
            "the cache decides once it has the Job"
        );
        assert!(memory.created("uid").contains("job"));
        memory.forget("uid");
        assert!(memory.created("uid").is_empty());
    }
}
