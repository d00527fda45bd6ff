//! Evaluates the conditions of the command table.

use super::Model;
use crate::{
    command::Condition,
    ids::{PanelId, TabId},
    world::RunEntry,
};
use flightdeck_core::runs::Phase;

impl Model {
    /// Whether a command with this condition has an effect now.
    #[must_use]
    pub fn meets(&self, condition: Condition) -> bool {
        match condition {
            Condition::Always => true,
            Condition::CanLaunch => self
                .world
                .plan
                .get()
                .is_some_and(|plan| !plan.tasks().is_empty()),
            Condition::CanMark => self.can_mark(),
            Condition::HasTask => self.has_task(),
            Condition::HasSubtasks => self.has_subtasks(),
            Condition::HasFindings => self.has_findings(),
            Condition::HasCheck => self.preflight.list.selected().is_some(),
            Condition::ShowsCheck => self.detail.tab() == TabId::Check,
            Condition::HasRun => self.has_run(),
            Condition::HasUnhealthyRuns => self.has_unhealthy_runs(),
            Condition::HasPullRequest => {
                self.run_is(|entry| entry.run.status.pull_request_url.is_some())
            }
            Condition::CanMerge => self.can_merge(),
            Condition::CanStop => self.run_is(|entry| entry.active() && !entry.run.cancelled()),
            Condition::CanRetry => self.run_is(|entry| {
                !entry.removed && matches!(entry.run.phase(), Phase::Failed | Phase::Cancelled)
            }),
            Condition::CanAddContext => self.run_is(|entry| !entry.removed),
            Condition::CanDelete => self.run_is(|entry| !entry.removed),
            Condition::CanCleanUp => !self.runs.list.rows().is_empty(),
            Condition::CanFollow => self.detail.can_follow(),
            Condition::HasRaw => self.detail.has_raw(),
            Condition::ShowsLog => self.shows_log(),
            Condition::ShowsTimeline => self.detail.tab() == TabId::Timeline,
            Condition::HasPreviousLog => self.shows_log() && self.detail.has_previous_log(),
        }
    }

    /// Whether a run is selected, or open in the focused Detail panel.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.current_run().is_some()
    }

    /// Whether the current run pushed a branch that can be merged.
    #[must_use]
    pub fn can_merge(&self) -> bool {
        self.run_is(RunEntry::pushed)
    }

    fn has_task(&self) -> bool {
        self.tasks.list.selected().is_some()
    }

    fn has_subtasks(&self) -> bool {
        let task = self.tasks.list.selected();
        task.zip(self.world.plan.get())
            .and_then(|(id, plan)| plan.task(id))
            .is_some_and(|task| !task.subtasks.is_empty())
    }

    fn has_findings(&self) -> bool {
        let plan = &self.world.plan;
        let findings = plan
            .get()
            .is_some_and(|plan| !plan.file.findings.is_empty());
        findings || plan.error().is_some()
    }

    fn has_unhealthy_runs(&self) -> bool {
        let runs = self.runs.list.rows();
        runs.iter().any(|id| !self.health.of(id).is_empty())
    }

    fn can_mark(&self) -> bool {
        // A filter that hides every row can still be changed.
        match self.focus {
            PanelId::Tasks => self.has_task() || !self.tasks.filter.is_empty(),
            PanelId::Runs => self.runs.list.selected().is_some() || !self.runs.filter.is_empty(),
            PanelId::Preflight | PanelId::Detail => false,
        }
    }

    fn shows_log(&self) -> bool {
        self.detail.tab() == TabId::Logs
    }

    fn run_is(&self, test: impl Fn(&RunEntry) -> bool) -> bool {
        self.current_run().is_some_and(|(_, entry)| test(entry))
    }
}
