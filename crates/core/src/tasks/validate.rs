//! Validates a plan: duplicate ids, missing and self dependencies, and cycles.

use super::{
    FindingKind, Tag,
    graph::{Graph, Node},
};

/// Number of cycle members named in a message.
const NAMES_LIMIT: usize = 5;

/// A finding before its location in the file is resolved.
pub(super) struct Problem {
    pub(super) kind: FindingKind,
    /// Index of the task in its tag.
    pub(super) task: usize,
    /// Index of the subtask in its task.
    pub(super) subtask: Option<usize>,
    /// Absolute id.
    pub(super) id: String,
    pub(super) message: String,
}

/// Reports all problems of a tag: those of each task in file order, then cycles.
pub(super) fn problems(tag: &Tag, mut found: impl FnMut(Problem)) {
    let graph = Graph::new(tag);
    let mut report = |node: Node, kind, message: String| {
        found(Problem {
            kind,
            task: node.task,
            subtask: node.subtask,
            id: graph.id(node),
            message,
        });
    };
    let nodes: Vec<Node> = graph.nodes().collect();
    let mut edges = vec![Vec::new(); nodes.len()];
    for (at, &node) in nodes.iter().enumerate() {
        if graph.is_duplicate(node) {
            report(
                node,
                FindingKind::DuplicateId,
                format!("duplicate id {}", graph.id(node)),
            );
        }
        for dependency in &graph.task(node).dependencies {
            match graph.resolve(node, dependency) {
                None => report(
                    node,
                    FindingKind::DanglingDependency,
                    format!("depends on {dependency}, which does not exist"),
                ),
                Some(other) if other == node => report(
                    node,
                    FindingKind::SelfDependency,
                    "depends on itself".into(),
                ),
                Some(other) => edges[at].push(graph.position(other)),
            }
        }
    }
    for cycle in cycles(&edges) {
        let names: Vec<String> = cycle
            .iter()
            .take(NAMES_LIMIT)
            .map(|&at| graph.id(nodes[at]))
            .collect();
        let more = match cycle.len().saturating_sub(NAMES_LIMIT) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        report(
            nodes[cycle[0]],
            FindingKind::Cycle,
            format!("{}{more} depend on each other", names.join(", ")),
        );
    }
}

/// Returns the strongly connected components with more than one node, sorted (Tarjan's algorithm without recursion).
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut index = vec![UNSEEN; edges.len()];
    let mut low = vec![0; edges.len()];
    let mut open = vec![false; edges.len()];
    let (mut path, mut next, mut out) = (Vec::new(), 0, Vec::new());
    for root in 0..edges.len() {
        let mut calls = vec![(root, 0)];
        while let Some(&mut (at, ref mut edge)) = calls.last_mut() {
            if *edge == 0 {
                if index[at] != UNSEEN {
                    calls.pop();
                    continue;
                }
                (index[at], low[at], open[at]) = (next, next, true);
                next += 1;
                path.push(at);
            }
            if let Some(&to) = edges[at].get(*edge) {
                *edge += 1;
                if index[to] == UNSEEN {
                    calls.push((to, 0));
                } else if open[to] {
                    low[at] = low[at].min(index[to]);
                }
                continue;
            }
            calls.pop();
            if let Some(&(parent, _)) = calls.last() {
                low[parent] = low[parent].min(low[at]);
            }
            if low[at] == index[at] {
                let start = path
                    .iter()
                    .rposition(|&point| point == at)
                    .unwrap_or_default();
                let mut component = path.split_off(start);
                for &point in &component {
                    open[point] = false;
                }
                if component.len() > 1 {
                    component.sort_unstable();
                    out.push(component);
                }
            }
        }
    }
    out.sort_unstable();
    out
}
