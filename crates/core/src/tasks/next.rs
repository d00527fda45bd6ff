//! Which task to take next, by the rule of `task-master next`, and why the others wait.
//!
//! That command has the only rule most people ever meet; `task-master list --ready` answers another question by another rule,
//! which is [`ready`]. Both are kept apart on purpose.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use super::{
    Priority, Status, Tag, Task,
    graph::{Graph, Node},
};

/// The task to take next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next<'a> {
    /// As the rest of the plan knows it: `4`, or `4.1` for a subtask.
    pub id: String,
    pub task: &'a Task,
    /// Present for a subtask.
    pub parent: Option<&'a Task>,
}

impl Next<'_> {
    /// Why this one, in one sentence that names the rule.
    #[must_use]
    pub fn why(&self) -> String {
        let priority = self.task.priority.as_str();
        match self.parent {
            Some(parent) => format!(
                "subtask of {}, which is in progress; {priority} priority and waits for nothing (as task-master next)",
                parent.id
            ),
            None => format!("{priority} priority and waits for nothing (as task-master next)"),
        }
    }
}

/// A dependency that is not satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// As written, made absolute for a subtask.
    pub on: String,
    /// `None` when it does not exist.
    pub status: Option<Status>,
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.status {
            Some(status) => write!(f, "waits for {}, {}", self.on, status.as_str()),
            None => write!(f, "waits for {}, which does not exist", self.on),
        }
    }
}

/// Priority, number of dependencies, number of the task, number of the subtask: what decides between candidates.
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

    /// Whether this goes before `other`, which stands earlier in the file. Ids that are no numbers decide nothing.
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

/// The task to take next: a subtask of a task in progress that waits for nothing, else a task. The highest priority first, then
/// the fewest dependencies, then the lowest number. `None` when everything is done or waits.
#[must_use]
pub fn next(tag: &Tag) -> Option<Next<'_>> {
    let done = satisfied(tag);
    let open = |status: &Status| matches!(status, Status::Pending | Status::InProgress);
    let within = tag
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
    let whole = tag
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
    let (task, parent) = best(within).or_else(|| best(whole))?;
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

/// Ids that satisfy a dependency. Tasks that are neither pending, in progress nor done vanish, their subtasks with them.
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

/// A subtask's dependency as the rule reads it: with a dot absolute, without one a sibling.
fn absolute(parent: &Task, dependency: &str) -> String {
    if dependency.contains('.') {
        dependency.to_owned()
    } else {
        format!("{}.{dependency}", parent.id)
    }
}

/// Tasks that could be worked on, by the rule of `task-master list --ready`: pending, in progress or in review, with every dependency
/// done or cancelled. In file order; no subtasks.
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

/// What tasks and subtasks wait for, by absolute id: dependencies that are not done. Those that wait for nothing are absent. Of tasks that
/// share an id the first one counts.
#[must_use]
pub fn waiting(tag: &Tag) -> HashMap<String, Vec<Waits>> {
    let graph = Graph::new(tag);
    let waits = |node: Node, dependency: &String| match graph.resolve(node, dependency) {
        Some(other) => {
            let status = &graph.task(other).status;
            (!status.is_done()).then(|| Waits {
                on: graph.id(other),
                status: Some(status.clone()),
            })
        }
        None => Some(Waits {
            on: dependency.clone(),
            status: None,
        }),
    };
    graph
        .nodes()
        .filter(|&node| !graph.is_duplicate(node))
        .filter_map(|node| {
            let dependencies = graph.task(node).dependencies.iter();
            let waits: Vec<Waits> = dependencies
                .filter_map(|dependency| waits(node, dependency))
                .collect();
            (!waits.is_empty()).then(|| (graph.id(node), waits))
        })
        .collect()
}

#[cfg(test)]
mod tests;
