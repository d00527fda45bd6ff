//! The plan with what surrounds it: documents, what is next, what waits. Indexed once, read by every frame.

use std::{collections::HashMap, path::PathBuf};

use super::TaskId;
use crate::tasks::{self, DocumentSet, Task, TaskFile, Waits};

/// The task file as the console shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of `tasks.json`.
    pub path: PathBuf,
    pub file: TaskFile,
    /// The current tag.
    pub tag: String,
    /// What to do next, as Task Master answers, and why.
    pub next: Option<(TaskId, String)>,
    /// Tasks that could be begun now.
    pub ready: usize,
    documents: HashMap<TaskId, DocumentSet>,
    waits: HashMap<TaskId, Vec<Waits>>,
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
        let (mut next, mut ready, mut waits) = (None, 0, HashMap::new());
        if let Some(tag) = file.tag(&tag) {
            for (at, task) in tag.tasks.iter().enumerate() {
                index.entry(task.id.clone()).or_insert((at, None));
                for (below, subtask) in task.subtasks.iter().enumerate() {
                    let id = format!("{}.{}", task.id, subtask.id);
                    index.entry(id).or_insert((at, Some(below)));
                }
            }
            next = tasks::next(tag).map(|next| (next.id.clone(), next.why()));
            ready = tasks::ready(tag).len();
            waits = tasks::waiting(tag);
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
        }
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
    pub fn waits(&self, id: &str) -> &[Waits] {
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
