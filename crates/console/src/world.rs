//! A read-only mirror of what is outside: the cluster, the repository and the task file. Written only by [`Delta`]s.
//!
//! Nothing here is derived from what a person does; that is [`super::model`].

mod owned;
mod plan;
mod runs;

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
};

pub use owned::Owned;
pub use plan::{Plan, PlanError};
pub use runs::{Entry, Progress, Runs};

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

pub use flightdeck_host::repository::Entry as Ran;
pub use flightdeck_preflight::{Checked as Check, Level};

/// Identity of a run: the uid the server gave it.
pub type RunId = String;
/// Identity of a task: its id, `1.2` for a subtask.
pub type TaskId = String;

/// What is known of the outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub cluster: Cluster,
    pub repository: Loaded<Repository>,
    pub plan: Loaded<Arc<Plan>, PlanError>,
    pub checks: Checks,
    /// Those of the controller, where they can be known.
    pub settings: Option<Arc<Settings>>,
    pub runs: Runs,
    pub owned: Owned,
    /// What runs took and cost that have ended, as the ledger knows them.
    pub earlier: Arc<Vec<FinishedRun>>,
    /// Commands that were run on the person's behalf, the latest first.
    pub commands: VecDeque<Arc<Ran>>,
}

/// Commands that are remembered.
const COMMANDS: usize = 200;

/// Something that is read in the background.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loaded<T, E = String> {
    /// Not read yet.
    #[default]
    Waiting,
    Ready(T),
    /// Why it cannot be read, with the last good one if there was any.
    Failed(E, Option<T>),
}

impl<T, E> Loaded<T, E> {
    /// What was read last.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Waiting | Self::Failed(_, None) => None,
            Self::Ready(value) | Self::Failed(_, Some(value)) => Some(value),
        }
    }

    /// Why it could not be read the last time.
    pub const fn error(&self) -> Option<&E> {
        match self {
            Self::Failed(error, _) => Some(error),
            _ => None,
        }
    }

    /// Takes the newest result, keeping the last good value beside an error.
    pub fn update(&mut self, result: Result<T, E>) {
        *self = match (result, std::mem::take(self)) {
            (Ok(value), _) => Self::Ready(value),
            (Err(error), Self::Ready(old) | Self::Failed(_, Some(old))) => {
                Self::Failed(error, Some(old))
            }
            (Err(error), _) => Self::Failed(error, None),
        };
    }
}

/// The connection to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cluster {
    /// The first connection is under way.
    #[default]
    Connecting,
    Connected(Target),
    /// It was there and is not now; what was seen last stays.
    Lost(Target, String),
    /// It never was there: why, and when it is tried again.
    Failed(String, Timestamp),
}

impl Cluster {
    /// Where runs go, once known.
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Connected(target) | Self::Lost(target, _) => Some(target),
            Self::Connecting | Self::Failed(..) => None,
        }
    }
}

/// Where runs go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `embedded`, or the name of a context.
    pub label: String,
    pub namespace: String,
    pub embedded: bool,
}

/// What the header says of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Top of the work tree.
    pub root: PathBuf,
    /// `owner/name`, or the folder's name.
    pub name: String,
    /// `None` when HEAD is detached.
    pub branch: Option<String>,
    pub ahead: usize,
    pub behind: usize,
    /// What a pod would clone.
    pub url: Option<String>,
    /// Files changed, staged or new.
    pub changed: usize,
    /// Name of the remote.
    pub remote: String,
    /// Whether `tasks.json` on disk is the remote branch's; `None` when that is not known.
    pub tasks_pushed: Option<bool>,
    /// When what is known of the remote was true; `None` when it was never seen.
    pub as_of: Option<Timestamp>,
    /// The remote did not answer when it was last asked.
    pub offline: bool,
    /// Value of the label that this repository's runs bear.
    pub label: Option<String>,
}

/// The pre-flight checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    pub lines: Vec<Check>,
    /// A check is under way.
    pub running: bool,
    /// The plan on disk against the remote's, where they differ.
    pub comparison: Option<Arc<Compared>>,
}

/// The plan on disk against the one a run would clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// `origin/feature/x`
    pub place: String,
    /// From the remote's to the one on disk.
    pub comparison: Comparison,
}

impl Checks {
    /// How the plans differ, where the check of that id is about the plan here and the remote's.
    pub fn compared(&self, id: &str) -> Option<&Compared> {
        let compared = self.comparison.as_deref();
        compared.filter(|_| matches!(id, "tasks-pushed" | "tasks-committed"))
    }

    /// The check of that id.
    pub fn get(&self, id: &str) -> Option<&Check> {
        self.lines.iter().find(|check| check.id == id)
    }

    /// The worst of them.
    pub fn worst(&self) -> Level {
        let levels = self.lines.iter().map(|check| check.level);
        levels.max().unwrap_or(Level::Pass)
    }
}

/// One change outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// The connection stands.
    Cluster(Target),
    /// It could not be made: why, and when it is tried again.
    Unreachable(String, Timestamp),
    /// It is being tried again.
    Connecting,
    Repository(Result<Repository, String>),
    Plan(Result<Arc<Plan>, PlanError>),
    Checking,
    Checks(Vec<Check>),
    Compared(Option<Arc<Compared>>),
    /// The controller's settings, where they can be known.
    Settings(Option<Arc<Settings>>),
    /// A command has ended that was run on the person's behalf.
    Ran(Arc<Ran>),
    /// The cluster's objects changed.
    Watch(Box<WorldDelta>),
    Progress(RunId, Box<Progress>),
    /// Runs that have ended, from the ledger.
    Earlier(Vec<FinishedRun>),
    /// A run that only the ledger remembers.
    Remembered(Box<Run>),
}

impl World {
    /// Label of the runs of this repository; `None` until the repository is read, and where it has no remote.
    pub fn repository_label(&self) -> Option<&str> {
        self.repository.get()?.label.as_deref()
    }

    /// Takes a change in.
    pub fn apply(&mut self, delta: Delta) {
        match delta {
            Delta::Cluster(target) => self.cluster = Cluster::Connected(target),
            Delta::Unreachable(reason, again) => self.cluster = Cluster::Failed(reason, again),
            Delta::Connecting => self.cluster = Cluster::Connecting,
            Delta::Repository(result) => self.repository.update(result),
            Delta::Plan(result) => self.plan.update(result),
            Delta::Checking => self.checks.running = true,
            Delta::Checks(lines) => {
                self.checks.lines = lines;
                self.checks.running = false;
            }
            Delta::Ran(command) => {
                self.commands.push_front(command);
                self.commands.truncate(COMMANDS);
            }
            Delta::Compared(compared) => self.checks.comparison = compared,
            Delta::Settings(settings) => self.settings = settings,
            Delta::Watch(delta) => self.watched(*delta),
            Delta::Progress(id, progress) => {
                if let Some(entry) = self.runs.by_id.get_mut(&id) {
                    entry.progress = *progress;
                }
            }
            Delta::Earlier(earlier) => self.earlier = Arc::new(earlier),
            Delta::Remembered(run) => {
                let id = run.uid().to_owned();
                let entry = self.runs.by_id.entry(id);
                entry.or_insert_with(|| Entry {
                    removed: true,
                    ..Entry::new(*run)
                });
            }
        }
    }

    fn watched(&mut self, delta: WorldDelta) {
        match delta {
            WorldDelta::Listed(kind, objects) => {
                let kept: HashSet<&str> = objects.iter().map(Object::uid).collect();
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
                                || kept.contains(id.as_str())
                        });
                    }
                    Kind::Job => self.owned.jobs.retain(|id, _| kept.contains(id.as_str())),
                    Kind::Pod => self.owned.pods.retain(|id, _| kept.contains(id.as_str())),
                    Kind::Event => self.owned.events.retain(|id, _| kept.contains(id.as_str())),
                }
                for object in objects {
                    self.put(object);
                }
                self.find_troubles();
            }
            WorldDelta::Applied(object) => {
                let pod = object.kind() == Kind::Pod;
                self.put(object);
                if pod {
                    self.find_troubles();
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
                    self.find_troubles();
                }
                Kind::Event => {
                    self.owned.events.remove(&uid);
                }
            },
            WorldDelta::Disconnected { reason, .. } => {
                if let Cluster::Connected(target) = &self.cluster {
                    self.cluster = Cluster::Lost(target.clone(), reason);
                }
            }
            WorldDelta::Connected(_) => {
                if let Cluster::Lost(target, _) = &self.cluster {
                    self.cluster = Cluster::Connected(target.clone());
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
            // Said by the stream's log; nothing here can show it.
            Object::Unreadable { .. } => {}
        }
    }

    /// Looks again why nothing moves, in every run.
    fn find_troubles(&mut self) {
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
    fn a_list_takes_the_place_of_the_old_one_and_keeps_what_the_ledger_remembers() {
        let mut world = World::default();
        world.apply(Delta::Remembered(run("old")));
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
    fn an_outage_is_shown_until_the_watch_stands_again_and_nothing_is_forgotten() {
        let mut world = World::default();
        world.apply(Delta::Cluster(Target::default()));
        world.apply(listed(&["a"]));
        let lost = WorldDelta::Disconnected {
            kind: Kind::Pod,
            reason: "gone".into(),
        };
        world.apply(Delta::Watch(Box::new(lost)));
        assert!(matches!(world.cluster, Cluster::Lost(..)));
        assert!(world.runs.get("a").is_some());
        world.apply(Delta::Watch(Box::new(WorldDelta::Connected(Kind::Pod))));
        assert!(matches!(world.cluster, Cluster::Connected(_)));
    }

    #[test]
    fn a_file_that_breaks_leaves_its_last_good_version_on_screen() {
        let mut world = World::default();
        world.apply(Delta::Plan(Ok(Arc::new(Plan::default()))));
        world.apply(Delta::Plan(Err(PlanError::from("there is no tasks.json"))));
        assert!(world.plan.get().is_some());
        assert!(world.plan.error().is_some());
    }
}
