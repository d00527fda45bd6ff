//! A read-only mirror of what is outside: the cluster, the repository and the task file. Written only by [`Delta`]s.
//!
//! Nothing here is derived from what a person does; that is [`super::model`].

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    resources::Usage,
    runs::{Phase, Run, naming},
    tasks::{Status, Task, TaskFile},
};

/// Identity of a run: the uid the server gave it.
pub type RunId = String;
/// Identity of a task: its id, `1.2` for a subtask.
pub type TaskId = String;

/// What is known of the outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    pub cluster: Cluster,
    pub repository: Loaded<Repository>,
    pub plan: Loaded<Arc<Plan>>,
    pub checks: Checks,
    pub runs: Runs,
}

/// Something that is read in the background.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Loaded<T> {
    /// Not read yet.
    #[default]
    Waiting,
    Ready(T),
    /// Why it cannot be read, as a sentence, with the last good one if there was any.
    Failed(String, Option<T>),
}

impl<T> Loaded<T> {
    /// What was read last.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Waiting | Self::Failed(_, None) => None,
            Self::Ready(value) | Self::Failed(_, Some(value)) => Some(value),
        }
    }

    /// Why it could not be read the last time.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error, _) => Some(error),
            _ => None,
        }
    }

    /// Takes the newest result, keeping the last good value beside an error.
    pub fn update(&mut self, result: Result<T, String>) {
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
    /// It never was there.
    Failed(String),
}

impl Cluster {
    /// Where runs go, once known.
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Connected(target) | Self::Lost(target, _) => Some(target),
            Self::Connecting | Self::Failed(_) => None,
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
    pub root: PathBuf,
    /// `owner/name`, or the folder's name.
    pub name: String,
    /// `None` when HEAD is detached.
    pub branch: Option<String>,
    pub ahead: usize,
    pub behind: usize,
    /// Files changed, staged or new.
    pub changed: usize,
    /// Name of the remote.
    pub remote: String,
    /// Whether `tasks.json` on disk is the remote branch's; `None` when that is not known.
    pub tasks_pushed: Option<bool>,
    /// The remote's address as a pod would clone it.
    pub url: Option<String>,
    /// Value of the label that this repository's runs bear.
    pub label: Option<String>,
}

/// The task file with what surrounds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of `tasks.json`.
    pub path: PathBuf,
    pub file: TaskFile,
    /// The current tag.
    pub tag: String,
    /// Per task of the tag, which of the four documents exist.
    pub documents: BTreeMap<TaskId, [bool; 4]>,
    /// What to do next, as Task Master answers.
    pub next: Option<TaskId>,
    /// Where a task is: its place in the tag, and that of the subtask.
    index: HashMap<TaskId, (usize, Option<usize>)>,
}

impl Plan {
    /// A plan, indexed. Of tasks that share an id the first one is found.
    pub fn new(
        path: PathBuf,
        file: TaskFile,
        tag: String,
        documents: BTreeMap<TaskId, [bool; 4]>,
        next: Option<TaskId>,
    ) -> Self {
        let mut index = HashMap::new();
        for (at, task) in file
            .tag(&tag)
            .iter()
            .flat_map(|tag| tag.tasks.iter().enumerate())
        {
            index.entry(task.id.clone()).or_insert((at, None));
            for (below, subtask) in task.subtasks.iter().enumerate() {
                let id = format!("{}.{}", task.id, subtask.id);
                index.entry(id).or_insert((at, Some(below)));
            }
        }
        Self {
            path,
            file,
            tag,
            documents,
            next,
            index,
        }
    }

    /// The tasks of the current tag.
    pub fn tasks(&self) -> &[Task] {
        self.file.tag(&self.tag).map_or(&[], |tag| &tag.tasks)
    }

    /// How many of a task's four documents exist.
    pub fn documents_of(&self, task: &str) -> usize {
        let present = self.documents.get(task);
        present.map_or(0, |files| files.iter().filter(|file| **file).count())
    }

    /// The task, or the subtask, of that id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        let (at, below) = self.index.get(id)?;
        let task = self.tasks().get(*at)?;
        below.map_or(Some(task), |below| task.subtasks.get(below))
    }

    /// Dependencies of a task that are neither done nor cancelled, or that do not exist. A subtask's plain number means
    /// its sibling.
    pub fn waits_for<'p>(&'p self, id: &'p str) -> impl Iterator<Item = String> + 'p {
        let parent = id.split_once('.').map(|(parent, _)| parent);
        let dependencies = self.task(id).map_or(&[][..], |task| &task.dependencies);
        dependencies.iter().filter_map(move |dependency| {
            let sibling = parent.map(|parent| format!("{parent}.{dependency}"));
            let name = match sibling {
                Some(sibling) if self.index.contains_key(&sibling) => sibling,
                _ => dependency.clone(),
            };
            let finished = self
                .task(&name)
                .is_some_and(|task| matches!(task.status, Status::Done | Status::Cancelled));
            (!finished).then_some(name)
        })
    }

    /// Tasks that could be begun now.
    pub fn ready(&self) -> usize {
        let open = |task: &&Task| task.status == Status::Pending;
        self.tasks()
            .iter()
            .filter(open)
            .filter(|task| self.waits_for(&task.id).next().is_none())
            .count()
    }

    /// Tasks with documents missing.
    pub fn undocumented(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks()
            .iter()
            .map(|task| &task.id)
            .filter(|id| self.documents_of(id) < 4)
    }
}

/// The pre-flight checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    pub lines: Vec<Check>,
    /// A check is under way.
    pub running: bool,
}

impl Checks {
    /// The check of that id.
    pub fn get(&self, id: &str) -> Option<&Check> {
        self.lines.iter().find(|check| check.id == id)
    }

    /// The worst of them.
    pub fn worst(&self) -> Level {
        let levels = self.lines.iter().map(|check| check.level);
        levels.max().unwrap_or_default()
    }
}

/// The verdict of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    pub id: String,
    pub level: Level,
    /// One sentence.
    pub message: String,
    pub explanation: String,
    /// What would mend it, in a word or two; `None` when nothing here can.
    pub fix: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Pass,
    Warn,
    Fail,
}

/// Every run that is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    by_id: HashMap<RunId, Entry>,
    /// A list being received: it takes the old one's place when it is whole.
    staged: Option<HashMap<RunId, Entry>>,
    /// The first list has come.
    pub complete: bool,
}

/// A run with what is known beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub run: Run,
    /// Why nothing moves: a waiting pod, a missing Secret; one sentence.
    pub trouble: Option<String>,
    /// What the log of a run under way says.
    pub progress: Progress,
    /// Deleted from the cluster; what is left is the ledger's.
    pub removed: bool,
}

/// What is read from a log while the run is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub documents: usize,
    pub usage: Usage,
    /// Tokens in the agent's context, and how many fit.
    pub context: Option<(i64, i64)>,
}

impl Entry {
    /// A run of which nothing more is known.
    pub const fn new(run: Run) -> Self {
        Self {
            run,
            trouble: None,
            progress: Progress {
                documents: 0,
                usage: Usage {
                    input_tokens: 0,
                    output_tokens: 0,
                    cache_read_tokens: 0,
                    cost_micro_usd: 0,
                    turns: 0,
                },
                context: None,
            },
            removed: false,
        }
    }

    /// Whether it has not ended.
    pub fn active(&self) -> bool {
        !self.removed && !self.run.phase().finished()
    }

    /// Documents written and expected; what the status says wins over what the log promised.
    pub fn documents(&self) -> Option<(usize, usize)> {
        let expected = self.run.expected_documents().len();
        if expected == 0 {
            return None;
        }
        let status = self.run.status.documents.as_ref();
        Some(
            status.map_or((self.progress.documents, expected), |documents| {
                (documents.written as usize, documents.expected as usize)
            }),
        )
    }

    /// What the agent used so far.
    pub fn usage(&self) -> Usage {
        self.run.status.usage.unwrap_or(self.progress.usage)
    }

    /// When it was created.
    pub fn created(&self) -> Option<Timestamp> {
        let at = self.run.metadata.creation_timestamp.as_ref();
        at.map(|time| time.0)
    }

    /// Whether the run belongs to a repository.
    pub fn of_repository(&self, label: &str) -> bool {
        self.run.label(naming::LABEL_REPOSITORY) == Some(label)
    }

    /// Whether there is work on a branch that could be brought home.
    pub fn pushed(&self) -> bool {
        self.run.status.commit.is_some()
            && matches!(self.run.phase(), Phase::Succeeded | Phase::Failed)
    }
}

impl Runs {
    /// The run of that uid.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.by_id.get(id)
    }

    /// Every run, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&RunId, &Entry)> {
        self.by_id.iter()
    }

    /// Whether a list is being received.
    pub const fn receiving(&self) -> bool {
        self.staged.is_some()
    }

    /// When a run was created.
    pub fn created(&self, id: &str) -> Option<Timestamp> {
        self.get(id).and_then(Entry::created)
    }

    /// The run of that name.
    pub fn named(&self, name: &str) -> Option<(&RunId, &Entry)> {
        self.by_id
            .iter()
            .find(|(_, entry)| entry.run.name() == name)
    }

    fn put(&mut self, run: Run) {
        let id = run.uid().to_owned();
        let map = self.staged.as_mut().unwrap_or(&mut self.by_id);
        match map.get_mut(&id) {
            Some(entry) => {
                entry.run = run;
                entry.removed = false;
            }
            None => {
                map.insert(id, Entry::new(run));
            }
        }
    }
}

/// One change outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// The connection stands, or could not be made.
    Cluster(Result<Target, String>),
    /// The connection broke; it is being made again.
    Disconnected(String),
    Repository(Result<Repository, String>),
    Plan(Result<Arc<Plan>, String>),
    Checking,
    Checks(Vec<Check>),
    /// A list begins; what is known stays until it is whole.
    ListBegun,
    Run(Box<Run>),
    ListEnded,
    Deleted(RunId),
    Trouble(RunId, Option<String>),
    Progress(RunId, Progress),
    /// A run that only the ledger remembers.
    Remembered(Box<Run>),
}

impl World {
    /// Takes a change in.
    pub fn apply(&mut self, delta: Delta) {
        match delta {
            Delta::Cluster(Ok(target)) => self.cluster = Cluster::Connected(target),
            Delta::Cluster(Err(reason)) => self.cluster = Cluster::Failed(reason),
            Delta::Disconnected(reason) => {
                if let Some(target) = self.cluster.target() {
                    self.cluster = Cluster::Lost(target.clone(), reason);
                }
            }
            Delta::Repository(result) => self.repository.update(result),
            Delta::Plan(result) => self.plan.update(result),
            Delta::Checking => self.checks.running = true,
            Delta::Checks(lines) => {
                self.checks = Checks {
                    lines,
                    running: false,
                };
            }
            Delta::ListBegun => self.runs.staged = Some(HashMap::new()),
            Delta::Run(run) => self.runs.put(*run),
            Delta::ListEnded => {
                if let Some(mut staged) = self.runs.staged.take() {
                    for (id, mut old) in std::mem::take(&mut self.runs.by_id) {
                        match staged.get_mut(&id) {
                            Some(entry) => {
                                entry.trouble = old.trouble.take();
                                entry.progress = old.progress;
                            }
                            None if old.removed => {
                                staged.insert(id, old);
                            }
                            None => {}
                        }
                    }
                    self.runs.by_id = staged;
                }
                self.runs.complete = true;
            }
            Delta::Deleted(id) => {
                self.runs.by_id.remove(&id);
                if let Some(staged) = &mut self.runs.staged {
                    staged.remove(&id);
                }
            }
            Delta::Trouble(id, trouble) => {
                if let Some(entry) = self.runs.by_id.get_mut(&id) {
                    entry.trouble = trouble;
                }
            }
            Delta::Progress(id, progress) => {
                if let Some(entry) = self.runs.by_id.get_mut(&id) {
                    entry.progress = progress;
                }
            }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{resources::DocsRun, runs::Run};

    fn run(uid: &str) -> Box<Run> {
        let mut run = Run::from(DocsRun::new(uid, crate::resources::DocsRunSpec::default()));
        run.metadata.uid = Some(uid.into());
        Box::new(run)
    }

    #[test]
    fn nothing_flashes_empty_while_a_list_is_received_again() {
        let mut world = World::default();
        for delta in [
            Delta::ListBegun,
            Delta::Run(run("a")),
            Delta::Run(run("b")),
            Delta::ListEnded,
            Delta::Trouble("b".into(), Some("waits".into())),
            Delta::ListBegun,
            Delta::Run(run("b")),
        ] {
            world.apply(delta);
        }
        assert!(
            world.runs.get("a").is_some(),
            "the old list stays until the new one is whole"
        );
        world.apply(Delta::ListEnded);
        assert!(world.runs.get("a").is_none());
        let kept = world
            .runs
            .get("b")
            .and_then(|entry| entry.trouble.as_deref());
        assert_eq!(kept, Some("waits"));
    }

    #[test]
    fn a_file_that_breaks_leaves_its_last_good_version_on_screen() {
        let mut world = World::default();
        world.apply(Delta::Plan(Ok(Arc::new(Plan::default()))));
        world.apply(Delta::Plan(Err(
            "tasks.json: line 3, column 1: not JSON".into()
        )));
        assert!(world.plan.get().is_some());
        assert!(world.plan.error().is_some());
    }
}
