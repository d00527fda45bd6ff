//! Preview and merge of a run's branch.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    overlay::{Next, Overlay},
    window::{Window, scrolled},
};
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effects, RepositoryEffect},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;
use flightdeck_host::repository::merge::{How, MergePlan};

#[derive(Clone, Debug)]
pub(crate) struct MergePreview {
    branch: String,
    pub state: MergeState,
    /// Lines of the diff scrolled past.
    scroll: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MergeState {
    Planning,
    Ready(Box<MergePlan>),
    Merging,
    /// What was merged, as one sentence.
    Done(String),
    Failed(String),
}

/// Lines per page.
const PAGE: usize = 12;

/// Opens the preview of the current run's branch.
pub(crate) fn open(model: &mut Model, effects: &mut Effects) {
    let run = model.current_run().filter(|_| model.can_merge());
    let Some(branch) = run.map(|(_, entry)| entry.run.branch()) else {
        return;
    };
    effects.push(RepositoryEffect::PlanMerge(branch.clone()));
    model.overlays.push(MergePreview {
        branch,
        state: MergeState::Planning,
        scroll: 0,
    });
}

impl Overlay for MergePreview {
    fn title(&self) -> String {
        "Merge".into()
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        match &self.state {
            MergeState::Ready(plan) if plan.how != How::Already => vec![
                (Command::Accept, "merge"),
                (Command::Down, "scroll"),
                (Command::Cancel, "cancel"),
            ],
            MergeState::Planning | MergeState::Merging => vec![(Command::Cancel, "close")],
            MergeState::Ready(_) | MergeState::Done(_) | MergeState::Failed(_) => {
                vec![(Command::Accept, "close")]
            }
        }
    }

    fn command(&mut self, _: &mut Model, command: Command, effects: &mut Effects) -> Next {
        match (command, &self.state) {
            (Command::Accept, MergeState::Ready(plan)) if plan.how != How::Already => {
                effects.push(RepositoryEffect::Merge(plan.clone()));
                self.state = MergeState::Merging;
            }
            (
                Command::Accept,
                MergeState::Ready(_) | MergeState::Done(_) | MergeState::Failed(_),
            ) => {
                return Next::Close;
            }
            (movement, MergeState::Ready(plan)) => {
                let last = plan.diff.text.lines().count();
                self.scroll = match movement {
                    Command::Bottom => last.saturating_sub(PAGE),
                    _ => scrolled(self.scroll, movement, PAGE, last.saturating_sub(1)),
                };
            }
            _ => {}
        }
        Next::Stay
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let branch = &self.branch;
        let (sentence, scope) = match &self.state {
            MergeState::Ready(plan) => return self.preview(plan, theme, screen, buffer),
            MergeState::Planning => (format!("Fetching {branch} ..."), Scope::Muted),
            MergeState::Merging => (format!("Merging {branch} ..."), Scope::Muted),
            MergeState::Done(what) => (format!("{what}."), Scope::Good),
            MergeState::Failed(why) => (why.clone(), Scope::Bad),
        };
        let window = Window {
            width: 92,
            height: draw::wrap(&sentence, 80).len() as u16 + 2,
            title: &self.title(),
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        draw::paragraph(buffer, area, &sentence, theme.style(scope));
    }
}

impl MergePreview {
    fn preview(&self, plan: &MergePlan, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let window = Window {
            width: 110,
            height: screen.height.saturating_sub(4),
            title: &self.title(),
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let mut rows = area.rows();
        let mut line = |words: &str, scope: Scope| {
            if let Some(row) = rows.next() {
                RowPen::new(buffer, row).left(&text::sanitize(words), theme.style(scope));
            }
        };
        let how = match plan.how {
            How::Already => "already merged",
            How::FastForward => "fast-forward",
            How::Merge => "with a merge commit",
        };
        line(
            &format!("{} into {}: {how}", plan.branch, plan.into),
            Scope::Strong,
        );
        let (added, removed) = plan.diff.totals();
        let (commits, files) = (
            text::count(plan.commits.len(), "commit"),
            text::count(plan.diff.files.len(), "file"),
        );
        line(
            &format!("{commits}, {files}, +{added} -{removed}"),
            Scope::Muted,
        );
        if let Some(note) = &plan.diff.note {
            line(note, Scope::Warn);
        }
        if !plan.command.is_empty() {
            line(&plan.command, Scope::Muted);
        }
        line("", Scope::Text);
        let diff = plan.diff.text.lines().skip(self.scroll);
        for words in diff.take(area.height.into()) {
            line(words, diff_scope(words));
        }
    }
}

/// The style of a line of a unified diff.
fn diff_scope(line: &str) -> Scope {
    match line.as_bytes() {
        [b'd', b'i', b'f', b'f', b' ', ..] => Scope::DiffFile,
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Scope::Diff,
        [b'+', ..] => Scope::DiffAdded,
        [b'-', ..] => Scope::DiffRemoved,
        [b'@', b'@', ..] => Scope::DiffHunk,
        _ => Scope::Diff,
    }
}
