//! What is typed to narrow a plan down: `status:pending priority:high ready:yes id:3 words of the title`, each with `!` before it for
//! the opposite and commas between alternatives. The same in the console and in the shell.

use super::Task;
use crate::text::{Column, Matching, Terms};

/// A query, ready to be asked about many tasks.
pub struct Query(Terms);

impl Query {
    /// Names that may stand before a colon.
    pub const COLUMNS: [Column; 5] = [
        Column {
            name: "id",
            matching: Matching::Whole,
        },
        Column {
            name: "status",
            matching: Matching::Part,
        },
        Column {
            name: "priority",
            matching: Matching::Part,
        },
        Column {
            name: "title",
            matching: Matching::Part,
        },
        Column {
            name: "ready",
            matching: Matching::Apart,
        },
    ];

    /// Understands what was typed. Nothing is an error: an unknown name is part of a word, a half-typed term says nothing.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        Self(Terms::parse(typed, &Self::COLUMNS))
    }

    /// Whether every task is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a task stays; `id` is the one the rest of the plan knows it by.
    pub fn keeps(&mut self, id: &str, task: &Task, ready: bool) -> bool {
        self.0.keeps(&[
            ("id", id),
            ("status", task.status.as_str()),
            ("priority", task.priority.as_str()),
            ("title", &task.title),
            ("ready", if ready { "yes" } else { "no" }),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Priority, Status};

    #[test]
    fn a_query_narrows_by_column_and_by_words() {
        let task = Task {
            title: "Ship the checkout".into(),
            status: Status::InProgress,
            priority: Priority::High,
            ..Task::default()
        };
        for (typed, keeps) in [
            ("", true),
            ("checkout", true),
            ("status:in-progress priority:high ckout", true),
            ("status:pending,in-progress", true),
            ("status:pending", false),
            ("!status:done", true),
            ("ready:yes", true),
            ("ready:no", false),
            ("id:7", true),
            ("id:7.2", true),
            ("id:2", false),
            ("title:ship", true),
            ("tag:x", false),
        ] {
            assert_eq!(
                Query::parse(typed).keeps("7.2", &task, true),
                keeps,
                "{typed}"
            );
        }
    }
}
