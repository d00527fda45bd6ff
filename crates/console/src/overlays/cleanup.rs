//! Cleanup: runs that can be deleted, the rule that matches each, and what deleting it frees.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    confirm::Confirm,
    overlay::{Next, Overlay},
    window::Window,
};
use crate::{
    command::{Command, Context},
    draw::RowPen,
    effect::{CleanupEffect, Effects},
    list::List,
    model::Model,
    panels::list_view,
    theme::{Scope, Theme},
    world::{ClusterTarget, Loaded},
};
use flightdeck_core::{
    runs::{Run, naming::LABEL_REPOSITORY},
    text,
};
use flightdeck_verbs::{Candidate, Clean, CleanReport, CleanSelection};

/// The candidates, or the result of deleting them.
#[derive(Clone, Debug)]
pub(crate) struct Cleanup {
    all_repositories: bool,
    candidates: Vec<Candidate>,
    list: List<String>,
    pub state: CleanupState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CleanupState {
    Choosing,
    /// Names of the runs whose deletion has started.
    Deleting(Vec<String>),
    Report(Box<CleanReport>),
}

/// Rows for candidates.
const ROWS: u16 = 16;

/// Opens cleanup for this repository's runs, with those selected that a rule matches.
pub(crate) fn open(model: &mut Model) {
    let mut cleanup = Cleanup {
        all_repositories: false,
        candidates: Vec::new(),
        list: List::default(),
        state: CleanupState::Choosing,
    };
    cleanup.list.set_height(ROWS.into());
    cleanup.find_candidates(model);
    model.overlays.push(cleanup);
}

impl Cleanup {
    /// Finds the candidates. Runs of other repositories start unselected; without a label, no run is known to belong to this one.
    fn find_candidates(&mut self, model: &Model) {
        let label = model.world.repository_label();
        let ours = |run: &Run| label.is_some() && run.label(LABEL_REPOSITORY) == label;
        let runs: Vec<Run> = model
            .world
            .runs
            .iter()
            .filter(|(_, entry)| !entry.removed && (self.all_repositories || ours(&entry.run)))
            .map(|(_, entry)| entry.run.clone())
            .collect();
        let select = |clean: Clean| clean.select(&runs, model.now).unwrap_or_default();
        self.candidates = select(Clean {
            finished: true,
            ..Clean::default()
        });
        let due = select(Clean::default())
            .into_iter()
            .map(|candidate| candidate.uid);
        let due: Vec<String> = due
            .filter(|uid| runs.iter().any(|run| run.uid() == uid && ours(run)))
            .collect();
        let uids = self
            .candidates
            .iter()
            .map(|candidate| candidate.uid.clone());
        self.list.set_rows(uids.collect());
        self.list.mark(due);
    }

    fn selected(&self) -> Vec<Candidate> {
        let selected = |candidate: &&Candidate| self.list.marked().contains(&candidate.uid);
        self.candidates.iter().filter(selected).cloned().collect()
    }

    fn view_candidates(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let rows = ROWS.min(self.candidates.len().max(1) as u16);
        let window = Window {
            width: 110,
            height: rows + 4,
            title: &self.title(),
            danger: true,
        };
        let area = window.draw(theme, screen, buffer);
        if self.candidates.is_empty() {
            let all = [(Command::Everyone, "all repositories")];
            let (sentence, next): (_, &[_]) = match &model.world.repository {
                _ if self.all_repositories => ("No finished or stuck runs.", &[]),
                Loaded::Waiting => ("Reading the repository ...", &all),
                _ if model.world.repository_label().is_none() => (
                    "This repository has no remote, so its runs cannot be identified.",
                    &all,
                ),
                _ => ("No finished or stuck runs.", &[]),
            };
            list_view::empty_state(model, theme, area, buffer, sentence, next);
        }
        let widest = self
            .candidates
            .iter()
            .map(|candidate| text::width(&candidate.name))
            .max();
        let names = widest.unwrap_or(8).clamp(8, 36);
        for (at, row) in self.list.visible().zip(area.rows().take(rows.into())) {
            let Some(candidate) = self.candidates.get(at) else {
                break;
            };
            let selected = self.list.marked().contains(&candidate.uid);
            let (sign, scope) = if selected {
                (model.glyphs.marked, Scope::Mark)
            } else {
                (model.glyphs.dot, Scope::Faint)
            };
            RowPen::new(buffer, row)
                .left(sign, style(scope))
                .space(1)
                .column(&text::sanitize(&candidate.name), names, style(Scope::Text))
                .space(2)
                .column(candidate.rule.as_str(), 10, style(Scope::Muted))
                .space(2)
                .right(
                    &text::cut_end(&text::sanitize(&candidate.frees), 34),
                    style(Scope::Muted),
                )
                .right_space(2)
                .left(&text::sanitize(&candidate.why), style(Scope::Muted));
            list_view::highlight_row(theme, buffer, row, at == self.list.cursor(), true);
        }
        let words = format!(
            "{} of {} selected",
            self.selected().len(),
            self.candidates.len()
        );
        let summary = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        RowPen::new(buffer, summary).left(&words, style(Scope::Mark));
    }
}

impl Overlay for Cleanup {
    fn title(&self) -> String {
        if self.all_repositories {
            "Clean up: all repositories".into()
        } else {
            "Clean up".into()
        }
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Cleanup, Context::Overlay]
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        if self.state != CleanupState::Choosing {
            return vec![(Command::Cancel, "close")];
        }
        let scope = if self.all_repositories {
            "this repository"
        } else {
            "all repositories"
        };
        vec![
            (Command::Accept, "delete selected"),
            (Command::Mark, "select"),
            (Command::MarkAll, "all"),
            (Command::Everyone, scope),
            (Command::Cancel, "close"),
        ]
    }

    fn command(&mut self, model: &mut Model, command: Command, _: &mut Effects) -> Next {
        match (&self.state, command) {
            (CleanupState::Report(_), Command::Accept) => return Next::Close,
            (CleanupState::Choosing, Command::Mark) => self.list.toggle_mark(),
            (CleanupState::Choosing, Command::MarkAll) => self.list.toggle_all(),
            (CleanupState::Choosing, Command::Everyone) => {
                self.all_repositories = !self.all_repositories;
                self.find_candidates(model);
            }
            (CleanupState::Choosing, Command::Accept) => {
                let selected = self.selected();
                if !selected.is_empty() {
                    let question = confirm(selected, model.world.cluster.target());
                    model.overlays.push(question);
                }
            }
            (CleanupState::Choosing, movement) => {
                self.list.move_selection(movement);
            }
            _ => {}
        }
        Next::Stay
    }

    fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let lines: Vec<(String, Scope)> = match &self.state {
            CleanupState::Choosing => return self.view_candidates(model, theme, screen, buffer),
            CleanupState::Deleting(names) => {
                let done = names.len().saturating_sub(1);
                let name = names.last().map_or("", String::as_str);
                let all = self.list.marked().len();
                vec![(
                    format!("Deleting {name}  ({done} of {all} done)"),
                    Scope::Text,
                )]
            }
            CleanupState::Report(report) => report_lines(report),
        };
        let window = Window {
            width: 92,
            height: (lines.len() as u16).saturating_add(2),
            title: &self.title(),
            danger: true,
        };
        let area = window.draw(theme, screen, buffer);
        for ((words, scope), row) in lines.iter().zip(area.rows()) {
            RowPen::new(buffer, row).left(&text::sanitize(words), theme.style(*scope));
        }
    }
}

fn report_lines(report: &CleanReport) -> Vec<(String, Scope)> {
    let deleted = text::count(report.deleted.len(), "run");
    let mut lines = vec![(
        format!("Deleted {deleted}. Their logs are in the ledger."),
        Scope::Good,
    )];
    for (name, why) in &report.failed {
        lines.push((format!("Failed to delete {name}: {why}"), Scope::Bad));
    }
    for deleted in &report.deleted {
        let branch = deleted.branch.as_ref();
        let branch = branch.map(|branch| format!("branch {branch}"));
        let url = deleted.pull_request_url.clone();
        let kept: Vec<String> = branch.into_iter().chain(url).collect();
        if !kept.is_empty() {
            let kept = kept.join(", ");
            lines.push((format!("{}: kept {kept}", deleted.name), Scope::Muted));
        }
    }
    lines
}

fn confirm(candidates: Vec<Candidate>, target: Option<&ClusterTarget>) -> Confirm {
    let runs = text::count(candidates.len(), "run");
    let names: Vec<&str> = candidates
        .iter()
        .map(|candidate| candidate.name.as_str())
        .collect();
    let mut facts = vec![("runs".to_owned(), names.join(", "))];
    if let Some(target) = target {
        facts.push((
            "target".into(),
            format!("{}, namespace {}", target.label, target.namespace),
        ));
    }
    Confirm {
        title: format!("Delete {runs}"),
        facts,
        sentence: "Deletes the runs and their Jobs, files and workspaces. Branches and PRs stay; logs are in the ledger.".into(),
        yes: "Delete".into(),
        danger: true,
        effects: vec![
            CleanupEffect::Delete(CleanSelection {
                candidates,
                ..CleanSelection::default()
            })
            .into(),
        ],
        chosen: false,
    }
}
