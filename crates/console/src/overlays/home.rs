//! Bringing a run's branch home: what it changes, a yes, and then how it went.

use ratatui::{buffer::Buffer, layout::Rect};

use super::Overlay;
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effect, Effects},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;
use flightdeck_host::repository::merge::{How, MergePlan};

/// A branch on its way home.
#[derive(Clone, Debug)]
pub struct Home {
    branch: String,
    pub state: State,
    scroll: usize,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Planning,
    Ready(Box<MergePlan>),
    Merging,
    Done,
    Failed(String),
}

/// Lines a page moves.
const PAGE: usize = 12;

/// Opens it for the current run's branch.
pub fn open(model: &mut Model, effects: &mut Effects) {
    let run = model.current_run().filter(|_| model.can_merge());
    let Some(branch) = run.map(|(_, entry)| entry.run.branch()) else {
        return;
    };
    effects.push(Effect::PlanMerge(branch.clone()));
    model.overlays.push(Overlay::Home(Home {
        branch,
        state: State::Planning,
        scroll: 0,
    }));
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let Some(Overlay::Home(home)) = model.overlays.last_mut() else {
        return;
    };
    match (command, &home.state) {
        (Command::Accept, State::Ready(plan)) if plan.how != How::Already => {
            effects.push(Effect::Merge(plan.clone()));
            home.state = State::Merging;
        }
        (Command::Accept, State::Ready(_) | State::Done | State::Failed(_)) => {
            model.overlays.pop();
        }
        (movement, State::Ready(plan)) => {
            let last = plan.diff.text.lines().count();
            home.scroll = match movement {
                Command::Bottom => last.saturating_sub(PAGE),
                _ => super::scrolled(home.scroll, movement, PAGE, last.saturating_sub(1)),
            };
        }
        _ => {}
    }
}

impl Home {
    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        match &self.state {
            State::Ready(plan) if plan.how != How::Already => vec![
                (Command::Accept, "merge"),
                (Command::Down, "scroll"),
                (Command::Cancel, "leave it"),
            ],
            State::Planning | State::Merging => vec![(Command::Cancel, "close")],
            State::Ready(_) | State::Done | State::Failed(_) => vec![(Command::Accept, "close")],
        }
    }

    /// Draws it.
    pub fn view(&self, _model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let State::Ready(plan) = &self.state else {
            let branch = &self.branch;
            let (sentence, scope) = match &self.state {
                State::Failed(why) => (why.clone(), Scope::Bad),
                State::Done => (format!("{branch} is home."), Scope::Good),
                State::Merging => (format!("Bringing {branch} home ..."), Scope::Muted),
                State::Planning | State::Ready(_) => {
                    (format!("Fetching {branch} ..."), Scope::Muted)
                }
            };
            let rows = draw::wrap(&sentence, 80).len() as u16;
            let area = super::window(screen, 92, rows + 2, "Merge home", false, theme, buffer);
            draw::paragraph(buffer, area, &sentence, style(scope));
            return;
        };
        let area = super::window(
            screen,
            110,
            screen.height.saturating_sub(4),
            "Merge home",
            false,
            theme,
            buffer,
        );
        let mut rows = area.rows();
        let mut line = |words: &str, scope: Scope, buffer: &mut Buffer| {
            if let Some(row) = rows.next() {
                RowPen::new(buffer, row).left(&text::sanitize(words), style(scope));
            }
        };
        let how = match plan.how {
            How::Already => "everything in it is here already",
            How::FastForward => "fast-forward",
            How::Merge => "with a merge commit",
        };
        line(
            &format!("{} into {}: {how}", plan.branch, plan.into),
            Scope::Strong,
            buffer,
        );
        let (added, removed) = plan.diff.totals();
        let (commits, files) = (
            text::count(plan.commits.len(), "commit"),
            text::count(plan.diff.files.len(), "file"),
        );
        line(
            &format!("{commits}, {files}, +{added} -{removed}"),
            Scope::Muted,
            buffer,
        );
        if let Some(note) = &plan.diff.note {
            line(note, Scope::Warn, buffer);
        }
        if !plan.command.is_empty() {
            line(&plan.command, Scope::Muted, buffer);
        }
        line("", Scope::Text, buffer);
        for words in plan
            .diff
            .text
            .lines()
            .skip(self.scroll)
            .take(area.height.into())
        {
            line(words, scope_of(words), buffer);
        }
    }
}

fn scope_of(line: &str) -> Scope {
    match line.as_bytes() {
        [b'd', b'i', b'f', b'f', b' ', ..] => Scope::DiffFile,
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Scope::Diff,
        [b'+', ..] => Scope::DiffAdded,
        [b'-', ..] => Scope::DiffRemoved,
        [b'@', b'@', ..] => Scope::DiffHunk,
        _ => Scope::Diff,
    }
}
