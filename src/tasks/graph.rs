//! Tasks and subtasks of a tag as the points of a graph, and what a dependency as written points at.

use std::collections::HashMap;

use super::{Tag, Task};

/// A task, or a subtask with the place of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) task: usize,
    pub(super) subtask: Option<usize>,
}

/// A tag with its ids looked up.
pub(super) struct Graph<'a> {
    pub(super) tag: &'a Tag,
    tasks: HashMap<&'a str, usize>,
    /// By parent and own id.
    subtasks: HashMap<(usize, &'a str), usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(tag: &'a Tag) -> Self {
        let mut graph = Self {
            tag,
            tasks: HashMap::with_capacity(tag.tasks.len()),
            subtasks: HashMap::new(),
        };
        for (index, task) in tag.tasks.iter().enumerate() {
            graph.tasks.entry(&task.id).or_insert(index);
            for (inner, subtask) in task.subtasks.iter().enumerate() {
                graph.subtasks.entry((index, &subtask.id)).or_insert(inner);
            }
        }
        graph
    }

    /// Every task, each followed by its subtasks.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        self.tag.tasks.iter().enumerate().flat_map(|(task, item)| {
            std::iter::once(None)
                .chain((0..item.subtasks.len()).map(Some))
                .map(move |subtask| Node { task, subtask })
        })
    }

    pub(super) fn task(&self, node: Node) -> &'a Task {
        let task = &self.tag.tasks[node.task];
        node.subtask.map_or(task, |inner| &task.subtasks[inner])
    }

    /// The id the rest of the plan knows it by.
    pub(super) fn id(&self, node: Node) -> String {
        let task = &self.tag.tasks[node.task];
        node.subtask.map_or_else(
            || task.id.clone(),
            |inner| task.subtask_id(&task.subtasks[inner]),
        )
    }

    /// What `dependency`, written on `from`, points at. On a subtask a bare id is a sibling first and a task second; with a
    /// dot it is absolute, unless a task has such an id.
    pub(super) fn resolve(&self, from: Node, dependency: &str) -> Option<Node> {
        let sibling = from
            .subtask
            .and_then(|_| self.subtasks.get(&(from.task, dependency)))
            .map(|&inner| Node {
                task: from.task,
                subtask: Some(inner),
            });
        let task = || {
            self.tasks.get(dependency).map(|&task| Node {
                task,
                subtask: None,
            })
        };
        let absolute = || {
            // Ids may hold dots themselves, so that every one of them may be the one that parts.
            dependency.match_indices('.').find_map(|(dot, _)| {
                let task = *self.tasks.get(&dependency[..dot])?;
                let inner = *self.subtasks.get(&(task, &dependency[dot + 1..]))?;
                Some(Node {
                    task,
                    subtask: Some(inner),
                })
            })
        };
        sibling.or_else(task).or_else(absolute)
    }
}
