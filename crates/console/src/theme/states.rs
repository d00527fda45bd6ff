//! Scopes of the states of tasks, runs and checks.

use super::Scope;
use crate::world::Level;
use flightdeck_core::{
    runs::Phase,
    tasks::{Priority, Status},
};

impl Scope {
    /// Returns the scope of a task status.
    #[must_use]
    pub const fn of_status(status: &Status) -> Self {
        match status {
            Status::Pending => Self::TaskPending,
            Status::InProgress => Self::TaskInProgress,
            Status::Review => Self::TaskReview,
            Status::Done => Self::TaskDone,
            Status::Blocked => Self::TaskBlocked,
            Status::Deferred => Self::TaskDeferred,
            Status::Cancelled => Self::TaskCancelled,
            Status::Other(_) => Self::Task,
        }
    }

    /// Returns the scope of a task priority.
    #[must_use]
    pub const fn of_priority(priority: &Priority) -> Self {
        match priority {
            Priority::Critical => Self::PriorityCritical,
            Priority::High => Self::PriorityHigh,
            Priority::Low => Self::PriorityLow,
            Priority::Medium | Priority::Other(_) => Self::Priority,
        }
    }

    /// Returns the scope of a run phase.
    #[must_use]
    pub const fn of_phase(phase: &Phase) -> Self {
        match phase {
            Phase::Pending => Self::RunPending,
            Phase::Running => Self::RunRunning,
            Phase::Succeeded => Self::RunSucceeded,
            Phase::Failed => Self::RunFailed,
            Phase::Cancelled => Self::RunCancelled,
            Phase::Other(_) => Self::Run,
        }
    }

    /// Returns the scope of a check level.
    #[must_use]
    pub const fn of_level(level: Level) -> Self {
        match level {
            Level::Pass => Self::CheckPass,
            Level::Warn => Self::CheckWarn,
            Level::Fail => Self::CheckFail,
        }
    }
}
