//! What this process remembers of a run beyond what the cluster says. All of it may be lost at any time: it makes things
//! quicker or gentler, never right.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::thin::Thin;
use flightdeck_core::runs::Run;

/// A wait is doubled with each failure in a row, so many times at most.
const DOUBLINGS: u32 = 10;
/// How long a watch may take to tell of what was made.
const A_MOMENT: Duration = Duration::from_secs(5);

/// By the uid of the run. What is large and mostly absent is boxed: maps keep room for what is not there.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<String, OfRun>>);

#[derive(Default)]
struct OfRun {
    failures: u32,
    /// With the Job as it was made, until its watch has told of it.
    made: BTreeMap<String, Option<Box<Made>>>,
    written: Option<Box<Written>>,
}

/// A Job as it was made.
struct Made {
    job: Job,
    at: Instant,
}

/// The run as this process has written it.
struct Written {
    /// Resource versions that it was before.
    before: BTreeSet<String>,
    run: Run,
}

impl Memory {
    /// The run as far as this process knows: a watch that has not told of a write yet says less than was written.
    pub fn newest(&self, told: Run) -> Run {
        let mut runs = self.lock();
        let Some(known) = runs.get_mut(told.uid()) else {
            return told;
        };
        match &known.written {
            Some(written) if written.before.contains(version(&told)) => written.run.clone(),
            _ => {
                known.written = None;
                told
            }
        }
    }

    /// The run was written: it had the versions `passed`, and is `run` now.
    pub fn wrote(&self, passed: Vec<String>, run: Run) {
        if passed.is_empty() {
            return;
        }
        let mut runs = self.lock();
        let known = runs.entry(run.uid().to_owned()).or_default();
        let earlier = known.written.take();
        let mut versions = earlier.map(|written| written.before).unwrap_or_default();
        versions.extend(passed);
        known.written = Some(Box::new(Written {
            before: versions,
            run,
        }));
    }

    /// Jobs that were made for the run, whether they have been seen since or not.
    pub fn made(&self, uid: &str) -> BTreeSet<String> {
        let runs = self.lock();
        runs.get(uid)
            .map(|run| run.made.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The Job of that name as it was made a moment ago: its watch may not have told of it yet.
    pub fn just_made(&self, uid: &str, job: &str) -> Option<Job> {
        let runs = self.lock();
        let made = runs.get(uid)?.made.get(job)?.as_ref()?;
        (made.at.elapsed() < A_MOMENT).then(|| made.job.clone())
    }

    /// The watch has told of this Job: from now on what it tells of it holds.
    pub fn seen(&self, uid: &str, job: &str) {
        let mut runs = self.lock();
        if let Some(made) = runs.get_mut(uid).and_then(|run| run.made.get_mut(job)) {
            *made = None;
        }
    }

    /// A reconciliation came to its end, and made this Job.
    pub fn succeeded(&self, uid: &str, job: Option<Job>) {
        let mut runs = self.lock();
        if let Some(run) = runs.get_mut(uid) {
            run.failures = 0;
        }
        if let Some(mut job) = job {
            job.thin();
            let made = &mut runs.entry(uid.to_owned()).or_default().made;
            let at = Instant::now();
            made.insert(job.name_any(), Some(Box::new(Made { job, at })));
        }
    }

    /// A reconciliation failed that is tried again after `wait`; gives how long to wait, longer with each failure in a row.
    pub fn failed(&self, uid: &str, wait: Duration, most: Duration) -> Duration {
        let mut runs = self.lock();
        let run = runs.entry(uid.to_owned()).or_default();
        let doubled = wait.saturating_mul(1 << run.failures.min(DOUBLINGS));
        run.failures = run.failures.saturating_add(1);
        doubled.min(most.max(wait))
    }

    /// The run is at rest, or gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Nothing is left half done under the lock: what a panic elsewhere left is good.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfRun>> {
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
    fn what_was_written_is_not_undone_by_a_watch_that_has_not_told_of_it_yet() {
        let memory = Memory::default();
        assert_eq!(memory.newest(run("1", "Pending")).phase(), Phase::Pending);
        memory.wrote(vec!["1".into(), "2".into()], run("3", "Running"));
        memory.wrote(vec!["3".into()], run("4", "Succeeded"));
        for told in ["1", "2", "3"] {
            assert_eq!(
                memory.newest(run(told, "Pending")).phase(),
                Phase::Succeeded
            );
        }
        assert_eq!(memory.newest(run("5", "Failed")).phase(), Phase::Failed);
        // What is known to be past is no longer held against anybody.
        assert_eq!(memory.newest(run("1", "Pending")).phase(), Phase::Pending);
    }

    #[test]
    fn who_fails_again_and_again_waits_longer_each_time_up_to_a_limit() {
        let memory = Memory::default();
        let wait = || {
            let (least, most) = (Duration::from_millis(50), Duration::from_secs(30));
            memory.failed("uid", least, most).as_millis()
        };
        assert_eq!([wait(), wait(), wait()], [50, 100, 200]);
        for _ in 0..100 {
            wait();
        }
        assert_eq!(wait(), 30_000);
        memory.succeeded("uid", None);
        assert_eq!(wait(), 50);
    }

    #[test]
    fn what_was_made_is_known_until_the_run_is_at_rest() {
        let memory = Memory::default();
        let mut job = Job::default();
        job.metadata.name = Some("job".into());
        memory.succeeded("uid", Some(job));
        memory.succeeded("uid", None);
        assert!(memory.made("uid").contains("job") && memory.made("other").is_empty());
        assert!(memory.just_made("uid", "job").is_some());
        memory.seen("uid", "job");
        assert!(
            memory.just_made("uid", "job").is_none(),
            "now the watch is believed"
        );
        assert!(memory.made("uid").contains("job"));
        memory.forget("uid");
        assert!(memory.made("uid").is_empty());
    }
}
