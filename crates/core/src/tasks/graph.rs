//! Dependency graph of a tag, and resolution of dependency ids.

use std::collections::HashMap;

use super::{Tag, Task};

/// Index of a task, and of a subtask within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) task: usize,
    pub(super) subtask: Option<usize>,
}

/// A tag with an index of its ids.
pub(super) struct Graph<'a> {
    pub(super) tag: &'a Tag,
    tasks: HashMap<&'a str, usize>,
    /// For each task, the number of preceding nodes.
    before: Vec<usize>,
    /// Subtasks by parent and own id, only for tasks whose subtasks are not numbered 1, 2, ...
    subtask_index: HashMap<(usize, &'a str), usize>,
    /// For each task, whether its subtasks are numbered 1, 2, ...
    sequential: Vec<bool>,
}

/// Parses an id that is a plain number.
fn number(id: &str) -> Option<usize> {
    let plain = !id.starts_with(['0', '+']);
    id.parse().ok().filter(|_| plain)
}

impl<'a> Graph<'a> {
    pub(super) fn new(tag: &'a Tag) -> Self {
        let mut graph = Self {
            tag,
            tasks: HashMap::with_capacity(tag.tasks.len()),
            before: Vec::with_capacity(tag.tasks.len()),
            subtask_index: HashMap::new(),
            sequential: Vec::with_capacity(tag.tasks.len()),
        };
        let mut before = 0;
        for (index, task) in tag.tasks.iter().enumerate() {
            graph.tasks.entry(&task.id).or_insert(index);
            graph.before.push(before);
            before += 1 + task.subtasks.len();
            let mut ids = task.subtasks.iter().enumerate();
            let sequential = ids.all(|(at, subtask)| number(&subtask.id) == Some(at + 1));
            graph.sequential.push(sequential);
            if !sequential {
                for (inner, subtask) in task.subtasks.iter().enumerate() {
                    graph
                        .subtask_index
                        .entry((index, &subtask.id))
                        .or_insert(inner);
                }
            }
        }
        graph
    }

    /// Index of the node in [`Graph::nodes`].
    pub(super) fn position(&self, node: Node) -> usize {
        self.before[node.task] + node.subtask.map_or(0, |inner| inner + 1)
    }

    /// Whether an earlier task, or an earlier subtask of the same task, has the same id.
    pub(super) fn is_duplicate(&self, node: Node) -> bool {
        let id = self.task(node).id.as_str();
        match node.subtask {
            None => self.tasks.get(id) != Some(&node.task),
            Some(_) if self.sequential[node.task] => false,
            subtask => self.subtask(node.task, id) != subtask,
        }
    }

    /// Returns the index of the subtask with this id.
    fn subtask(&self, task: usize, id: &str) -> Option<usize> {
        if self.sequential[task] {
            let at = number(id)?.checked_sub(1)?;
            (at < self.tag.tasks[task].subtasks.len()).then_some(at)
        } else {
            self.subtask_index.get(&(task, id)).copied()
        }
    }

    /// Returns all tasks, each followed by its subtasks.
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

    /// Returns the absolute id of a node.
    pub(super) fn id(&self, node: Node) -> String {
        let task = &self.tag.tasks[node.task];
        node.subtask.map_or_else(
            || task.id.clone(),
            |inner| task.subtask_id(&task.subtasks[inner]),
        )
    }

    /// Returns the task or subtask with this absolute id. Ids may contain dots, so tasks are tried first, then each
    /// dot as the separator.
    pub(super) fn find(&self, id: &str) -> Option<Node> {
        let task = self.tasks.get(id).map(|&task| Node {
            task,
            subtask: None,
        });
        let subtask = || {
            id.match_indices('.').find_map(|(dot, _)| {
                let task = *self.tasks.get(&id[..dot])?;
                let inner = self.subtask(task, &id[dot + 1..])?;
                Some(Node {
                    task,
                    subtask: Some(inner),
                })
            })
        };
        task.or_else(subtask)
    }

    /// Resolves `dependency` as written on `from`. On a subtask, a sibling takes precedence over a task.
    pub(super) fn resolve(&self, from: Node, dependency: &str) -> Option<Node> {
        let sibling = from
            .subtask
            .and_then(|_| self.subtask(from.task, dependency))
            .map(|inner| Node {
                task: from.task,
                subtask: Some(inner),
            });
        sibling.or_else(|| self.find(dependency))
    }
}
