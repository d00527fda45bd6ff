//! The Tasks panel: the plan as a tree, with what is known of each task.

mod draw;
mod order;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

pub use draw::view;
pub use order::Order;

use crate::{
    command::Command,
    draw::Title,
    filter::{Filter, Offer},
    list::List,
    model::{Model, PanelId},
    theme::Scope,
    world::{Loaded, Plan, PlanError, RunId, Runs, TaskId},
};
use flightdeck_core::{
    tasks::{Priority, Status, Task, TaskFilter},
    text,
};

/// Rows that say that the file is broken and what is shown instead.
const LAST_GOOD: usize = 2;

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    pub list: List<TaskId>,
    pub filter: Filter,
    /// Tasks whose subtasks are shown.
    pub expanded: BTreeSet<TaskId>,
    pub order: Order,
    /// The newest run of each task.
    pub last_run: HashMap<TaskId, RunId>,
}

impl Tasks {
    /// Derives the rows anew: after a change of the plan, the filter, the order, or what is unfolded.
    pub fn refresh(&mut self, plan: &Loaded<Arc<Plan>, PlanError>) {
        let Some(plan) = plan.get() else {
            self.list.set_rows(Vec::new());
            return;
        };
        let mut query = TaskFilter::parse(self.filter.field.text());
        // What is half typed says nothing yet, and unfolds nothing.
        let filtered = !query.is_empty();
        let mut keeps = |id: &str, task: &Task| query.matches(id, task, plan.is_ready(id));
        let mut tasks: Vec<&Task> = plan.tasks().iter().collect();
        self.order.sort(&mut tasks, plan);
        let mut rows = Vec::with_capacity(tasks.len());
        for task in tasks {
            // While filtering, a subtask that matches is shown below its parent, folded or not.
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

    /// Which run of each task is the newest.
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

    /// Rows of the panel that the list does not have: a filter being typed, a broken file.
    pub fn taken(&self, plan: &Loaded<Arc<Plan>, PlanError>) -> usize {
        let broken = if matches!(plan, Loaded::Failed(_, Some(_))) {
            LAST_GOOD
        } else {
            0
        };
        broken + usize::from(self.filter.open)
    }

    /// Selects a task or subtask, unfolding and unfiltering what hides it; `false` when the plan has none of that id.
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

    /// The top-level tasks a launch would take: the marked ones, else the selected one.
    pub fn chosen(&self) -> Vec<TaskId> {
        let top = |id: &TaskId| id.split('.').next().unwrap_or(id).to_owned();
        let marked: BTreeSet<TaskId> = self.list.marked().iter().map(top).collect();
        if marked.is_empty() {
            return self.list.selected().map(top).into_iter().collect();
        }
        marked.into_iter().collect()
    }
}

/// Obeys a command of this panel; `false` when it is none.
pub fn command(model: &mut Model, command: Command) -> bool {
    match command {
        Command::Expand => {
            let Some(id) = model.tasks.list.selected().cloned() else {
                return true;
            };
            let parent = id.split('.').next().unwrap_or(&id).to_owned();
            if model.tasks.expanded.remove(&parent) {
                model.tasks.list.select(&parent);
            } else {
                model.tasks.expanded.insert(parent.clone());
            }
            model.tasks.refresh(&model.world.plan);
            let below = format!("{parent}.");
            model.tasks.list.reveal_below(|id| id.starts_with(&below));
        }
        Command::Sort => {
            model.tasks.order = model.tasks.order.next();
            model.tasks.refresh(&model.world.plan);
        }
        Command::Open => model.focus_on(PanelId::Detail),
        _ => return false,
    }
    true
}

/// The title line.
pub fn title(model: &Model) -> Title {
    let Some(plan) = model.world.plan.get() else {
        return Title::default();
    };
    let typed = model.tasks.filter.field.text().trim();
    let filter = match typed {
        // While it is typed it stands below the list.
        words if words.is_empty() || model.tasks.filter.open => String::new(),
        words => format!("  /{}", text::sanitize(words)),
    };
    let total = plan.tasks().len();
    // Subtasks stand below their task and are not counted by themselves.
    let rows = model.tasks.list.rows().iter();
    let shown = rows.filter(|id| !id.contains('.')).count();
    let mut state = super::list_state(&model.tasks.list, &model.tasks.filter, (shown, total));
    if state.is_empty() {
        let counts = format!("{total} · {} ready", plan.ready());
        state.push((counts, Scope::Muted));
        if !plan.file.findings.is_empty() {
            let findings = text::count(plan.file.findings.len(), "finding");
            state.push((format!(" · {findings}"), Scope::Warn));
        }
    }
    let order = model.tasks.order.name();
    if !order.is_empty() {
        state.insert(0, (format!("{order} · "), Scope::Muted));
    }
    Title {
        about: format!("tag {}{filter}", text::sanitize(&plan.tag)),
        state,
        ..Title::default()
    }
}

/// What the filter may say of a column: those of its values that the plan has, the most likely first.
pub fn columns(model: &Model) -> Vec<Offer> {
    let tasks = model.world.plan.get().map_or(&[][..], |plan| plan.tasks());
    let mut statuses: Vec<&str> = Vec::new();
    let mut priorities: Vec<&str> = Vec::new();
    for task in tasks {
        statuses.push(task.status.as_str());
        priorities.push(task.priority.as_str());
        statuses.extend(task.subtasks.iter().map(|subtask| subtask.status.as_str()));
    }
    TaskFilter::COLUMNS
        .iter()
        .map(|column| Offer {
            name: column.name,
            values: match column.name {
                "status" => Offer::by_number(&statuses),
                "priority" => Offer::by_number(&priorities),
                "ready" => vec!["yes".into(), "no".into()],
                _ => Vec::new(),
            },
        })
        .collect()
}

/// Scope of a status.
pub const fn status_scope(status: &Status) -> Scope {
    match status {
        Status::Pending => Scope::TaskPending,
        Status::InProgress => Scope::TaskInProgress,
        Status::Review => Scope::TaskReview,
        Status::Done => Scope::TaskDone,
        Status::Blocked => Scope::TaskBlocked,
        Status::Deferred => Scope::TaskDeferred,
        Status::Cancelled => Scope::TaskCancelled,
        Status::Other(_) => Scope::Task,
    }
}

/// Scope of a priority.
pub const fn priority_scope(priority: &Priority) -> Scope {
    match priority {
        Priority::Critical => Scope::PriorityCritical,
        Priority::High => Scope::PriorityHigh,
        Priority::Low => Scope::PriorityLow,
        Priority::Medium | Priority::Other(_) => Scope::Priority,
    }
}
