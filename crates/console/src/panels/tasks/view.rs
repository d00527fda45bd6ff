//! Drawing of the Tasks panel: one row per task, with documents, run, complexity and blockers at the right.

use ratatui::{buffer::Buffer, layout::Rect};

use super::state::BROKEN_ROWS;
use crate::{
    command::{Command, Context},
    draw::{self, RowPen},
    ids::PanelId,
    model::Model,
    panels::{list_view, panel::Panel},
    theme::{Scope, Theme},
    world::{Plan, PlanError, TaskId},
};
use flightdeck_core::{
    tasks::{Complexity, ComplexityLevel, Priority, Status, Task},
    text,
};

/// Draws the list.
pub(super) fn view(
    panel: &dyn Panel,
    model: &Model,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let Some(plan) = model.world.plan.get() else {
        let sentence = match model.world.plan.error() {
            Some(error) => text::sanitize(&error.message).into_owned(),
            None => "Reading the plan ...".into(),
        };
        let next = [(Command::Refresh, "reload")];
        list_view::empty_state(model, theme, area, buffer, &sentence, &next);
        return;
    };
    let area = list_view::filter_line(model, panel, theme, area, buffer);
    let area = match model.world.plan.error() {
        Some(error) => broken(model, theme, error, area, buffer),
        None => area,
    };
    let list = &model.tasks.list;
    if list.rows().is_empty() {
        empty(model, theme, plan, area, buffer);
        return;
    }
    let ids = list.rows()[list.visible()].iter();
    let drawing = Drawing {
        model,
        plan,
        theme,
        id_columns: ids.map(String::len).max().unwrap_or(1).clamp(2, 12),
        wide: area.width >= 56,
        scored: area.width >= 50 && plan.has_complexity(),
    };
    let range = list.open_range().unwrap_or(0..0);
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect::new(area.x, y, area.width, 1);
        let id = &list.rows()[at];
        let marked = list.marked().contains(id) || range.contains(&at);
        drawing.row(id, marked, RowPen::new(buffer, line));
        let focused = model.focus == PanelId::Tasks;
        list_view::highlight_row(theme, buffer, line, at == list.cursor(), focused);
    }
}

/// State that the rows of a frame share.
struct Drawing<'m> {
    model: &'m Model,
    plan: &'m Plan,
    theme: &'m Theme,
    id_columns: usize,
    /// Show words beside the glyphs.
    wide: bool,
    /// Show complexity scores.
    scored: bool,
}

/// Draws the error of a broken file above the last good list. Returns the area left for the list.
fn broken(
    model: &Model,
    theme: &Theme,
    error: &PlanError,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let [first, second] = [0, 1].map(|row| Rect {
        y: area.y + row,
        height: 1,
        ..area
    });
    if area.height < BROKEN_ROWS {
        return area;
    }
    RowPen::new(buffer, first)
        .space(1)
        .left(model.glyphs.failed, theme.style(Scope::Bad))
        .space(1)
        .left(&text::sanitize(&error.message), theme.style(Scope::Text));
    let mut pen = RowPen::new(buffer, second);
    pen.space(3)
        .left("showing the last good version  ", theme.style(Scope::Muted));
    let key = model.keymap.key_for(&[Context::Tasks], Command::Findings);
    if let Some(key) = key {
        draw::hints(&mut pen, theme, [(key.as_str(), "findings")]);
    }
    Rect {
        y: area.y + BROKEN_ROWS,
        height: area.height - BROKEN_ROWS,
        ..area
    }
}

/// Draws the reason why the list is empty.
fn empty(model: &Model, theme: &Theme, plan: &Plan, area: Rect, buffer: &mut Buffer) {
    let typed = model.tasks.filter.field.text().trim();
    let total = plan.tasks().len();
    let (sentence, next): (String, &[(Command, &str)]) = if !plan.has_tag() {
        let tags: Vec<&str> = plan.file.tags.iter().map(|tag| tag.name.as_str()).collect();
        let words = format!(
            "No tag {} in tasks.json. Available tags: {}.",
            plan.tag,
            if tags.is_empty() {
                "none".into()
            } else {
                tags.join(", ")
            }
        );
        (words, &[(Command::Tag, "switch tag")])
    } else if total == 0 {
        (
            format!("No tasks in tag {}.", plan.tag),
            &[(Command::Tag, "switch tag"), (Command::Edit, "edit file")],
        )
    } else {
        let words = format!(
            "No match for \"{typed}\" in {}.",
            text::count(total, "task")
        );
        (words, &[(Command::Back, "clear filter")])
    };
    list_view::empty_state(model, theme, area, buffer, &sentence, next);
}

impl Drawing<'_> {
    fn row(&self, id: &TaskId, marked: bool, mut pen: RowPen<'_>) {
        let Some(task) = self.plan.task(id) else {
            return;
        };
        let glyphs = &self.model.glyphs;
        let style = |scope| self.theme.style(scope);
        let subtask = self.plan.parent(id).is_some();
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
        let status = style(Scope::of_status(&task.status));
        pen.space(1).left(glyphs.status(&task.status), status);
        pen.space(1);
        if self.wide && !subtask {
            let word = match &task.priority {
                Priority::Critical => "crit".into(),
                Priority::Medium => "med".into(),
                priority => text::sanitize(priority.as_str()),
            };
            pen.column(&word, 4, style(Scope::of_priority(&task.priority)));
            pen.space(1);
        }
        pen.right_space(1);
        if !subtask {
            self.documents(id, &mut pen);
            self.run_mark(id, &mut pen);
            self.complexity(id, &mut pen);
        }
        self.blockers(id, task, &mut pen);
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

    /// Draws how many of the documents are written.
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

    /// Draws the complexity score, coloured by level as Task Master does.
    fn complexity(&self, id: &str, pen: &mut RowPen<'_>) {
        if !self.scored {
            return;
        }
        let found = self.plan.complexity(id);
        let words = found.map_or_else(String::new, |found| format!("{}", found.score));
        let scope = match found.map(Complexity::level) {
            Some(ComplexityLevel::High) => Scope::Bad,
            Some(ComplexityLevel::Medium) => Scope::Warn,
            _ => Scope::Muted,
        };
        pen.right_space(1)
            .right(&format!("{words:>2}"), self.theme.style(scope));
        if self.wide {
            let label = if found.is_some() { "cx " } else { "   " };
            pen.right(label, self.theme.style(Scope::Faint));
        }
    }

    /// Draws the phase of the newest run if it is active.
    fn run_mark(&self, id: &str, pen: &mut RowPen<'_>) {
        let newest = self.model.tasks.last_run.get(id);
        let entry = newest.and_then(|run| self.model.world.runs.get(run));
        let active = entry.filter(|entry| entry.active());
        let phase = active.map(|entry| entry.run.phase());
        let (sign, scope) = phase.map_or((" ", Scope::Text), |phase| {
            let scope = Scope::of_phase(&phase);
            (self.model.glyphs.phase(&phase), scope)
        });
        pen.right_space(1).right(sign, self.theme.style(scope));
    }

    /// Draws the first task that blocks this one, and how many more do.
    fn blockers(&self, id: &str, task: &Task, pen: &mut RowPen<'_>) {
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
        let words = format!("{sign} {}{rest}", text::sanitize(&first.id));
        pen.right_space(1)
            .right(&words, self.theme.style(Scope::TaskBlocked));
    }
}
