//! Tasks as programs read them.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;

use super::open::Opened;
use flightdeck_core::tasks::{
    self, Complexity, Dependencies, DependencyNode, Status, TagSummary, Task,
};

/// What the objects of one answer are made from.
pub struct View<'a> {
    opened: &'a Opened,
    ready: HashSet<String>,
}

/// A task of a list. A subtask has neither subtasks nor documents.
#[derive(Serialize)]
pub struct TaskView<'a> {
    id: String,
    title: &'a str,
    status: &'a str,
    priority: &'a str,
    dependencies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    subtasks: Option<Vec<TaskView<'a>>>,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<&'static str>>,
}

/// A task with everything that is known of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeTask<'a> {
    #[serde(flatten)]
    task: TaskView<'a>,
    parent: Option<&'a str>,
    description: &'a str,
    details: &'a str,
    test_strategy: &'a str,
    complexity: Option<ComplexityView>,
    /// What it waits for, down to the roots.
    waits_for: Vec<LinkView>,
    /// What it holds up, in turn.
    blocks: Vec<LinkView>,
    file: String,
    line: usize,
}

/// What the report says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ComplexityView {
    score: f64,
    level: &'static str,
    recommended_subtasks: Option<u64>,
    reasoning: String,
}

#[derive(Serialize)]
struct LinkView {
    depth: usize,
    id: String,
    title: String,
    /// `null` when it does not exist.
    status: Option<String>,
    why: String,
}

impl<'a> View<'a> {
    pub fn new(opened: &'a Opened) -> Self {
        let tag = opened.tag();
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
        Self { opened, ready }
    }

    /// Whether a task could be begun, as `task-master list --ready` has it; a subtask when it waits for nothing.
    pub fn is_ready(&self, id: &str) -> bool {
        self.ready.contains(id)
    }

    /// A top-level task.
    pub fn task(&self, task: &'a Task) -> TaskView<'a> {
        let subtasks = task.subtasks.iter();
        let subtasks = subtasks.map(|subtask| self.bare(task.subtask_id(subtask), subtask));
        let documents = self.opened.documents(&task.id);
        TaskView {
            subtasks: Some(subtasks.collect()),
            documents: Some(documents.present().collect()),
            ..self.bare(task.id.clone(), task)
        }
    }

    /// The task of that id, whichever it is.
    pub fn found(&self, id: &str, task: &'a Task) -> TaskView<'a> {
        if task.id == id {
            self.task(task)
        } else {
            TaskView {
                subtasks: Some(Vec::new()),
                documents: Some(Vec::new()),
                ..self.bare(id.to_owned(), task)
            }
        }
    }

    fn bare(&self, id: String, task: &'a Task) -> TaskView<'a> {
        TaskView {
            title: &task.title,
            status: task.status.as_str(),
            priority: task.priority.as_str(),
            dependencies: &task.dependencies,
            subtasks: None,
            ready: self.is_ready(&id),
            documents: None,
            id,
        }
    }

    pub fn whole(&self, id: &str, parent: Option<&'a Task>, task: &'a Task) -> WholeTask<'a> {
        let links = Dependencies::new(self.opened.tag());
        let view = |links: Vec<DependencyNode>| links.into_iter().map(LinkView::from).collect();
        WholeTask {
            task: self.found(id, task),
            parent: parent.map(|parent| parent.id.as_str()),
            description: &task.description,
            details: &task.details,
            test_strategy: &task.test_strategy,
            complexity: self.opened.complexity(id).map(ComplexityView::from),
            waits_for: view(links.blockers(id)),
            blocks: view(links.blocks(id)),
            file: self.opened.path.display().to_string(),
            line: task.line,
        }
    }
}

impl From<Complexity> for ComplexityView {
    fn from(of: Complexity) -> Self {
        Self {
            score: of.score,
            level: of.level().as_str(),
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

/// The tags with their counts; `current` is the one meant.
pub fn tags(summaries: &[TagSummary], current: &str) -> Vec<serde_json::Value> {
    let tag = |tag: &TagSummary| {
        json!({
            "name": tag.name, "current": tag.name == current, "tasks": tag.tasks,
            "done": tag.done, "ready": tag.ready, "subtasks": tag.subtasks,
        })
    };
    summaries.iter().map(tag).collect()
}
