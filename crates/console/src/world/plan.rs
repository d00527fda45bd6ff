//! The plan with what surrounds it: documents, what is next, what waits. Indexed once, read by every frame.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use super::TaskId;
use flightdeck_core::tasks::{self, Complexity, DocumentSet, OpenDependency, Task, TaskFile};

/// Why there is no plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanError {
    /// One sentence that names the file.
    pub message: String,
    /// Where an editor shows what is wrong: file, line and column from 1.
    pub place: Option<(PathBuf, usize, usize)>,
}

impl<S: Into<String>> From<S> for PlanError {
    fn from(message: S) -> Self {
        Self {
            message: message.into(),
            place: None,
        }
    }
}

/// The task file as the console shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Of `tasks.json`.
    pub path: PathBuf,
    pub file: TaskFile,
    /// The current tag.
    pub tag: String,
    /// What to do next, as Task Master answers, and why.
    pub next: Option<(TaskId, String)>,
    ready: HashSet<TaskId>,
    complexity: HashMap<TaskId, Complexity>,
    documents: HashMap<TaskId, DocumentSet>,
    waits: HashMap<TaskId, Vec<OpenDependency>>,
    /// Where a task is: its place in the tag, and that of the subtask.
    index: HashMap<TaskId, (usize, Option<usize>)>,
}

impl Plan {
    /// A plan, indexed. Of tasks that share an id the first one is found.
    pub fn new(
        path: PathBuf,
        file: TaskFile,
        tag: String,
        documents: HashMap<TaskId, DocumentSet>,
    ) -> Self {
        let mut index = HashMap::new();
        let (mut next, mut ready, mut waits) = (None, HashSet::new(), HashMap::new());
        if let Some(tag) = file.tag(&tag) {
            for (at, task) in tag.tasks.iter().enumerate() {
                index.entry(task.id.clone()).or_insert((at, None));
                for (below, subtask) in task.subtasks.iter().enumerate() {
                    let id = format!("{}.{}", task.id, subtask.id);
                    index.entry(id).or_insert((at, Some(below)));
                }
            }
            next = tasks::next(tag).map(|next| (next.id.clone(), next.why()));
            ready = tasks::ready(tag)
                .iter()
                .map(|task| task.id.clone())
                .collect();
            waits = tasks::open_dependencies(tag);
        }
        Self {
            path,
            file,
            tag,
            next,
            ready,
            documents,
            waits,
            index,
            complexity: HashMap::new(),
        }
    }

    /// The same, with the complexity report of the tag.
    #[must_use]
    pub fn with_complexity(mut self, report: HashMap<TaskId, Complexity>) -> Self {
        self.complexity = report;
        self
    }

    /// How complex a task was found; `None` when nobody looked.
    pub fn complexity(&self, task: &str) -> Option<&Complexity> {
        self.complexity.get(task)
    }

    /// Whether any task has a score.
    pub fn has_complexity(&self) -> bool {
        !self.complexity.is_empty()
    }

    /// How many tasks could be begun now.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether a task could be begun now; never said of a subtask.
    pub fn is_ready(&self, task: &str) -> bool {
        self.ready.contains(task)
    }

    /// The task a subtask belongs to; `None` for a task.
    pub fn parent(&self, id: &str) -> Option<&TaskId> {
        let (at, below) = self.index.get(id)?;
        below.and_then(|_| Some(&self.tasks().get(*at)?.id))
    }

    /// Whether the file has the tag that is shown.
    pub fn has_tag(&self) -> bool {
        self.file.tag(&self.tag).is_some()
    }

    /// The tasks of the current tag.
    pub fn tasks(&self) -> &[Task] {
        self.file.tag(&self.tag).map_or(&[], |tag| &tag.tasks)
    }

    /// Which of a task's four documents exist.
    pub fn documents(&self, task: &str) -> DocumentSet {
        self.documents.get(task).copied().unwrap_or_default()
    }

    /// The task, or the subtask, of that id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        let (at, below) = self.index.get(id)?;
        let task = self.tasks().get(*at)?;
        below.map_or(Some(task), |below| task.subtasks.get(below))
    }

    /// The line of the file a task begins at; 1 when it is not there.
    pub fn line_of(&self, id: &str) -> usize {
        self.task(id).map_or(1, |task| task.line.max(1))
    }

    /// What a task waits for.
    pub fn waits(&self, id: &str) -> &[OpenDependency] {
        self.waits.get(id).map_or(&[], Vec::as_slice)
    }

    /// Tasks with documents missing, in file order.
    pub fn undocumented(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks()
            .iter()
            .map(|task| &task.id)
            .filter(|id| !self.documents(id).is_complete())
    }
}
