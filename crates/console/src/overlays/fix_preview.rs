//! Preview of a fix: the exact commands and every commit that would be pushed; then its progress and result.

mod progress;

use ratatui::{buffer::Buffer, layout::Rect};

use self::progress::{ProgressLine, Running, add_progress};
use super::{
    overlay::{Next, Overlay},
    pager,
    window::{Window, more_below, scrolled},
};
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effects, FixFailure, PreflightEffect, PreflightRequest},
    model::Model,
    panels::{detail::difference, preflight::fix_label},
    theme::{Scope, Theme},
    world::{Check, PlanComparison},
};
use flightdeck_core::text;
use flightdeck_preflight::{
    Fix,
    fix::{FixPlan, Progress},
};

#[derive(Clone, Debug)]
pub(crate) struct FixPreview {
    check: Check,
    fix: Fix,
    request: PreflightRequest,
    state: FixState,
    /// Lines scrolled past.
    scroll: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FixState {
    Planning,
    Ready(Box<FixPlan>),
    Running(Running),
    Done(Vec<ProgressLine>),
    Failed(Vec<ProgressLine>, FixFailure),
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 92;
/// Commits listed; the rest is counted.
const COMMITS: usize = 8;

/// Columns of a line for a screen width.
const fn columns(screen: u16) -> usize {
    let window = if screen < WIDTH + 4 { screen } else { WIDTH };
    window.saturating_sub(4) as usize
}

/// Opens the fix of a check, or its explanation if it has no fix.
pub(crate) fn open(model: &mut Model, id: &str, effects: &mut Effects) {
    let request = model.preflight_request(true);
    open_for(model, id, request, effects);
}

/// Opens the fix of a check for a launch, or its explanation if it has no fix.
pub(super) fn open_for(
    model: &mut Model,
    id: &str,
    request: PreflightRequest,
    effects: &mut Effects,
) {
    let Some(check) = model.world.checks.get(id).cloned() else {
        return;
    };
    let Some(fix) = check.fix else {
        pager::explain_check(model, &check);
        return;
    };
    effects.push(PreflightEffect::PlanFix(request.clone(), fix));
    model.overlays.push(FixPreview {
        check,
        fix,
        request,
        state: FixState::Planning,
        scroll: 0,
    });
}

impl Overlay for FixPreview {
    fn title(&self) -> String {
        self.check.title.into()
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        match &self.state {
            FixState::Planning => vec![(Command::Cancel, "close")],
            FixState::Ready(_) => vec![(Command::Accept, "run"), (Command::Cancel, "cancel")],
            FixState::Running(running) if running.cancelled => Vec::new(),
            FixState::Running(running) if running.confirm_cancel => {
                vec![(Command::Cancel, "abort"), (Command::Accept, "continue")]
            }
            FixState::Running(_) => vec![(Command::Cancel, "abort")],
            FixState::Failed(_, failure) => match failure.offers {
                Some(fix) => vec![
                    (Command::Accept, fix_label(fix)),
                    (Command::Cancel, "close"),
                ],
                None => vec![(Command::Accept, "close")],
            },
            FixState::Done(_) => vec![(Command::Accept, "close")],
        }
    }

    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next {
        if command != Command::Accept {
            let lines = self.lines(model, columns(model.size.width)).len();
            let shown = usize::from(model.size.height.saturating_sub(4));
            let last = lines.saturating_sub(shown);
            self.scroll = scrolled(self.scroll, command, shown, last);
            return Next::Stay;
        }
        match &mut self.state {
            FixState::Ready(plan) => {
                effects.push(PreflightEffect::ApplyFix(plan.clone()));
                self.state = FixState::Running(Running::default());
                self.scroll = 0;
            }
            FixState::Failed(
                _,
                FixFailure {
                    offers: Some(fix), ..
                },
            ) => {
                self.fix = *fix;
                effects.push(PreflightEffect::PlanFix(self.request.clone(), *fix));
                self.state = FixState::Planning;
            }
            FixState::Done(_) | FixState::Failed(..) => return Next::Close,
            FixState::Running(running) => running.confirm_cancel = false,
            FixState::Planning => {}
        }
        Next::Stay
    }

    fn cancel(&mut self, effects: &mut Effects) -> Next {
        let FixState::Running(running) = &mut self.state else {
            return Next::Close;
        };
        // The first Esc asks, the second one cancels the commands. The result arrives later in both cases.
        if running.confirm_cancel && !running.cancelled {
            effects.push(PreflightEffect::CancelFix);
            running.cancelled = true;
        }
        running.confirm_cancel = !running.cancelled;
        Next::Stay
    }

    fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let lines = self.lines(model, columns(screen.width));
        let window = Window {
            width: WIDTH,
            height: lines.len() as u16 + 2,
            title: self.check.title,
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let end = lines.len().saturating_sub(area.height.into());
        let first = self.scroll.min(end);
        for ((words, scope), row) in lines.iter().skip(first).zip(area.rows()) {
            RowPen::new(buffer, row).left(words, theme.style(*scope));
        }
        more_below(end - first, area, theme, buffer);
    }
}

impl FixPreview {
    pub(crate) const fn request(&self) -> &PreflightRequest {
        &self.request
    }

    /// Shows the commands of the fix.
    pub(crate) fn planned(&mut self, plan: Box<FixPlan>) {
        self.state = FixState::Ready(plan);
    }

    /// Adds a line to the progress.
    pub(crate) fn progress(&mut self, progress: Progress) {
        if !matches!(self.state, FixState::Running(_)) {
            self.state = FixState::Running(Running::default());
        }
        if let FixState::Running(running) = &mut self.state {
            running.add(progress);
        }
    }

    /// Shows the result below the progress.
    pub(crate) fn finished(&mut self, result: Result<(), FixFailure>) {
        let lines = match &mut self.state {
            FixState::Running(running) => std::mem::take(&mut running.lines),
            _ => Vec::new(),
        };
        self.state = match result {
            Ok(()) => FixState::Done(lines),
            Err(failure) => FixState::Failed(lines, failure),
        };
    }

    /// The differences of the plan from the remote's, if the fix is about them.
    fn comparison<'m>(&self, model: &'m Model) -> Option<&'m PlanComparison> {
        let plans = self.check.id.starts_with("tasks-");
        let comparison = model.world.checks.comparison.as_deref();
        comparison.filter(|_| plans || self.fix == Fix::Pull)
    }

    /// The text, wrapped to `columns`.
    fn lines(&self, model: &Model, columns: usize) -> Vec<(String, Scope)> {
        let mut lines: Vec<(String, Scope)> = Vec::new();
        let mut add = |words: &str, scope: Scope| {
            let wrapped = indented(words, columns).into_iter();
            lines.extend(wrapped.map(|line| (line, scope)));
        };
        add(&self.check.message, Scope::Text);
        add("", Scope::Text);
        let glyphs = &model.glyphs;
        match &self.state {
            FixState::Planning => add("Preparing the fix ...", Scope::Muted),
            FixState::Ready(plan) => self.add_plan(plan, model, &mut add),
            FixState::Running(running) => {
                add_progress(&running.lines, glyphs.running, &mut add);
                add("", Scope::Text);
                let (words, scope) = match (running.cancelled, running.confirm_cancel) {
                    (true, _) => ("Aborting ...", Scope::Muted),
                    (false, true) => (
                        "Abort? Completed steps are not undone. Esc aborts, Enter continues.",
                        Scope::Warn,
                    ),
                    (false, false) => ("Running ...", Scope::Muted),
                };
                add(words, scope);
            }
            FixState::Done(lines) => {
                add_progress(lines, glyphs.done, &mut add);
                add("", Scope::Text);
                add(&format!("{} Done.", glyphs.done), Scope::Good);
            }
            FixState::Failed(lines, failure) => {
                add_progress(lines, glyphs.dot, &mut add);
                if !lines.is_empty() {
                    add("", Scope::Text);
                }
                add(&format!("{} {}", glyphs.failed, failure.why), Scope::Bad);
                if let Some(fix) = failure.offers {
                    add("", Scope::Text);
                    let offer = match fix {
                        Fix::Switch => {
                            "Enter: push the plan to a new branch (shows commands first)."
                        }
                        Fix::Pull => "Enter: pull the remote commits first (shows commands first).",
                        _ => "Enter: try another fix (shows commands first).",
                    };
                    add(offer, Scope::Text);
                }
            }
        }
        lines
    }

    fn add_plan(&self, plan: &FixPlan, model: &Model, add: &mut impl FnMut(&str, Scope)) {
        add("Commands:", Scope::Muted);
        for command in &plan.commands {
            add(&format!("  {command}"), Scope::Strong);
        }
        if let Some(message) = &plan.message {
            add("", Scope::Text);
            let files = match plan.files.as_slice() {
                [only] => only.rsplit('/').next().unwrap_or(only).to_owned(),
                files => text::count(files.len(), "file"),
            };
            let words = format!(
                "Commits only {files}, message \"{message}\". Other changes stay as they are."
            );
            add(&words, Scope::Muted);
        }
        if let Some(comparison) = self.comparison(model) {
            add("", Scope::Text);
            let words = format!("Your plan compared with {}:", comparison.remote_branch);
            add(&words, Scope::Muted);
            for (words, scope) in difference(comparison) {
                add(&format!("  {words}"), scope);
            }
        }
        if let Some(destination) = &plan.destination {
            add("", Scope::Text);
            if plan.commits.is_empty() {
                add("No commits to push", Scope::Muted);
            } else {
                let commits = text::count(plan.commits.len(), "commit");
                add(&format!("Pushes {commits} to {destination}:"), Scope::Muted);
            }
            for commit in plan.commits.iter().take(COMMITS) {
                let short = if commit.short.is_empty() {
                    "new"
                } else {
                    &commit.short
                };
                add(
                    &format!("  {short}  {}  ({})", commit.subject, commit.author),
                    Scope::Text,
                );
            }
            if plan.commits.len() > COMMITS {
                let more = plan.commits.len() - COMMITS;
                add(&format!("  and {more} more"), Scope::Muted);
            }
        }
    }
}

/// Wraps text, keeping the indentation of its first line. Continuation lines of commands hang by two columns.
fn indented(words: &str, columns: usize) -> Vec<String> {
    let trimmed = words.trim_start();
    let indent = words.len() - trimmed.len();
    let signed = trimmed.chars().nth(1) == Some(' ');
    let hang = if signed || trimmed.starts_with("git ") {
        indent + 2
    } else {
        indent
    };
    let lines = draw::wrap(trimmed, columns.saturating_sub(hang));
    let lines = lines.into_iter().enumerate().map(|(at, line)| {
        let indent = if at == 0 { indent } else { hang };
        format!("{}{line}", " ".repeat(indent))
    });
    lines.collect()
}
