//! Selects the next task, by the rule of `task-master next`, and lists open dependencies.
//!
//! `task-master list --ready` follows a different rule, implemented by [`ready`]. The two are deliberately separate.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use super::{
    Priority, Status, Tag, Task,
    graph::{Graph, Node},
};

/// The next task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next<'a> {
    /// Absolute id: `4`, or `4.1` for a subtask.
    pub id: String,
    pub task: &'a Task,
    /// `Some` for a subtask.
    pub parent: Option<&'a Task>,
}

impl Next<'_> {
    /// Explains the selection in one sentence.
    #[must_use]
    pub fn why(&self) -> String {
        let priority = self.task.priority.as_str();
        match self.parent {
            Some(parent) => format!(
                "subtask of {} (in progress), {priority} priority, no open dependencies (same rule as task-master next)",
                parent.id
            ),
            None => {
                format!("{priority} priority, no open dependencies (same rule as task-master next)")
            }
        }
    }
}

/// A dependency that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDependency {
    /// Absolute id.
    pub id: String,
    /// `None` if the task does not exist.
    pub status: Option<Status>,
}

impl std::fmt::Display for OpenDependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.status {
            Some(status) => write!(f, "depends on {} ({})", self.id, status.as_str()),
            None => write!(f, "depends on {}, which does not exist", self.id),
        }
    }
}

/// Sort key of a candidate: priority, number of dependencies, task number, subtask number.
struct Rank {
    priority: u8,
    dependencies: usize,
    numbers: [f64; 2],
}

impl Rank {
    fn new(task: &Task, parent: Option<&Task>) -> Self {
        let priority = match task.priority {
            Priority::Critical => 4,
            Priority::High => 3,
            Priority::Medium | Priority::Other(_) => 2,
            Priority::Low => 1,
        };
        let number = |id: &str| id.parse().unwrap_or(f64::NAN);
        let numbers = match parent {
            Some(parent) => [number(&parent.id), number(&task.id)],
            None => [number(&task.id), 0.0],
        };
        Self {
            priority,
            dependencies: task.dependencies.len(),
            numbers,
        }
    }

    /// Whether this ranks before `other`, which is earlier in the file. Ids that are not numbers compare as equal.
    fn beats(&self, other: &Self) -> bool {
        let numbers = self.numbers.iter().zip(&other.numbers);
        other
            .priority
            .cmp(&self.priority)
            .then(self.dependencies.cmp(&other.dependencies))
            .then_with(|| {
                numbers
                    .map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            })
            .is_lt()
    }
}

/// Returns the next task: a subtask of a task in progress without open dependencies, else a task. Orders by highest
/// priority, fewest dependencies, lowest number. `None` if everything is done or blocked.
#[must_use]
pub fn next(tag: &Tag) -> Option<Next<'_>> {
    let done = satisfied(tag);
    let open = |status: &Status| matches!(status, Status::Pending | Status::InProgress);
    let subtasks = tag
        .tasks
        .iter()
        .filter(|task| task.status == Status::InProgress)
        .flat_map(|parent| parent.subtasks.iter().map(move |task| (task, Some(parent))))
        .filter(|(task, parent)| {
            open(&task.status)
                && task.dependencies.iter().all(|dependency| {
                    let absolute =
                        parent.map_or_else(String::new, |parent| absolute(parent, dependency));
                    done.contains(&absolute)
                })
        });
    let tasks = tag
        .tasks
        .iter()
        .filter(|task| {
            open(&task.status)
                && task
                    .dependencies
                    .iter()
                    .all(|dependency| done.contains(dependency))
        })
        .map(|task| (task, None));
    let (task, parent) = best(subtasks).or_else(|| best(tasks))?;
    let id = parent.map_or_else(|| task.id.clone(), |parent: &Task| parent.subtask_id(task));
    Some(Next { id, task, parent })
}

fn best<'a>(
    candidates: impl Iterator<Item = (&'a Task, Option<&'a Task>)>,
) -> Option<(&'a Task, Option<&'a Task>)> {
    candidates
        .map(|(task, parent)| (Rank::new(task, parent), task, parent))
        .reduce(|best, other| if other.0.beats(&best.0) { other } else { best })
        .map(|(_, task, parent)| (task, parent))
}

/// Returns the ids that satisfy a dependency. Like Task Master, ignores tasks of any other status, with their
/// subtasks.
fn satisfied(tag: &Tag) -> HashSet<String> {
    let seen = |task: &&Task| {
        matches!(
            task.status,
            Status::Pending | Status::InProgress | Status::Done
        )
    };
    let mut done = HashSet::new();
    for task in tag.tasks.iter().filter(seen) {
        if task.status == Status::Done {
            done.insert(task.id.clone());
        }
        let subtasks = task
            .subtasks
            .iter()
            .filter(|subtask| subtask.status == Status::Done);
        done.extend(subtasks.map(|subtask| task.subtask_id(subtask)));
    }
    done
}

/// Resolves a dependency of a subtask: absolute with a dot, otherwise a sibling.
fn absolute(parent: &Task, dependency: &str) -> String {
    if dependency.contains('.') {
        dependency.to_owned()
    } else {
        format!("{}.{dependency}", parent.id)
    }
}

/// Returns the top-level tasks that are ready by the rule of `task-master list --ready`: pending, in progress or in
/// review, with all dependencies done or cancelled. In file order.
#[must_use]
pub fn ready(tag: &Tag) -> Vec<&Task> {
    let finished = |status: &Status| status.is_done() || *status == Status::Cancelled;
    let settled: HashSet<&str> = tag
        .tasks
        .iter()
        .filter(|task| finished(&task.status))
        .map(|task| task.id.as_str())
        .collect();
    let open = |status: &Status| {
        matches!(
            status,
            Status::Pending | Status::InProgress | Status::Review
        )
    };
    tag.tasks
        .iter()
        .filter(|task| {
            open(&task.status)
                && task
                    .dependencies
                    .iter()
                    .all(|id| settled.contains(id.as_str()))
        })
        .collect()
}

/// Returns the open dependencies of tasks and subtasks by absolute id. Tasks without any are absent. For duplicate
/// ids the first task is used.
#[must_use]
pub fn open_dependencies(tag: &Tag) -> HashMap<String, Vec<OpenDependency>> {
    let graph = Graph::new(tag);
    let waits = |node: Node, dependency: &String| match graph.resolve(node, dependency) {
        Some(other) => {
            let status = &graph.task(other).status;
            (!status.is_done()).then(|| OpenDependency {
                id: graph.id(other),
                status: Some(status.clone()),
            })
        }
        None => Some(OpenDependency {
            id: dependency.clone(),
            status: None,
        }),
    };
    graph
        .nodes()
        .filter(|&node| !graph.is_duplicate(node))
        .filter_map(|node| {
            let dependencies = graph.task(node).dependencies.iter();
            let waits: Vec<OpenDependency> = dependencies
                .filter_map(|dependency| waits(node, dependency))
                .collect();
            (!waits.is_empty()).then(|| (graph.id(node), waits))
        })
        .collect()
}

#[cfg(test)]
mod tests;
