//! Filter expressions for tasks: `status:pending priority:high ready:yes id:3 words of the title`, with `!` to negate
//! and commas for alternatives. Used by the console and the CLI.

use super::Task;
use crate::text::{FilterColumn, FilterExpression, MatchMode};

/// A parsed filter expression, reused for many tasks.
pub struct TaskFilter(FilterExpression);

impl TaskFilter {
    /// Columns that a term can name.
    pub const COLUMNS: [FilterColumn; 5] = [
        FilterColumn {
            name: "id",
            matching: MatchMode::Exact,
        },
        FilterColumn {
            name: "status",
            matching: MatchMode::Substring,
        },
        FilterColumn {
            name: "priority",
            matching: MatchMode::Substring,
        },
        FilterColumn {
            name: "title",
            matching: MatchMode::Substring,
        },
        FilterColumn {
            name: "ready",
            matching: MatchMode::Explicit,
        },
    ];

    /// Parses an expression. Never fails: an unknown column is part of the word, an incomplete term has no effect.
    #[must_use]
    pub fn parse(typed: &str) -> Self {
        Self(FilterExpression::parse(typed, &Self::COLUMNS))
    }

    /// Whether the filter matches every task.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a task matches. `id` is its absolute id.
    pub fn matches(&mut self, id: &str, task: &Task, ready: bool) -> bool {
        self.0.matches(&[
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
    fn filters_by_columns_and_words() {
        let task = Task {
            title: "Ship the checkout".into(),
            status: Status::InProgress,
            priority: Priority::High,
            ..Task::default()
        };
        for (typed, matches) in [
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
                TaskFilter::parse(typed).matches("7.2", &task, true),
                matches,
                "{typed}"
            );
        }
    }
}
