//! The Runs panel: the runs of this repository.

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
    world::{ClusterConnection, Loaded, RunId},
};

/// The panel.
pub(super) struct Runs;

impl Panel for Runs {
    fn name(&self) -> &'static str {
        "Runs"
    }

    fn title(&self, model: &Model) -> Title {
        let runs = &model.runs;
        let mut state = state_pieces(model);
        let order = runs.order.label();
        if !order.is_empty() {
            state.insert(0, (format!("{order} · "), Scope::Muted));
        }
        // Without a label, this repository's runs cannot be told apart, and all are listed.
        let repository = &model.world.repository;
        let unscoped =
            !matches!(repository, Loaded::Waiting) && model.world.repository_label().is_none();
        let about = match (runs.everyone || unscoped, runs.removed) {
            (true, true) => "all repositories, incl. deleted",
            (true, false) => "all repositories",
            (false, true) => "incl. deleted",
            (false, false) => "",
        };
        Title {
            about: about.into(),
            state,
            ..Title::default()
        }
    }

    fn contexts(&self, _model: &Model) -> Vec<Context> {
        vec![Context::Runs, Context::List]
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        view::view(self, model, theme, area, buffer);
    }

    fn fit(&self, model: &mut Model, content: Rect) {
        let taken = usize::from(model.runs.filter.open);
        let rows = usize::from(content.height).saturating_sub(taken);
        model.runs.list.set_height(rows);
    }

    fn command(&self, model: &mut Model, command: Command, _effects: &mut Effects) -> bool {
        match command {
            Command::Sort => {
                model.runs.order = model.runs.order.next();
                model.runs.refresh(&model.world);
            }
            Command::Everyone => {
                model.runs.everyone = !model.runs.everyone;
                model.runs.refresh(&model.world);
            }
            Command::Open => model.focus_on(PanelId::Detail),
            _ => return false,
        }
        true
    }

    fn subject(&self, model: &Model) -> Option<Subject> {
        model.runs.list.selected().cloned().map(Subject::Run)
    }

    fn run<'m>(&self, model: &'m Model) -> Option<&'m RunId> {
        model.runs.list.selected()
    }

    fn copied_text(&self, model: &Model) -> Option<String> {
        let entry = model.world.runs.get(model.runs.list.selected()?)?;
        Some(entry.run.name().to_owned())
    }

    fn list<'m>(&self, model: &'m mut Model) -> Option<&'m mut List<String>> {
        Some(&mut model.runs.list)
    }

    fn filter<'m>(&self, model: &'m Model) -> Option<&'m Filter> {
        Some(&model.runs.filter)
    }

    fn filter_mut<'m>(&self, model: &'m mut Model) -> Option<&'m mut Filter> {
        Some(&mut model.runs.filter)
    }

    fn filter_columns(&self, model: &Model) -> Vec<FilterColumn> {
        let runs: Vec<_> = model
            .runs
            .list
            .rows()
            .iter()
            .filter_map(|id| model.world.runs.get(id))
            .map(|entry| (entry.run.kind.as_str(), entry.run.phase()))
            .collect();
        let values = |name: &str| match name {
            "kind" => {
                FilterColumn::by_frequency(&runs.iter().map(|(kind, _)| *kind).collect::<Vec<_>>())
            }
            "phase" => {
                let phases: Vec<String> = runs
                    .iter()
                    .map(|(_, phase)| phase.as_str().to_lowercase())
                    .collect();
                FilterColumn::by_frequency(&phases.iter().map(String::as_str).collect::<Vec<_>>())
            }
            _ => Vec::new(),
        };
        state::COLUMNS
            .iter()
            .map(|name| FilterColumn {
                name,
                values: values(name),
            })
            .collect()
    }

    fn refresh(&self, model: &mut Model) {
        model.runs.refresh(&model.world);
    }
}

/// Returns the counts and the state of the connection.
fn state_pieces(model: &Model) -> Vec<(String, Scope)> {
    let runs = &model.runs;
    let shown = runs.list.rows();
    let total = model.world.runs.iter().count();
    let mut state = list_view::counts(&runs.list, &runs.filter, (shown.len(), total));
    if state.is_empty() && !shown.is_empty() {
        let entries = shown.iter().filter_map(|id| model.world.runs.get(id));
        let active = entries.filter(|entry| entry.active()).count();
        state.push((shown.len().to_string(), Scope::Muted));
        if active > 0 {
            state.push((format!(" · {active} active"), Scope::RunRunning));
        }
    }
    let connection = match &model.world.cluster {
        ClusterConnection::Connecting => Some(("connecting", Scope::Muted)),
        ClusterConnection::Lost(..) => Some(("reconnecting", Scope::Warn)),
        ClusterConnection::Failed(..) => Some(("no cluster", Scope::Bad)),
        ClusterConnection::Connected(_) => None,
    };
    if let Some((words, scope)) = connection {
        if !state.is_empty() {
            state.push((" · ".into(), Scope::Muted));
        }
        state.push((words.into(), scope));
    }
    state
}
