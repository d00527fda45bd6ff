//! Clean-up: every run that could go, the rule that chose it, and what deleting it frees.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Confirm, Overlay};
use crate::{
    command::Command,
    draw::RowPen,
    effect::{Effect, Effects},
    list::List,
    model::Model,
    panels,
    theme::{Scope, Theme},
    world::Loaded,
};
use flightdeck_core::{
    runs::{Run, naming},
    text,
};
use flightdeck_verbs::{Candidate, Clean, CleanPlan, CleanReport};

/// Runs to choose from, or what became of them.
#[derive(Clone, Debug)]
pub struct Cleanup {
    everyone: bool,
    candidates: Vec<Candidate>,
    list: List<String>,
    pub state: State,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Choosing,
    /// Names of the runs whose deletion has begun.
    Deleting(Vec<String>),
    Report(Box<CleanReport>),
}

/// Rows for candidates.
const ROWS: u16 = 16;

/// Opens it for this repository's runs; what the rules choose is marked.
pub fn open(model: &mut Model) {
    let mut cleanup = Cleanup {
        everyone: false,
        candidates: Vec::new(),
        list: List::default(),
        state: State::Choosing,
    };
    cleanup.list.set_height(ROWS.into());
    cleanup.look(model);
    model.overlays.push(Overlay::Cleanup(cleanup));
}

impl Cleanup {
    /// Finds the candidates and marks those that are due. Runs of other repositories are never marked: without a label, no
    /// run is known to be of this one.
    fn look(&mut self, model: &Model) {
        let label = model.world.repository_label();
        let ours = |run: &Run| label.is_some() && run.label(naming::LABEL_REPOSITORY) == label;
        let runs: Vec<Run> = model
            .world
            .runs
            .iter()
            .filter(|(_, entry)| !entry.removed && (self.everyone || ours(&entry.run)))
            .map(|(_, entry)| entry.run.clone())
            .collect();
        let plan = |clean: Clean| clean.plan(&runs, model.now).unwrap_or_default().candidates;
        self.candidates = plan(Clean {
            finished: true,
            ..Clean::default()
        });
        let due = plan(Clean::default())
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

    fn marked(&self) -> Vec<Candidate> {
        let marked = |candidate: &&Candidate| self.list.marked().contains(&candidate.uid);
        self.candidates.iter().filter(marked).cloned().collect()
    }

    /// Draws it.
    pub fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let lines: Vec<(String, Scope)> = match &self.state {
            State::Choosing => return self.choosing(model, theme, screen, buffer),
            State::Deleting(names) => {
                let done = names.len().saturating_sub(1);
                let name = names.last().map_or("", String::as_str);
                let all = self.list.marked().len();
                vec![(
                    format!("Deleting {name}  ({done} of {all} done)"),
                    Scope::Text,
                )]
            }
            State::Report(report) => report_lines(report),
        };
        let height = (lines.len() as u16).saturating_add(2);
        let area = super::window(screen, 92, height, "Clean up", true, theme, buffer);
        for ((words, scope), row) in lines.iter().zip(area.rows()) {
            RowPen::new(buffer, row).left(&text::sanitize(words), style(*scope));
        }
    }

    fn choosing(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let rows = ROWS.min(self.candidates.len().max(1) as u16);
        let title = if self.everyone {
            "Clean up: all repositories"
        } else {
            "Clean up"
        };
        let area = super::window(screen, 110, rows + 4, title, true, theme, buffer);
        if self.candidates.is_empty() {
            let others = [(Command::Everyone, "all repositories")];
            let (sentence, next): (_, &[_]) = match &model.world.repository {
                _ if self.everyone => ("Nothing here has ended or is stuck.", &[]),
                Loaded::Waiting => ("The repository is still being read.", &others),
                _ if model.world.repository_label().is_none() => (
                    "No remote here, so no run is known to be of this repository.",
                    &others,
                ),
                _ => ("Nothing here has ended or is stuck.", &[]),
            };
            panels::empty(model, theme, area, buffer, sentence, next);
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
            let marked = self.list.marked().contains(&candidate.uid);
            let sign = if marked {
                model.glyphs.marked
            } else {
                model.glyphs.dot
            };
            let scope = if marked { Scope::Mark } else { Scope::Faint };
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
            panels::emphasis(theme, buffer, row, at == self.list.cursor(), true);
        }
        let marked = self.marked();
        let words = format!("{} marked of {}", marked.len(), self.candidates.len());
        let summary = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        RowPen::new(buffer, summary).left(&words, style(Scope::Mark));
    }

    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        if self.state != State::Choosing {
            return vec![(Command::Cancel, "close")];
        }
        let others = if self.everyone {
            "this repository"
        } else {
            "all repositories"
        };
        vec![
            (Command::Accept, "delete the marked"),
            (Command::Mark, "mark"),
            (Command::MarkAll, "all"),
            (Command::Everyone, others),
            (Command::Cancel, "close"),
        ]
    }
}

fn report_lines(report: &CleanReport) -> Vec<(String, Scope)> {
    let deleted = text::count(report.deleted.len(), "run");
    let mut lines = vec![(
        format!("{deleted} deleted; the logs stay in the ledger."),
        Scope::Good,
    )];
    for (name, why) in &report.failed {
        lines.push((format!("{name} is still there: {why}"), Scope::Bad));
    }
    for gone in &report.deleted {
        let branch = gone
            .branch
            .as_ref()
            .map(|branch| format!("branch {branch}"));
        let left: Vec<String> = branch
            .into_iter()
            .chain(gone.pull_request_url.clone())
            .collect();
        if !left.is_empty() {
            lines.push((
                format!("left behind by {}: {}", gone.name, left.join(", ")),
                Scope::Muted,
            ));
        }
    }
    lines
}

pub(super) fn command(model: &mut Model, command: Command, _effects: &mut Effects) {
    let target = model.world.cluster.target().cloned();
    // Taken out while it looks at the rest of the model.
    let Some(Overlay::Cleanup(mut cleanup)) = model.overlays.pop() else {
        return;
    };
    let mut question = None;
    match (&cleanup.state, command) {
        (State::Report(_), Command::Accept) => return,
        (State::Choosing, Command::Mark) => cleanup.list.toggle_mark(),
        (State::Choosing, Command::MarkAll) => cleanup.list.toggle_all(),
        (State::Choosing, Command::Everyone) => {
            cleanup.everyone = !cleanup.everyone;
            cleanup.look(model);
        }
        (State::Choosing, Command::Accept) => {
            let candidates = cleanup.marked();
            question = (!candidates.is_empty()).then(|| confirm(candidates, target.as_ref()));
        }
        (State::Choosing, movement) => {
            panels::movement(&mut cleanup.list, movement);
        }
        _ => {}
    }
    model.overlays.push(Overlay::Cleanup(cleanup));
    model.overlays.extend(question.map(Overlay::Confirm));
}

fn confirm(candidates: Vec<Candidate>, target: Option<&crate::world::Target>) -> Confirm {
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
        sentence: "They and all they own are deleted; branches and pull requests are not. The logs stay in the ledger.".into(),
        yes: "Delete".into(),
        danger: true,
        effects: vec![Effect::Clean(CleanPlan {
            candidates,
            ..CleanPlan::default()
        })],
        chosen: false,
    }
}
