//! Two versions of a plan, task by task, and the sentence that says how they differ.

use std::collections::HashMap;

use super::{Tag, Task};

/// How `new` differs from `old`. In the order of `new`; what was removed in the order of `old`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Vec<Named>,
    pub removed: Vec<Named>,
    pub changed: Vec<Changed>,
    /// Neither added nor removed, but in another order.
    pub reordered: bool,
}

/// A task by id and title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub id: String,
    pub title: String,
}

/// A task both have, differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub id: String,
    /// Title in `new`.
    pub title: String,
    /// Names of the fields as the file has them; never empty.
    pub fields: Vec<&'static str>,
}

impl Comparison {
    /// Whether the two tell an agent the same.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && !self.reordered
    }

    /// In a few words: `2 added, 1 removed, 3 changed`.
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
            parts.push("another order".into());
        }
        if parts.is_empty() {
            "the same tasks".into()
        } else {
            parts.join(", ")
        }
    }
}

/// Compares two lists of tasks by id. Where an id is taken twice, its first task counts.
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
    let named = |task: &Task| Named {
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
            comparison.changed.push(Changed {
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

/// Both sides in one sentence: `origin/feature/x has 6 tasks, first "Initialize Express"; your file 12`. `theirs` is `None` where the
/// remote has no such list of tasks.
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
            "{place} has no tasks of {}; your file {}",
            yours.name,
            count(yours)
        );
    };
    let comparison = compare(theirs, yours);
    if comparison.is_same() {
        return format!(
            "{place} and your file have the same {}, written differently",
            count(yours)
        );
    }
    let firsts = |tag: &Tag| tag.tasks.first().map(|task| task.title.clone());
    if theirs.tasks.len() == yours.tasks.len() && firsts(theirs) == firsts(yours) {
        return format!(
            "{place} has {} too, but from it to your file: {}",
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
        "{place} has {}{}; your file {}{yours_first}",
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
    fn tasks_are_compared_by_id_and_field() {
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
            "another order"
        );
    }

    #[test]
    fn the_difference_is_one_sentence() {
        let yours = tag(&[("1", "Setup repository"), ("2", "Define protobufs")]);
        let mut done = yours.clone();
        done.tasks[1].status = Status::Done;
        for (theirs, sentence) in [
            (
                Some(tag(&[("1001", "Initialize Express")])),
                "origin/x has 1 task, first \"Initialize Express\"; your file 2, first \"Setup repository\"",
            ),
            (
                Some(tag(&[("1", "Setup repository")])),
                "origin/x has 1 task, first \"Setup repository\"; your file 2",
            ),
            (
                Some(tag(&[])),
                "origin/x has 0 tasks; your file 2, first \"Setup repository\"",
            ),
            (
                Some(done),
                "origin/x has 2 tasks too, but from it to your file: 1 changed",
            ),
            (
                Some(yours.clone()),
                "origin/x and your file have the same 2 tasks, written differently",
            ),
            (None, "origin/x has no tasks of master; your file 2 tasks"),
        ] {
            assert_eq!(describe("origin/x", theirs.as_ref(), &yours), sentence);
        }
    }
}
