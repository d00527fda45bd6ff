//! The Tasks panel: the plan as a tree, with documents, runs and dependencies of each task.

mod sort_order;
pub(crate) mod state;
mod view;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{list_view, panel::Panel};
use crate::{
    command::{Command, Context},
    draw::Title,
    effect::Effects,
    filter::{Filter, FilterColumn},
    ids::{PanelId, Subject},
    list::List,
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::{tasks::TaskFilter, text};

/// The panel.
pub(super) struct Tasks;

impl Panel for Tasks {
    fn name(&self) -> &'static str {
        "Tasks"
    }

    fn title(&self, model: &Model) -> Title {
        let Some(plan) = model.world.plan.get() else {
            return Title::default();
        };
        let filter = match model.tasks.filter.field.text().trim() {
            // An open filter is drawn below the list.
            words if words.is_empty() || model.tasks.filter.open => String::new(),
            words => format!("  /{}", text::sanitize(words)),
        };
        let total = plan.tasks().len();
        // Subtasks are not counted.
        let rows = model.tasks.list.rows().iter();
        let shown = rows.filter(|id| !id.contains('.')).count();
        let mut state = list_view::counts(&model.tasks.list, &model.tasks.filter, (shown, total));
        if state.is_empty() {
            let counts = format!("{total} · {} ready", plan.ready());
            state.push((counts, Scope::Muted));
            if !plan.file.findings.is_empty() {
                let findings = text::count(plan.file.findings.len(), "finding");
                state.push((format!(" · {findings}"), Scope::Warn));
            }
        }
        let order = model.tasks.order.label();
        if !order.is_empty() {
            state.insert(0, (format!("{order} · "), Scope::Muted));
        }
        Title {
            about: format!("tag {}{filter}", text::sanitize(&plan.tag)),
            state,
            ..Title::default()
        }
    }

    fn contexts(&self, _model: &Model) -> Vec<Context> {
        vec![Context::Tasks, Context::List]
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        view::view(self, model, theme, area, buffer);
    }

    fn fit(&self, model: &mut Model, content: Rect) {
        let taken = model.tasks.rows_taken(&model.world.plan);
        let rows = usize::from(content.height).saturating_sub(taken);
        model.tasks.list.set_height(rows);
    }

    fn command(&self, model: &mut Model, command: Command, _effects: &mut Effects) -> bool {
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

    fn subject(&self, model: &Model) -> Option<Subject> {
        model.tasks.list.selected().cloned().map(Subject::Task)
    }

    fn copied_text(&self, model: &Model) -> Option<String> {
        model.tasks.list.selected().cloned()
    }

    fn list<'m>(&self, model: &'m mut Model) -> Option<&'m mut List<String>> {
        Some(&mut model.tasks.list)
    }

    fn filter<'m>(&self, model: &'m Model) -> Option<&'m Filter> {
        Some(&model.tasks.filter)
    }

    fn filter_mut<'m>(&self, model: &'m mut Model) -> Option<&'m mut Filter> {
        Some(&mut model.tasks.filter)
    }

    fn filter_columns(&self, model: &Model) -> Vec<FilterColumn> {
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
            .map(|column| FilterColumn {
                name: column.name,
                values: match column.name {
                    "status" => FilterColumn::by_frequency(&statuses),
                    "priority" => FilterColumn::by_frequency(&priorities),
                    "ready" => vec!["yes".into(), "no".into()],
                    _ => Vec::new(),
                },
            })
            .collect()
    }

    fn refresh(&self, model: &mut Model) {
        model.tasks.refresh(&model.world.plan);
    }
}
