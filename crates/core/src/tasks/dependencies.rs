//! Dependency trees: what blocks a task, and what it blocks.

use std::collections::HashSet;

use super::{
    Status, Tag,
    graph::{Graph, Node},
};

/// Dependencies of a tag, for repeated queries.
pub struct Dependencies<'a> {
    graph: Graph<'a>,
    nodes: Vec<Node>,
    /// For each node, the nodes that depend on it, in file order.
    dependents: Vec<Vec<usize>>,
}

/// One row of a dependency tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyNode {
    /// 0 for direct dependencies, 1 for theirs, and so on.
    pub depth: usize,
    /// Absolute id; as written if it does not exist.
    pub id: String,
    pub title: String,
    /// `None` if the task does not exist.
    pub status: Option<Status>,
    /// Why the branch is not expanded.
    pub stop: Option<BranchEnd>,
}

/// Why a branch of a dependency tree is not expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BranchEnd {
    /// The task is its own ancestor in the tree.
    Cycle,
    /// The task is expanded above.
    Repeated,
    /// No task has this id.
    Missing,
}

impl DependencyNode {
    /// Returns why the task blocks, or its status: `deferred`, `does not exist`, `pending, circular`.
    #[must_use]
    pub fn why(&self) -> String {
        let Some(status) = &self.status else {
            return "does not exist".into();
        };
        match self.stop {
            Some(BranchEnd::Cycle) => format!("{}, circular", status.as_str()),
            _ => status.as_str().to_owned(),
        }
    }

    /// Whether the dependency is satisfied.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.status.as_ref().is_some_and(Status::is_done)
    }
}

impl<'a> Dependencies<'a> {
    #[must_use]
    pub fn new(tag: &'a Tag) -> Self {
        let graph = Graph::new(tag);
        let nodes: Vec<Node> = graph.nodes().collect();
        let mut dependents = vec![Vec::new(); nodes.len()];
        for (at, &node) in nodes.iter().enumerate() {
            for dependency in &graph.task(node).dependencies {
                if let Some(other) = graph.resolve(node, dependency) {
                    let known: &mut Vec<usize> = &mut dependents[graph.position(other)];
                    if known.last() != Some(&at) {
                        known.push(at);
                    }
                }
            }
        }
        Self {
            graph,
            nodes,
            dependents,
        }
    }

    /// Returns the direct dependencies, in file order. Empty for an unknown id.
    #[must_use]
    pub fn direct(&self, id: &str) -> Vec<DependencyNode> {
        let Some(node) = self.graph.find(id) else {
            return Vec::new();
        };
        let dependencies = self.graph.task(node).dependencies.iter();
        dependencies
            .map(|dependency| match self.graph.resolve(node, dependency) {
                Some(other) => self.link(other, 0),
                None => missing(dependency, 0),
            })
            .collect()
    }

    /// Returns the tree of open dependencies. Each task is expanded once.
    #[must_use]
    pub fn blockers(&self, id: &str) -> Vec<DependencyNode> {
        self.tree(id, |node| {
            let dependencies = self.graph.task(node).dependencies.iter();
            dependencies
                .map(|dependency| self.graph.resolve(node, dependency).ok_or(dependency))
                .filter(|found| found.is_err() || found.is_ok_and(|other| !self.is_done(other)))
                .collect()
        })
    }

    /// Returns the tree of open tasks that depend on the task. Each task is expanded once.
    #[must_use]
    pub fn blocks(&self, id: &str) -> Vec<DependencyNode> {
        self.tree(id, |node| {
            let dependents = self.dependents[self.graph.position(node)].iter();
            dependents
                .map(|&at| Ok(self.nodes[at]))
                .filter(|found| found.is_ok_and(|other| !self.is_done(other)))
                .collect()
        })
    }

    fn is_done(&self, node: Node) -> bool {
        self.graph.task(node).status.is_done()
    }

    fn link(&self, node: Node, depth: usize) -> DependencyNode {
        let task = self.graph.task(node);
        DependencyNode {
            depth,
            id: self.graph.id(node),
            title: task.title.clone(),
            status: Some(task.status.clone()),
            stop: None,
        }
    }

    /// Walks depth-first without recursion. `next` returns the neighbours of a node, or ids that do not exist.
    fn tree<'b>(
        &self,
        id: &str,
        next: impl Fn(Node) -> Vec<Result<Node, &'b String>>,
    ) -> Vec<DependencyNode> {
        let Some(root) = self.graph.find(id) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut shown = HashSet::from([root]);
        let mut path = vec![root];
        let mut open = vec![next(root).into_iter()];
        while let Some(neighbours) = open.last_mut() {
            let depth = path.len() - 1;
            match neighbours.next() {
                None => {
                    open.pop();
                    path.pop();
                }
                Some(Err(dependency)) => out.push(missing(dependency, depth)),
                Some(Ok(node)) => {
                    let mut link = self.link(node, depth);
                    if path.contains(&node) {
                        link.stop = Some(BranchEnd::Cycle);
                        out.push(link);
                        continue;
                    }
                    let behind = next(node);
                    if shown.insert(node) {
                        path.push(node);
                        open.push(behind.into_iter());
                    } else if !behind.is_empty() {
                        link.stop = Some(BranchEnd::Repeated);
                    }
                    out.push(link);
                }
            }
        }
        out
    }
}

fn missing(dependency: &str, depth: usize) -> DependencyNode {
    DependencyNode {
        depth,
        id: dependency.to_owned(),
        title: String::new(),
        status: None,
        stop: Some(BranchEnd::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::TaskFile;

    fn plan() -> TaskFile {
        let task = |id: u32, status: &str, dependencies: &str, rest: &str| {
            format!(
                r#"{{"id": {id}, "title": "t{id}", "status": "{status}", "dependencies": [{dependencies}]{rest}}}"#
            )
        };
        let tasks = [
            task(1, "done", "", ""),
            task(2, "deferred", "1", ""),
            task(3, "pending", "2, 9", ""),
            task(4, "pending", "3, 2, 1", ""),
            task(5, "pending", "6", ""),
            task(6, "pending", "5", ""),
            task(
                7,
                "pending",
                "",
                r#", "subtasks": [{"id": 1, "title": "a"}, {"id": 2, "title": "b", "dependencies": [1, "4"]}]"#,
            ),
        ];
        let text = format!(r#"{{"tasks": [{}]}}"#, tasks.join(","));
        crate::tasks::read(text.as_bytes()).unwrap()
    }

    /// Formats rows as `>` per level, id, reason.
    fn lines(links: Vec<DependencyNode>) -> Vec<String> {
        let line = |link: DependencyNode| {
            let shown = if link.stop == Some(BranchEnd::Repeated) {
                " (above)"
            } else {
                ""
            };
            format!(
                "{}{} {}{shown}",
                ">".repeat(link.depth),
                link.id,
                link.why()
            )
        };
        links.into_iter().map(line).collect()
    }

    #[test]
    fn lists_blockers_down_to_roots() {
        let file = plan();
        let known = Dependencies::new(&file.tags[0]);
        for (id, blockers) in [
            ("1", &[] as &[&str]),
            ("2", &[]),
            (
                "4",
                &[
                    "3 pending",
                    ">2 deferred",
                    ">9 does not exist",
                    "2 deferred",
                ],
            ),
            ("5", &["6 pending", ">5 pending, circular"]),
            (
                "7.2",
                &[
                    "7.1 pending",
                    "4 pending",
                    ">3 pending",
                    ">>2 deferred",
                    ">>9 does not exist",
                    ">2 deferred",
                ],
            ),
            ("8", &[]),
        ] {
            assert_eq!(lines(known.blockers(id)), blockers, "{id}");
        }
        assert_eq!(
            lines(known.direct("4")),
            ["3 pending", "2 deferred", "1 done"]
        );
    }

    #[test]
    fn lists_blocked_tasks() {
        let file = plan();
        let known = Dependencies::new(&file.tags[0]);
        assert_eq!(
            lines(known.blocks("2")),
            [
                "3 pending",
                ">4 pending",
                ">>7.2 pending",
                "4 pending (above)"
            ]
        );
        assert_eq!(lines(known.blocks("7.1")), ["7.2 pending"]);
    }

    #[test]
    fn dense_plan_expands_each_task_once() {
        let task = |id: usize| {
            let before: Vec<String> = (1..id).map(|id| id.to_string()).collect();
            format!(
                r#"{{"id": {id}, "title": "t", "dependencies": [{}]}}"#,
                before.join(",")
            )
        };
        let tasks: Vec<String> = (1..=200).map(task).collect();
        let text = format!(r#"{{"tasks": [{}]}}"#, tasks.join(","));
        let file = crate::tasks::read(text.as_bytes()).unwrap();
        let known = Dependencies::new(&file.tags[0]);
        assert_eq!(known.blockers("200").len(), 199 * 200 / 2);
    }
}
