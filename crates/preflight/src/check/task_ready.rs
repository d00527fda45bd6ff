//! `task-ready`: the task of a code run is open and has no pending dependencies.

use super::{Check, Facts, Verdict};
use flightdeck_core::tasks::{self, Status};

pub(super) struct TaskReady;

impl Check for TaskReady {
    fn id(&self) -> &'static str {
        "task-ready"
    }

    fn title(&self) -> &'static str {
        "Task"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        if !facts.kind.changes_code() {
            return None;
        }
        let task = facts.chosen().next()?;
        if task.status.is_done() || task.status == Status::Cancelled {
            return Some(Verdict::warn(format!(
                "task {} is already {}",
                task.id,
                task.status.as_str()
            )));
        }
        let waiting = tasks::open_dependencies(facts.plan_tag()?);
        Some(match waiting.get(&task.id) {
            None => Verdict::pass(format!("task {} has no open dependencies", task.id)),
            Some(waits) => {
                let waits: Vec<String> = waits.iter().map(ToString::to_string).collect();
                Verdict::warn(format!("task {} {}", task.id, waits.join(", ")))
                    .because("The agent may depend on work that is not done yet.")
            }
        })
    }
}
