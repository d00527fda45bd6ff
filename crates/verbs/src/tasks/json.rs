//! JSON representation of tasks.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::selection::Selection;
use flightdeck_core::tasks::{
    self, Complexity, Dependencies, DependencyNode, Status, TagSummary, Task,
};

/// Converts tasks.
pub(super) struct Converter<'a> {
    selection: &'a Selection,
    ready: HashSet<String>,
}

/// A task of a list. A subtask has neither subtasks nor documents.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TaskItem {
    pub id: String,
    pub title: String,
    status: String,
    priority: String,
    dependencies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtasks: Option<Vec<TaskItem>>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<String>>,
}

/// A task with all details.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskDetails {
    #[serde(flatten)]
    pub task: TaskItem,
    parent: Option<String>,
    description: String,
    details: String,
    test_strategy: String,
    complexity: Option<ComplexityView>,
    /// Open dependencies, transitively.
    waits_for: Vec<LinkView>,
    /// Tasks blocked by this one, transitively.
    blocks: Vec<LinkView>,
    file: String,
    line: usize,
}

/// Complexity of a task, from the report.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ComplexityView {
    score: f64,
    level: String,
    recommended_subtasks: Option<u64>,
    reasoning: String,
}

/// A task in a dependency tree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct LinkView {
    depth: usize,
    id: String,
    title: String,
    /// `null` if the task does not exist.
    status: Option<String>,
    why: String,
}

impl<'a> Converter<'a> {
    pub(super) fn new(selection: &'a Selection) -> Self {
        let tag = selection.tag();
        let mut ready: HashSet<String> = tasks::ready(tag)
            .into_iter()
            .map(|task| task.id.clone())
            .collect();
        let waiting = tasks::open_dependencies(tag);
        let open = |status: &Status| {
            matches!(
                status,
                Status::Pending | Status::InProgress | Status::Review
            )
        };
        for task in &tag.tasks {
            for subtask in task.subtasks.iter().filter(|subtask| open(&subtask.status)) {
                let id = task.subtask_id(subtask);
                if !waiting.contains_key(&id) {
                    ready.insert(id);
                }
            }
        }
        Self { selection, ready }
    }

    /// Whether a task is ready, as in `task-master list --ready`. A subtask is ready without open dependencies.
    pub(super) fn is_ready(&self, id: &str) -> bool {
        self.ready.contains(id)
    }

    /// Converts a top-level task.
    pub(super) fn task(&self, task: &Task) -> TaskItem {
        let subtasks = task.subtasks.iter();
        let subtasks = subtasks.map(|subtask| self.bare(task.subtask_id(subtask), subtask));
        let documents = self.selection.documents(&task.id);
        TaskItem {
            subtasks: Some(subtasks.collect()),
            documents: Some(documents.present().map(str::to_owned).collect()),
            ..self.bare(task.id.clone(), task)
        }
    }

    /// Converts a task or subtask.
    pub(super) fn found(&self, id: &str, task: &Task) -> TaskItem {
        if task.id == id {
            self.task(task)
        } else {
            TaskItem {
                subtasks: Some(Vec::new()),
                documents: Some(Vec::new()),
                ..self.bare(id.to_owned(), task)
            }
        }
    }

    fn bare(&self, id: String, task: &Task) -> TaskItem {
        TaskItem {
            title: task.title.clone(),
            status: task.status.as_str().to_owned(),
            priority: task.priority.as_str().to_owned(),
            dependencies: task.dependencies.clone(),
            subtasks: None,
            ready: self.is_ready(&id),
            documents: None,
            id,
        }
    }

    /// Converts a task with all details.
    pub(super) fn details(&self, id: &str, parent: Option<&Task>, task: &Task) -> TaskDetails {
        let links = Dependencies::new(self.selection.tag());
        let view = |links: Vec<DependencyNode>| links.into_iter().map(LinkView::from).collect();
        TaskDetails {
            task: self.found(id, task),
            parent: parent.map(|parent| parent.id.clone()),
            description: task.description.clone(),
            details: task.details.clone(),
            test_strategy: task.test_strategy.clone(),
            complexity: self.selection.complexity(id).map(ComplexityView::from),
            waits_for: view(links.blockers(id)),
            blocks: view(links.blocks(id)),
            file: self.selection.path.display().to_string(),
            line: task.line,
        }
    }
}

impl From<Complexity> for ComplexityView {
    fn from(of: Complexity) -> Self {
        Self {
            score: of.score,
            level: of.level().as_str().to_owned(),
            recommended_subtasks: of.recommended_subtasks,
            reasoning: of.reasoning,
        }
    }
}

impl From<DependencyNode> for LinkView {
    fn from(link: DependencyNode) -> Self {
        Self {
            why: link.why(),
            depth: link.depth,
            id: link.id,
            title: link.title,
            status: link.status.map(|status| status.as_str().to_owned()),
        }
    }
}

/// A tag with its counts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct TagItem {
    pub name: String,
    /// Whether the tag is selected.
    pub current: bool,
    pub tasks: usize,
    pub done: usize,
    pub ready: usize,
    pub subtasks: usize,
}

impl TagItem {
    pub(super) fn new(tag: TagSummary, current: &str) -> Self {
        Self {
            current: tag.name == current,
            name: tag.name,
            tasks: tag.tasks,
            done: tag.done,
            ready: tag.ready,
            subtasks: tag.subtasks,
        }
    }
}
