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
    /// Per task, how many nodes come before it.
    before: Vec<usize>,
    /// Subtasks by parent and own id, of those tasks whose subtasks do not simply count from 1.
    uncounted: HashMap<(usize, &'a str), usize>,
    /// Per task, whether its subtasks do.
    counted: Vec<bool>,
}

/// An id that is a plain number, as one.
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
            uncounted: HashMap::new(),
            counted: Vec::with_capacity(tag.tasks.len()),
        };
        let mut before = 0;
        for (index, task) in tag.tasks.iter().enumerate() {
            graph.tasks.entry(&task.id).or_insert(index);
            graph.before.push(before);
            before += 1 + task.subtasks.len();
            let mut ids = task.subtasks.iter().enumerate();
            let counted = ids.all(|(at, subtask)| number(&subtask.id) == Some(at + 1));
            graph.counted.push(counted);
            if !counted {
                for (inner, subtask) in task.subtasks.iter().enumerate() {
                    graph.uncounted.entry((index, &subtask.id)).or_insert(inner);
                }
            }
        }
        graph
    }

    /// Its place among all [`Graph::nodes`].
    pub(super) fn position(&self, node: Node) -> usize {
        self.before[node.task] + node.subtask.map_or(0, |inner| inner + 1)
    }

    /// Whether an earlier task, or an earlier subtask of the same task, has its id.
    pub(super) fn is_duplicate(&self, node: Node) -> bool {
        let id = self.task(node).id.as_str();
        match node.subtask {
            None => self.tasks.get(id) != Some(&node.task),
            Some(_) if self.counted[node.task] => false,
            subtask => self.subtask(node.task, id) != subtask,
        }
    }

    /// The subtask of that own id, by its position.
    fn subtask(&self, task: usize, id: &str) -> Option<usize> {
        if self.counted[task] {
            let at = number(id)?.checked_sub(1)?;
            (at < self.tag.tasks[task].subtasks.len()).then_some(at)
        } else {
            self.uncounted.get(&(task, id)).copied()
        }
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

    /// The task, or the subtask, that the rest of the plan knows by this id. Ids may hold dots themselves, so that a task comes first and
    /// then every dot may be the one that parts.
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

    /// What `dependency`, written on `from`, points at. On a subtask a bare id is a sibling first and a task second; with a
    /// dot it is absolute, unless a task has such an id.
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
