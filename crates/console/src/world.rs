//! A read-only mirror of the cluster, the repository and the task file. Written only by [`Delta`]s.
//!
//! The state of the UI is in [`super::model`].

mod cluster;
mod loaded;
mod owned;
mod plan;
mod runs;

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

pub use cluster::{ClusterConnection, ClusterTarget};
pub use loaded::Loaded;
pub use owned::Owned;
pub use plan::{Plan, PlanError};
pub use runs::{Progress, RunEntry, Runs};

pub use flightdeck_core::runs::estimate::FinishedRun;

use jiff::Timestamp;

use flightdeck_core::{
    runs::{Run, RunKind},
    tasks::Comparison,
};
use flightdeck_host::{
    cluster::{Kind, Object, WorldDelta},
    settings::Settings,
};

pub use flightdeck_host::repository::CommandRecord;
pub use flightdeck_preflight::{CheckResult as Check, Level};

/// The uid of a run.
pub type RunId = String;
/// The id of a task; `1.2` for a subtask.
pub type TaskId = String;

/// The state outside the console, as last observed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub cluster: ClusterConnection,
    pub repository: Loaded<Repository>,
    pub plan: Loaded<Arc<Plan>, PlanError>,
    pub checks: Checks,
    /// The settings of the controller, if known.
    pub settings: Option<Arc<Settings>>,
    pub runs: Runs,
    pub owned: Owned,
    /// Durations and costs of finished runs, from the ledger.
    pub finished_runs: Arc<Vec<FinishedRun>>,
    /// Git commands that were run for the user, the latest first.
    pub commands: VecDeque<Arc<CommandRecord>>,
}

/// Git commands kept.
const COMMANDS: usize = 200;

/// The repository, as the header shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// The top of the work tree.
    pub root: PathBuf,
    /// `owner/name`, or the directory name.
    pub name: String,
    /// `None` if HEAD is detached.
    pub branch: Option<String>,
    pub ahead: usize,
    pub behind: usize,
    /// The URL that pods clone.
    pub url: Option<String>,
    /// Number of changed, staged and untracked files.
    pub changed: usize,
    /// The name of the remote.
    pub remote: String,
    /// Whether `tasks.json` on disk equals the remote branch's; `None` if unknown.
    pub tasks_pushed: Option<bool>,
    /// When the remote last answered; `None` if never.
    pub as_of: Option<Timestamp>,
    /// The remote did not answer the last time.
    pub offline: bool,
    /// The value of the label on this repository's runs.
    pub label: Option<String>,
}

/// The pre-flight checks and their results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    pub lines: Vec<Check>,
    /// The checks are running.
    pub running: bool,
    /// The differences of the plan on disk from the remote's.
    pub comparison: Option<Arc<PlanComparison>>,
}

/// The differences of the plan on disk from the one that pods would clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanComparison {
    /// `origin/feature/x`
    pub remote_branch: String,
    /// Changes from the remote's plan to the one on disk.
    pub comparison: Comparison,
}

impl Checks {
    /// The differences of the plans, if the check is about them.
    pub fn compared(&self, id: &str) -> Option<&PlanComparison> {
        let compared = self.comparison.as_deref();
        compared.filter(|_| matches!(id, "tasks-pushed" | "tasks-committed"))
    }

    /// Looks up a check by id.
    pub fn get(&self, id: &str) -> Option<&Check> {
        self.lines.iter().find(|check| check.id == id)
    }
}

/// A change of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// The cluster is connected.
    Cluster(ClusterTarget),
    /// The cluster cannot be reached: the reason, and the time of the next attempt.
    Unreachable(String, Timestamp),
    /// A connection attempt started.
    Connecting,
    Repository(Result<Repository, String>),
    Plan(Result<Arc<Plan>, PlanError>),
    /// The checks started.
    Checking,
    Checks(Vec<Check>),
    PlanComparison(Option<Arc<PlanComparison>>),
    /// The settings of the controller, if known.
    Settings(Option<Arc<Settings>>),
    /// A git command that was run for the user ended.
    CommandRan(Arc<CommandRecord>),
    /// Objects of the cluster changed.
    Watch(Box<WorldDelta>),
    Progress(RunId, Box<Progress>),
    /// Finished runs, from the ledger.
    FinishedRuns(Vec<FinishedRun>),
    /// A run that is only in the ledger.
    ArchivedRun(Box<Run>),
}

impl World {
    /// Returns the label of this repository's runs; `None` until the repository is read, and if it has no remote.
    pub fn repository_label(&self) -> Option<&str> {
        self.repository.get()?.label.as_deref()
    }

    /// Applies a change.
    pub fn apply(&mut self, delta: Delta) {
        match delta {
            Delta::Cluster(target) => self.cluster = ClusterConnection::Connected(target),
            Delta::Unreachable(reason, again) => {
                self.cluster = ClusterConnection::Failed(reason, again);
            }
            Delta::Connecting => self.cluster = ClusterConnection::Connecting,
            Delta::Repository(result) => self.repository.update(result),
            Delta::Plan(result) => self.plan.update(result),
            Delta::Checking => self.checks.running = true,
            Delta::Checks(lines) => {
                self.checks.lines = lines;
                self.checks.running = false;
            }
            Delta::CommandRan(command) => {
                self.commands.push_front(command);
                self.commands.truncate(COMMANDS);
            }
            Delta::PlanComparison(compared) => self.checks.comparison = compared,
            Delta::Settings(settings) => self.settings = settings,
            Delta::Watch(delta) => self.watched(*delta),
            Delta::Progress(id, progress) => {
                if let Some(entry) = self.runs.by_id.get_mut(&id) {
                    entry.progress = *progress;
                }
            }
            Delta::FinishedRuns(runs) => self.finished_runs = Arc::new(runs),
            Delta::ArchivedRun(run) => {
                let id = run.uid().to_owned();
                let entry = self.runs.by_id.entry(id);
                entry.or_insert_with(|| RunEntry {
                    removed: true,
                    ..RunEntry::new(*run)
                });
            }
        }
    }

    fn watched(&mut self, delta: WorldDelta) {
        match delta {
            WorldDelta::Listed(kind, objects) => {
                let listed: HashSet<&str> = objects.iter().map(Object::uid).collect();
                match kind {
                    Kind::DocsRun | Kind::CodeRun => {
                        let run_kind = if kind == Kind::DocsRun {
                            RunKind::Docs
                        } else {
                            RunKind::Code
                        };
                        self.runs.listed.insert(kind);
                        self.runs.by_id.retain(|id, entry| {
                            entry.removed
                                || entry.run.kind != run_kind
                                || listed.contains(id.as_str())
                        });
                    }
                    Kind::Job => self.owned.jobs.retain(|id, _| listed.contains(id.as_str())),
                    Kind::Pod => self.owned.pods.retain(|id, _| listed.contains(id.as_str())),
                    Kind::Event => self
                        .owned
                        .events
                        .retain(|id, _| listed.contains(id.as_str())),
                }
                for object in objects {
                    self.put(object);
                }
                self.update_troubles();
            }
            WorldDelta::Applied(object) => {
                let pod = object.kind() == Kind::Pod;
                self.put(object);
                if pod {
                    self.update_troubles();
                }
            }
            WorldDelta::Deleted { kind, uid, .. } => match kind {
                Kind::DocsRun | Kind::CodeRun => {
                    self.runs.by_id.remove(&uid);
                }
                Kind::Job => {
                    self.owned.jobs.remove(&uid);
                }
                Kind::Pod => {
                    self.owned.pods.remove(&uid);
                    self.update_troubles();
                }
                Kind::Event => {
                    self.owned.events.remove(&uid);
                }
            },
            WorldDelta::Disconnected { reason, .. } => {
                if let ClusterConnection::Connected(target) = &self.cluster {
                    self.cluster = ClusterConnection::Lost(target.clone(), reason);
                }
            }
            WorldDelta::Connected(_) => {
                if let ClusterConnection::Lost(target, _) = &self.cluster {
                    self.cluster = ClusterConnection::Connected(target.clone());
                }
            }
        }
    }

    fn put(&mut self, object: Object) {
        let uid = object.uid().to_owned();
        match object {
            Object::Run(run) => self.runs.put(*run),
            Object::Job(job) => {
                self.owned.jobs.insert(uid, job);
            }
            Object::Pod(pod) => {
                self.owned.pods.insert(uid, pod);
            }
            Object::Event(event) => {
                self.owned.events.insert(uid, event);
            }
            // Already logged by the watch; there is nothing to show.
            Object::Unreadable { .. } => {}
        }
    }

    /// Updates why the pods of each run wait.
    fn update_troubles(&mut self) {
        let mut troubles = self.owned.troubles();
        for (id, entry) in &mut self.runs.by_id {
            entry.trouble = troubles.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::{resources::DocsRun, runs::Run};

    fn run(uid: &str) -> Box<Run> {
        let mut run = Run::from(DocsRun::new(
            uid,
            flightdeck_core::resources::DocsRunSpec::default(),
        ));
        run.metadata.uid = Some(uid.into());
        Box::new(run)
    }

    fn listed(uids: &[&str]) -> Delta {
        let objects = uids.iter().map(|uid| Object::Run(run(uid))).collect();
        Delta::Watch(Box::new(WorldDelta::Listed(Kind::DocsRun, objects)))
    }

    #[test]
    fn list_replaces_runs_but_keeps_archived_ones() {
        let mut world = World::default();
        world.apply(Delta::ArchivedRun(run("old")));
        world.apply(listed(&["a", "b"]));
        world.apply(Delta::Progress(
            "b".into(),
            Box::new(Progress {
                documents: 3,
                ..Progress::default()
            }),
        ));
        world.apply(listed(&["b", "c"]));
        let mut known: Vec<&str> = world.runs.iter().map(|(id, _)| id.as_str()).collect();
        known.sort_unstable();
        assert_eq!(known, ["b", "c", "old"]);
        assert_eq!(world.runs.get("b").unwrap().progress.documents, 3);
        assert!(!world.runs.complete(), "code runs have not been listed");
    }

    #[test]
    fn outage_keeps_objects_until_reconnect() {
        let mut world = World::default();
        world.apply(Delta::Cluster(ClusterTarget::default()));
        world.apply(listed(&["a"]));
        let lost = WorldDelta::Disconnected {
            kind: Kind::Pod,
            reason: "gone".into(),
        };
        world.apply(Delta::Watch(Box::new(lost)));
        assert!(matches!(world.cluster, ClusterConnection::Lost(..)));
        assert!(world.runs.get("a").is_some());
        world.apply(Delta::Watch(Box::new(WorldDelta::Connected(Kind::Pod))));
        assert!(matches!(world.cluster, ClusterConnection::Connected(_)));
    }

    #[test]
    fn broken_plan_keeps_last_good_version() {
        let mut world = World::default();
        world.apply(Delta::Plan(Ok(Arc::new(Plan::default()))));
        world.apply(Delta::Plan(Err(PlanError::from("there is no tasks.json"))));
        assert!(world.plan.get().is_some());
        assert!(world.plan.error().is_some());
    }
}
