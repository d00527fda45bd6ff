//! Sort orders of the task list.

use std::cmp::Reverse;

use crate::world::Plan;
use flightdeck_core::tasks::{Priority, Status, Task};

/// Order of the list. Equal tasks keep the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    #[default]
    File,
    /// Numeric.
    Id,
    Priority,
    Status,
    /// Most complex first; tasks without a score last.
    Complexity,
    /// Fewest documents first.
    Documents,
}

impl SortOrder {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::File => Self::Id,
            Self::Id => Self::Priority,
            Self::Priority => Self::Status,
            Self::Status => Self::Complexity,
            Self::Complexity => Self::Documents,
            Self::Documents => Self::File,
        }
    }

    /// Returns the words for the title; empty for the order of the file.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Id => "by id",
            Self::Priority => "by priority",
            Self::Status => "by status",
            Self::Complexity => "by complexity",
            Self::Documents => "by documents",
        }
    }

    /// Sorts the tasks of a plan.
    pub(super) fn sort(self, tasks: &mut [&Task], plan: &Plan) {
        match self {
            Self::File => {}
            Self::Id => tasks.sort_by_cached_key(|task| number(&task.id)),
            Self::Priority => tasks.sort_by_key(|task| priority_rank(&task.priority)),
            Self::Status => tasks.sort_by_key(|task| status_rank(&task.status)),
            Self::Complexity => tasks.sort_by_cached_key(|task| {
                // Tenths, because floats are not `Ord`.
                let found = plan.complexity(&task.id);
                Reverse(found.map(|found| (found.score * 10.0) as i64))
            }),
            Self::Documents => tasks.sort_by_key(|task| plan.documents(&task.id).count()),
        }
    }
}

/// Sorts numbers before words, and `9` before `10`.
fn number(id: &str) -> (u64, String) {
    (id.parse().unwrap_or(u64::MAX), id.to_owned())
}

const fn priority_rank(priority: &Priority) -> u8 {
    match priority {
        Priority::Critical => 0,
        Priority::High => 1,
        Priority::Medium => 2,
        Priority::Low => 3,
        Priority::Other(_) => 4,
    }
}

const fn status_rank(status: &Status) -> u8 {
    match status {
        Status::InProgress => 0,
        Status::Review => 1,
        Status::Blocked => 2,
        Status::Pending => 3,
        Status::Other(_) => 4,
        Status::Deferred => 5,
        Status::Done => 6,
        Status::Cancelled => 7,
    }
}
