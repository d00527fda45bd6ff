//! Compares two versions of a plan, task by task.

use std::collections::HashMap;

use super::{Tag, Task};

/// Differences from `old` to `new`. In the order of `new`; removed tasks in the order of `old`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Vec<TaskRef>,
    pub removed: Vec<TaskRef>,
    pub changed: Vec<ChangedTask>,
    /// Whether common tasks are in a different order.
    pub reordered: bool,
}

/// Id and title of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRef {
    pub id: String,
    pub title: String,
}

/// A task that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedTask {
    pub id: String,
    /// Title in `new`.
    pub title: String,
    /// JSON names of the differing fields; never empty.
    pub fields: Vec<&'static str>,
}

impl Comparison {
    /// Whether the plans are equivalent for an agent.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && !self.reordered
    }

    /// Summarises the differences: `2 added, 1 removed, 3 changed`.
    #[must_use]
    pub fn summary(&self) -> String {
        let counted = [
            (self.added.len(), "added"),
            (self.removed.len(), "removed"),
            (self.changed.len(), "changed"),
        ];
        let mut parts: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.reordered {
            parts.push("reordered".into());
        }
        if parts.is_empty() {
            "no changes".into()
        } else {
            parts.join(", ")
        }
    }
}

/// Compares two tags by task id. For duplicate ids the first task is used.
#[must_use]
pub fn compare(old: &Tag, new: &Tag) -> Comparison {
    let index = |tag: &Tag| -> HashMap<String, usize> {
        let mut index = HashMap::new();
        for (at, task) in tag.tasks.iter().enumerate() {
            index.entry(task.id.clone()).or_insert(at);
        }
        index
    };
    let (in_old, in_new) = (index(old), index(new));
    let named = |task: &Task| TaskRef {
        id: task.id.clone(),
        title: task.title.clone(),
    };
    let mut comparison = Comparison {
        removed: old
            .tasks
            .iter()
            .filter(|task| !in_new.contains_key(&task.id))
            .map(named)
            .collect(),
        ..Comparison::default()
    };
    let mut last = 0;
    for task in &new.tasks {
        let Some(&at) = in_old.get(&task.id) else {
            comparison.added.push(named(task));
            continue;
        };
        comparison.reordered |= at < last;
        last = last.max(at);
        let fields = changed_fields(&old.tasks[at], task);
        if !fields.is_empty() {
            comparison.changed.push(ChangedTask {
                id: task.id.clone(),
                title: task.title.clone(),
                fields,
            });
        }
    }
    comparison
}

fn changed_fields(old: &Task, new: &Task) -> Vec<&'static str> {
    let same_subtasks = old.subtasks.len() == new.subtasks.len()
        && old
            .subtasks
            .iter()
            .zip(&new.subtasks)
            .all(|(old, new)| old.id == new.id && changed_fields(old, new).is_empty());
    [
        ("title", old.title != new.title),
        ("description", old.description != new.description),
        ("status", old.status != new.status),
        ("priority", old.priority != new.priority),
        ("dependencies", old.dependencies != new.dependencies),
        ("details", old.details != new.details),
        ("testStrategy", old.test_strategy != new.test_strategy),
        ("subtasks", !same_subtasks),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}

/// Describes both sides in one sentence: `origin/feature/x has 6 tasks, first "Initialize Express"; your plan has
/// 12`. `theirs` is `None` if the remote has no such tag.
#[must_use]
pub fn describe(place: &str, theirs: Option<&Tag>, yours: &Tag) -> String {
    let count = |tag: &Tag| crate::text::count(tag.tasks.len(), "task");
    let first = |tag: &Tag| {
        tag.tasks.first().map_or_else(String::new, |task| {
            format!(", first \"{}\"", crate::text::cut_end(&task.title, 60))
        })
    };
    let Some(theirs) = theirs else {
        return format!(
            "{place} has no tag {}; your plan has {}",
            yours.name,
            count(yours)
        );
    };
    let comparison = compare(theirs, yours);
    if comparison.is_same() {
        return format!(
            "{place} and your plan have the same {}, formatted differently",
            count(yours)
        );
    }
    let firsts = |tag: &Tag| tag.tasks.first().map(|task| task.title.clone());
    if theirs.tasks.len() == yours.tasks.len() && firsts(theirs) == firsts(yours) {
        return format!(
            "{place} differs from your plan ({}): {}",
            count(theirs),
            comparison.summary()
        );
    }
    let yours_first = if firsts(theirs) == firsts(yours) {
        String::new()
    } else {
        first(yours)
    };
    format!(
        "{place} has {}{}; your plan has {}{yours_first}",
        count(theirs),
        first(theirs),
        yours.tasks.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Status;

    fn tag(titles: &[(&str, &str)]) -> Tag {
        let task = |(id, title): &(&str, &str)| Task {
            id: (*id).to_owned(),
            title: (*title).to_owned(),
            ..Task::default()
        };
        Tag {
            name: "master".into(),
            tasks: titles.iter().map(task).collect(),
        }
    }

    #[test]
    fn compares_tasks_by_id_and_field() {
        let old = tag(&[("1", "a"), ("2", "b"), ("3", "c")]);
        let mut new = tag(&[("1", "a"), ("3", "C"), ("4", "d")]);
        new.tasks[0].status = Status::Done;
        new.tasks[0].line = 99;
        new.tasks[1].subtasks.push(Task::default());
        let comparison = compare(&old, &new);
        assert_eq!(comparison.summary(), "1 added, 1 removed, 2 changed");
        assert_eq!(comparison.changed[0].fields, ["status"]);
        assert_eq!(comparison.changed[1].fields, ["title", "subtasks"]);
        assert_eq!(
            (
                comparison.added[0].id.as_str(),
                comparison.removed[0].title.as_str()
            ),
            ("4", "b")
        );
        assert!(compare(&old, &old).is_same());
        assert_eq!(
            compare(&old, &tag(&[("2", "b"), ("1", "a"), ("3", "c")])).summary(),
            "reordered"
        );
    }

    #[test]
    fn describes_difference() {
        let yours = tag(&[("1", "Setup repository"), ("2", "Define protobufs")]);
        let mut done = yours.clone();
        done.tasks[1].status = Status::Done;
        for (theirs, sentence) in [
            (
                Some(tag(&[("1001", "Initialize Express")])),
                "origin/x has 1 task, first \"Initialize Express\"; your plan has 2, first \"Setup repository\"",
            ),
            (
                Some(tag(&[("1", "Setup repository")])),
                "origin/x has 1 task, first \"Setup repository\"; your plan has 2",
            ),
            (
                Some(tag(&[])),
                "origin/x has 0 tasks; your plan has 2, first \"Setup repository\"",
            ),
            (
                Some(done),
                "origin/x differs from your plan (2 tasks): 1 changed",
            ),
            (
                Some(yours.clone()),
                "origin/x and your plan have the same 2 tasks, formatted differently",
            ),
            (None, "origin/x has no tag master; your plan has 2 tasks"),
        ] {
            assert_eq!(describe("origin/x", theirs.as_ref(), &yours), sentence);
        }
    }
}
