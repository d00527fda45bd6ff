//! State of the Tasks panel.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::sort_order::SortOrder;
use crate::{
    filter::Filter,
    list::List,
    world::{Loaded, Plan, PlanError, RunId, Runs, TaskId},
};
use flightdeck_core::tasks::{Task, TaskFilter};

/// Rows of the message above the last good list while the file is broken.
pub(super) const BROKEN_ROWS: u16 = 2;

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct TasksPanel {
    pub list: List<TaskId>,
    pub filter: Filter,
    /// Tasks whose subtasks are shown.
    pub expanded: BTreeSet<TaskId>,
    pub order: SortOrder,
    /// Newest run of each task.
    pub last_run: HashMap<TaskId, RunId>,
}

impl TasksPanel {
    /// Rebuilds the rows after the plan, the filter, the order or the expanded tasks changed.
    pub fn refresh(&mut self, plan: &Loaded<Arc<Plan>, PlanError>) {
        let Some(plan) = plan.get() else {
            self.list.set_rows(Vec::new());
            return;
        };
        let mut query = TaskFilter::parse(self.filter.field.text());
        // A query without a complete term matches all and expands nothing.
        let filtered = !query.is_empty();
        let mut keeps = |id: &str, task: &Task| query.matches(id, task, plan.is_ready(id));
        let mut tasks: Vec<&Task> = plan.tasks().iter().collect();
        self.order.sort(&mut tasks, plan);
        let mut rows = Vec::with_capacity(tasks.len());
        for task in tasks {
            // While filtering, matching subtasks are shown even below a folded parent.
            let below: Vec<TaskId> = task
                .subtasks
                .iter()
                .filter(|_| filtered || self.expanded.contains(&task.id))
                .map(|subtask| (format!("{}.{}", task.id, subtask.id), subtask))
                .filter(|(id, subtask)| !filtered || keeps(id, subtask))
                .map(|(id, _)| id)
                .collect();
            if !below.is_empty() || keeps(&task.id, task) {
                rows.push(task.id.clone());
                rows.extend(below);
            }
        }
        self.list.set_rows(rows);
        self.list.forget_marks(|id| plan.task(id).is_some());
    }

    /// Rebuilds `last_run` after the runs changed.
    pub fn refresh_runs(&mut self, runs: &Runs) {
        self.last_run.clear();
        for (id, entry) in runs.iter().filter(|(_, entry)| !entry.removed) {
            for task in &entry.run.tasks {
                let newest = self
                    .last_run
                    .entry(task.clone())
                    .or_insert_with(|| id.clone());
                if runs.created(id) > runs.created(newest) {
                    newest.clone_from(id);
                }
            }
        }
    }

    /// Returns the rows taken by the open filter and by the message about a broken file.
    pub(super) fn rows_taken(&self, plan: &Loaded<Arc<Plan>, PlanError>) -> usize {
        let broken = if matches!(plan, Loaded::Failed(_, Some(_))) {
            BROKEN_ROWS.into()
        } else {
            0
        };
        broken + usize::from(self.filter.open)
    }

    /// Selects a task or subtask; expands its parent and clears the filter if they hide it. Returns `false` for an
    /// unknown id.
    pub fn go_to(&mut self, id: &TaskId, plan: &Loaded<Arc<Plan>, PlanError>) -> bool {
        let Some(known) = plan.get().filter(|plan| plan.task(id).is_some()) else {
            return false;
        };
        if let Some(parent) = known.parent(id) {
            self.expanded.insert(parent.clone());
        }
        self.refresh(plan);
        if !self.list.select(id) {
            self.filter = Filter::default();
            self.refresh(plan);
            self.list.select(id);
        }
        true
    }

    /// Returns the top-level tasks that a launch takes: the marked ones, or else the selected one.
    pub fn chosen(&self) -> Vec<TaskId> {
        let top = |id: &TaskId| id.split('.').next().unwrap_or(id).to_owned();
        let marked: BTreeSet<TaskId> = self.list.marked().iter().map(top).collect();
        if marked.is_empty() {
            return self.list.selected().map(top).into_iter().collect();
        }
        marked.into_iter().collect()
    }
}
