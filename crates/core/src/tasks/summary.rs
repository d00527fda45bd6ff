//! Task counts of a tag.

use super::{Tag, TaskFile, ready};

/// Task counts of a tag, counted because the metadata is often stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSummary {
    pub name: String,
    /// Top-level tasks.
    pub tasks: usize,
    pub subtasks: usize,
    /// Top-level tasks that are done.
    pub done: usize,
    /// Top-level tasks that are ready, as in `task-master list --ready`.
    pub ready: usize,
}

/// Returns the counts of all tags, in file order.
#[must_use]
pub fn summaries(file: &TaskFile) -> Vec<TagSummary> {
    let summary = |tag: &Tag| TagSummary {
        name: tag.name.clone(),
        tasks: tag.tasks.len(),
        subtasks: tag.tasks.iter().map(|task| task.subtasks.len()).sum(),
        done: tag
            .tasks
            .iter()
            .filter(|task| task.status.is_done())
            .count(),
        ready: ready(tag).len(),
    };
    file.tags.iter().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_stale_metadata() {
        let text = br#"{"a": {"tasks": [{"id": 1, "status": "done"}, {"id": 2, "dependencies": [1], "subtasks": [{"id": 1}]}, {"id": 3, "dependencies": [2]}],
            "metadata": {"taskCount": 99}}, "b": {"tasks": []}}"#;
        let file = crate::tasks::read(text).unwrap();
        let counts = |summary: TagSummary| {
            let TagSummary {
                name,
                tasks,
                subtasks,
                done,
                ready,
            } = summary;
            format!("{name} {tasks} {subtasks} {done} {ready}")
        };
        let counted: Vec<String> = summaries(&file).into_iter().map(counts).collect();
        assert_eq!(counted, ["a 3 1 1 1", "b 0 0 0 0"]);
    }
}
