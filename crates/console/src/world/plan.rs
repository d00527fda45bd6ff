//! The task plan with its documents, the next task and open dependencies. Indexed once, read by every frame.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use super::TaskId;
use flightdeck_core::tasks::{self, Complexity, DocumentSet, OpenDependency, Task, TaskFile};

/// Why the plan cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanError {
    /// A sentence that names the file.
    pub message: String,
    /// File, line and column of the error, from 1.
    pub position: Option<(PathBuf, usize, usize)>,
}

impl<S: Into<String>> From<S> for PlanError {
    fn from(message: S) -> Self {
        Self {
            message: message.into(),
            position: None,
        }
    }
}

/// The task file as the console shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The path of `tasks.json`.
    pub path: PathBuf,
    pub file: TaskFile,
    /// The current tag.
    pub tag: String,
    /// The next task by the rules of Task Master, and why.
    pub next: Option<(TaskId, String)>,
    ready: HashSet<TaskId>,
    complexity: HashMap<TaskId, Complexity>,
    documents: HashMap<TaskId, DocumentSet>,
    waits: HashMap<TaskId, Vec<OpenDependency>>,
    /// Position of each task in the tag, and of the subtask within it.
    index: HashMap<TaskId, (usize, Option<usize>)>,
}

impl Plan {
    /// Indexes a plan. A duplicate id resolves to the first task.
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

    /// Adds the complexity report of the tag.
    #[must_use]
    pub fn with_complexity(mut self, report: HashMap<TaskId, Complexity>) -> Self {
        self.complexity = report;
        self
    }

    /// The complexity of a task; `None` if it was not analyzed.
    pub fn complexity(&self, task: &str) -> Option<&Complexity> {
        self.complexity.get(task)
    }

    /// Whether any task was analyzed.
    pub fn has_complexity(&self) -> bool {
        !self.complexity.is_empty()
    }

    /// Number of tasks that are ready to start.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether a task is ready to start; `false` for a subtask.
    pub fn is_ready(&self, task: &str) -> bool {
        self.ready.contains(task)
    }

    /// The parent of a subtask; `None` for a task.
    pub fn parent(&self, id: &str) -> Option<&TaskId> {
        let (at, below) = self.index.get(id)?;
        below.and_then(|_| Some(&self.tasks().get(*at)?.id))
    }

    /// Whether the file contains the current tag.
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

    /// Looks up a task or subtask by id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        let (at, below) = self.index.get(id)?;
        let task = self.tasks().get(*at)?;
        below.map_or(Some(task), |below| task.subtasks.get(below))
    }

    /// The line of a task in the file; 1 if there is no such task.
    pub fn line_of(&self, id: &str) -> usize {
        self.task(id).map_or(1, |task| task.line.max(1))
    }

    /// The open dependencies of a task.
    pub fn waits(&self, id: &str) -> &[OpenDependency] {
        self.waits.get(id).map_or(&[], Vec::as_slice)
    }

    /// The tasks without complete documents, in file order.
    pub fn undocumented(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks()
            .iter()
            .map(|task| &task.id)
            .filter(|id| !self.documents(id).is_complete())
    }
}
