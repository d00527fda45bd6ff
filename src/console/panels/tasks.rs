//! The Tasks panel: the plan as a tree, with what is known of each task.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    console::{
        command::Command,
        draw::{RowPen, Title},
        filter::Filter,
        list::List,
        model::{Model, PanelId},
        theme::{Scope, Theme},
        world::{Loaded, Plan, RunId, Runs, TaskId},
    },
    tasks::{Priority, Status, Task},
    text,
};

/// Names before a colon that the filter knows.
const COLUMNS: &[&str] = &["id", "status", "priority", "title"];

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

/// Order of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As written.
    #[default]
    File,
    Priority,
    Status,
    /// Those with the fewest documents first.
    Documents,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::File => Self::Priority,
            Self::Priority => Self::Status,
            Self::Status => Self::Documents,
            Self::Documents => Self::File,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::File => "",
            Self::Priority => "by priority",
            Self::Status => "by status",
            Self::Documents => "by documents",
        }
    }
}

impl Tasks {
    /// Derives the rows anew: after a change of the plan, the filter, the order, or what is unfolded.
    pub fn refresh(&mut self, plan: &Loaded<Arc<Plan>>) {
        let Some(plan) = plan.get() else {
            self.list.set_rows(Vec::new());
            return;
        };
        let mut test = self.filter.test(COLUMNS);
        let mut keeps = |id: &str, task: &Task| {
            test.keeps(&[
                ("id", id),
                ("status", task.status.as_str()),
                ("priority", task.priority.as_str()),
                ("title", &task.title),
            ])
        };
        let mut tasks: Vec<&Task> = plan.tasks().iter().collect();
        match self.order {
            Order::File => {}
            Order::Priority => tasks.sort_by_key(|task| priority_rank(&task.priority)),
            Order::Status => tasks.sort_by_key(|task| status_rank(&task.status)),
            Order::Documents => tasks.sort_by_key(|task| plan.documents(&task.id).count()),
        }
        let filtered = !self.filter.is_empty();
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
                model.tasks.expanded.insert(parent);
            }
            model.tasks.refresh(&model.world.plan);
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
    let total = plan.tasks().len();
    // Subtasks stand below their task and are not counted by themselves.
    let rows = model.tasks.list.rows().iter();
    let shown = rows.filter(|id| !id.contains('.')).count();
    let mut state = super::list_state(&model.tasks.list, &model.tasks.filter, (shown, total));
    if state.is_empty() {
        let counts = format!("{total} · {} ready", plan.ready);
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
        about: format!("tag {}", text::sanitize(&plan.tag)),
        state,
        ..Title::default()
    }
}

/// Draws the list.
pub fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(plan) = model.world.plan.get() else {
        let sentence = match model.world.plan.error() {
            Some(error) => text::sanitize(error).into_owned(),
            None => "Reading the plan ...".into(),
        };
        let next = [(Command::Refresh, "read again")];
        super::empty(model, theme, area, buffer, &sentence, &next);
        return;
    };
    let area = super::filter_line(&model.tasks.filter, theme, area, buffer);
    let list = &model.tasks.list;
    if list.rows().is_empty() {
        let (sentence, next) = if model.tasks.filter.is_empty() {
            ("This tag has no tasks.", (Command::Tag, "another tag"))
        } else {
            ("No task matches the filter.", (Command::Back, "clear it"))
        };
        super::empty(model, theme, area, buffer, sentence, &[next]);
        return;
    }
    let ids = list.rows()[list.visible()].iter();
    let drawing = Drawing {
        model,
        plan,
        theme,
        id_columns: ids.map(String::len).max().unwrap_or(1).clamp(2, 12),
        wide: area.width >= 56,
    };
    let range = list.open_range().unwrap_or(0..0);
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect::new(area.x, y, area.width, 1);
        let id = &list.rows()[at];
        let marked = list.marked().contains(id) || range.contains(&at);
        drawing.row(id, marked, RowPen::new(buffer, line));
        let focused = model.focus == PanelId::Tasks;
        super::emphasis(theme, buffer, line, at == list.cursor(), focused);
    }
}

/// What the rows of one frame share.
struct Drawing<'m> {
    model: &'m Model,
    plan: &'m Plan,
    theme: &'m Theme,
    id_columns: usize,
    /// There is room for words beside the signs.
    wide: bool,
}

impl Drawing<'_> {
    fn row(&self, id: &TaskId, marked: bool, mut pen: RowPen<'_>) {
        let Some(task) = self.plan.task(id) else {
            return;
        };
        let glyphs = &self.model.glyphs;
        let style = |scope| self.theme.style(scope);
        let subtask = id.contains('.');
        pen.left(if marked { glyphs.marked } else { " " }, style(Scope::Mark));
        let fold = if subtask || task.subtasks.is_empty() {
            " "
        } else if self.model.tasks.expanded.contains(id) {
            glyphs.unfolded
        } else {
            glyphs.folded
        };
        pen.left(fold, style(Scope::Faint)).space(1);
        if subtask {
            pen.space(2);
        }
        pen.column(&text::sanitize(id), self.id_columns, style(Scope::Muted));
        let status = style(status_scope(&task.status));
        pen.space(1).left(glyphs.status(&task.status), status);
        pen.space(1);
        if self.wide && !subtask {
            let word = match &task.priority {
                Priority::Critical => "crit".into(),
                Priority::Medium => "med".into(),
                priority => text::sanitize(priority.as_str()),
            };
            pen.column(&word, 4, style(priority_scope(&task.priority)));
            pen.space(1);
        }
        pen.right_space(1);
        if !subtask {
            self.documents(id, &mut pen);
            self.run_mark(id, &mut pen);
        }
        self.waits(id, task, &mut pen);
        if self.plan.next.as_ref().is_some_and(|(next, _)| next == id) && pen.room() > 24 {
            pen.right_space(1).right(glyphs.next, style(Scope::Accent));
        }
        pen.right_space(1);
        let scope = match task.status {
            Status::Done => Scope::Muted,
            Status::Cancelled => Scope::TaskCancelled,
            _ => Scope::Text,
        };
        let title = match task.title.as_str() {
            "" => "(no title)".into(),
            title => text::sanitize(title),
        };
        pen.left(&title, style(scope));
    }

    fn documents(&self, id: &str, pen: &mut RowPen<'_>) {
        let written = self.plan.documents(id).count();
        let scope = match written {
            4 => Scope::Good,
            0 => Scope::Faint,
            _ => Scope::Warn,
        };
        pen.right(&format!("{written}/4"), self.theme.style(scope));
        if self.wide {
            pen.right("docs ", self.theme.style(Scope::Faint));
        }
    }

    /// The sign of a run under way.
    fn run_mark(&self, id: &str, pen: &mut RowPen<'_>) {
        let newest = self.model.tasks.last_run.get(id);
        let entry = newest.and_then(|run| self.model.world.runs.get(run));
        let active = entry.filter(|entry| entry.active());
        let phase = active.map(|entry| entry.run.phase());
        let (sign, scope) = phase.map_or((" ", Scope::Text), |phase| {
            let scope = super::runs::phase_scope(&phase);
            (self.model.glyphs.phase(&phase), scope)
        });
        pen.right_space(1).right(sign, self.theme.style(scope));
    }

    fn waits(&self, id: &str, task: &Task, pen: &mut RowPen<'_>) {
        if !matches!(task.status, Status::Pending | Status::Blocked) {
            return;
        }
        let [first, rest @ ..] = self.plan.waits(id) else {
            return;
        };
        let rest = match rest.len() {
            0 => String::new(),
            more => format!("+{more}"),
        };
        let sign = self.model.glyphs.blocked;
        let words = format!("{sign} {}{rest}", text::sanitize(&first.on));
        pen.right_space(1)
            .right(&words, self.theme.style(Scope::TaskBlocked));
    }
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
