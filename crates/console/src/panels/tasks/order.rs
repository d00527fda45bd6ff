//! In which order tasks are listed.

use std::cmp::Reverse;

use crate::world::Plan;
use flightdeck_core::tasks::{Priority, Status, Task};

/// Order of the list. Tasks that are equal keep the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As written.
    #[default]
    File,
    /// By number, as people count.
    Id,
    Priority,
    Status,
    /// The most complex first; those without a score last.
    Complexity,
    /// Those with the fewest documents first.
    Documents,
}

impl Order {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::File => Self::Id,
            Self::Id => Self::Priority,
            Self::Priority => Self::Status,
            Self::Status => Self::Complexity,
            Self::Complexity => Self::Documents,
            Self::Documents => Self::File,
        }
    }

    /// For the title; empty for the order of the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Id => "by id",
            Self::Priority => "by priority",
            Self::Status => "by status",
            Self::Complexity => "by complexity",
            Self::Documents => "by documents",
        }
    }

    /// Puts the tasks of a plan in this order.
    pub fn sort(self, tasks: &mut [&Task], plan: &Plan) {
        match self {
            Self::File => {}
            Self::Id => tasks.sort_by_cached_key(|task| number(&task.id)),
            Self::Priority => tasks.sort_by_key(|task| priority_rank(&task.priority)),
            Self::Status => tasks.sort_by_key(|task| status_rank(&task.status)),
            Self::Complexity => tasks.sort_by_cached_key(|task| {
                // Tenths: scores are small numbers, whole ones mostly.
                let found = plan.complexity(&task.id);
                Reverse(found.map(|found| (found.score * 10.0) as i64))
            }),
            Self::Documents => tasks.sort_by_key(|task| plan.documents(&task.id).count()),
        }
    }
}

/// Numbers before words, `9` before `10`.
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
