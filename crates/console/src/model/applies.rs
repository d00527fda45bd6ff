//! Whether a command would do something here and now: what the command table asks of the model.

use super::{Model, PanelId};
use crate::{panels::detail::Tab, world::Entry};
use flightdeck_core::runs::Phase;

impl Model {
    /// The selected task is one.
    pub fn has_task(&self) -> bool {
        self.tasks.list.selected().is_some()
    }

    /// The selected task has subtasks.
    pub fn has_subtasks(&self) -> bool {
        let task = self.tasks.list.selected();
        task.zip(self.world.plan.get())
            .and_then(|(id, plan)| plan.task(id))
            .is_some_and(|task| !task.subtasks.is_empty())
    }

    /// The plan's file has something to be told of.
    pub fn has_findings(&self) -> bool {
        let plan = &self.world.plan;
        let findings = plan
            .get()
            .is_some_and(|plan| !plan.file.findings.is_empty());
        findings || plan.error().is_some()
    }

    /// Something is wrong with a run under way.
    pub fn has_unwell(&self) -> bool {
        let runs = self.runs.list.rows();
        runs.iter().any(|id| !self.health.of(id).is_empty())
    }

    /// There is a run to act on.
    pub fn has_run(&self) -> bool {
        self.current_run().is_some()
    }

    /// The list in focus is one that is filtered and marked in, and holds something.
    pub fn can_mark(&self) -> bool {
        match self.focus {
            PanelId::Tasks => self.has_task() || !self.tasks.filter.is_empty(),
            PanelId::Runs => self.runs.list.selected().is_some() || !self.runs.filter.is_empty(),
            PanelId::Preflight | PanelId::Detail => false,
        }
    }

    /// There is a check to act on.
    pub fn has_check(&self) -> bool {
        self.preflight.list.selected().is_some()
    }

    /// The open tab explains a check.
    pub fn shows_check(&self) -> bool {
        self.detail.tab() == Tab::Check
    }

    /// There are tasks to run.
    pub fn can_launch(&self) -> bool {
        self.world
            .plan
            .get()
            .is_some_and(|plan| !plan.tasks().is_empty())
    }

    /// The open tab may still grow.
    pub fn can_follow(&self) -> bool {
        self.detail.can_follow()
    }

    /// The open tab has another form of what it shows.
    pub fn has_raw(&self) -> bool {
        self.detail.has_raw()
    }

    /// The open tab is the log.
    pub fn shows_log(&self) -> bool {
        self.detail.tab() == Tab::Logs
    }

    /// The open tab is the agent's timeline.
    pub fn shows_timeline(&self) -> bool {
        self.detail.tab() == Tab::Timeline
    }

    /// The log has parts of earlier attempts.
    pub fn has_earlier_log(&self) -> bool {
        self.shows_log() && self.detail.has_earlier_log()
    }

    /// The run has a pull request.
    pub fn has_pull_request(&self) -> bool {
        self.run_is(|entry| entry.run.status.pull_request_url.is_some())
    }

    /// The run left something on a branch.
    pub fn can_merge(&self) -> bool {
        self.run_is(Entry::pushed)
    }

    /// The run has not ended.
    pub fn can_stop(&self) -> bool {
        self.run_is(|entry| entry.active() && !entry.run.cancelled())
    }

    /// The run has ended, and not well.
    pub fn can_retry(&self) -> bool {
        self.run_is(|entry| {
            !entry.removed && matches!(entry.run.phase(), Phase::Failed | Phase::Cancelled)
        })
    }

    /// The run has ended, and can be told more.
    pub fn can_add_context(&self) -> bool {
        self.run_is(|entry| !entry.removed && entry.run.ended())
    }

    /// The run can be deleted.
    pub fn can_delete(&self) -> bool {
        self.run_is(|entry| !entry.removed)
    }

    /// There are runs.
    pub fn can_clean(&self) -> bool {
        !self.runs.list.rows().is_empty()
    }

    fn run_is(&self, test: impl Fn(&Entry) -> bool) -> bool {
        self.current_run().is_some_and(|(_, entry)| test(entry))
    }
}
