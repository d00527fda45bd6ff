//! The fix sheet: the exact commands and every commit that would leave the machine, a yes, and then how it went.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Overlay, Reader, explanation};
use crate::{
    console::{
        command::Command,
        draw::{self, RowPen},
        effect::{Effect, Effects, Inquiry},
        model::Model,
        panels::detail::difference,
        theme::{Scope, Theme},
        world::{Check, Compared},
    },
    preflight::{Fix, fix::FixSheet},
    text,
};

/// A fix being looked at, done, or through.
#[derive(Clone, Debug)]
pub struct Sheet {
    check: Check,
    fix: Fix,
    inquiry: Inquiry,
    pub state: State,
    /// Lines above the window.
    scroll: usize,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Planning,
    Ready(Box<FixSheet>),
    /// Commands that have begun.
    Running(Vec<String>),
    Done(Vec<String>),
    Failed(Vec<String>, String),
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 92;
/// Commits shown before the rest is counted.
const COMMITS: usize = 8;

/// Columns of a line on a screen of that width.
const fn columns(screen: u16) -> usize {
    let window = if screen < WIDTH + 4 { screen } else { WIDTH };
    window.saturating_sub(4) as usize
}

/// Opens the sheet of a check, or its explanation when nothing here can mend it.
pub fn open(model: &mut Model, id: &str, effects: &mut Effects) {
    let Some(check) = model.world.checks.get(id).cloned() else {
        return;
    };
    let Some(fix) = check.fix else {
        model.overlays.push(explanation(&check));
        return;
    };
    let form = model
        .overlays
        .iter()
        .rev()
        .find_map(|overlay| match overlay {
            Overlay::Form(form) => Some(form.inquiry(model, true)),
            _ => None,
        });
    let inquiry = form.unwrap_or_else(|| model.inquiry(true));
    effects.push(Effect::PlanFix(inquiry.clone(), fix));
    model.overlays.push(Overlay::Sheet(Sheet {
        check,
        fix,
        inquiry,
        state: State::Planning,
        scroll: 0,
    }));
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let (size, lines) = match model.overlays.last() {
        Some(Overlay::Sheet(sheet)) => (model.size, sheet.lines(model, columns(model.size.width))),
        _ => return,
    };
    let Some(Overlay::Sheet(sheet)) = model.overlays.last_mut() else {
        return;
    };
    if command != Command::Accept {
        let shown = usize::from(size.height.saturating_sub(4));
        let last = lines.len().saturating_sub(shown);
        sheet.scroll = match command {
            Command::Up => sheet.scroll.saturating_sub(1),
            Command::Down => sheet.scroll + 1,
            Command::PageUp => sheet.scroll.saturating_sub(shown),
            Command::PageDown => sheet.scroll + shown,
            Command::Top => 0,
            Command::Bottom => last,
            _ => sheet.scroll,
        }
        .min(last);
        return;
    }
    match &sheet.state {
        State::Ready(_) => {
            effects.push(Effect::ApplyFix(sheet.inquiry.clone(), sheet.fix));
            sheet.state = State::Running(Vec::new());
        }
        State::Done(_) | State::Failed(..) => {
            model.overlays.pop();
        }
        State::Planning | State::Running(_) => {}
    }
}

impl Sheet {
    /// What a look at the repository again is for.
    pub const fn inquiry(&self) -> &Inquiry {
        &self.inquiry
    }

    /// Draws it.
    pub fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let lines = self.lines(model, columns(screen.width));
        let height = lines.len() as u16 + 2;
        let area = super::window(
            screen,
            WIDTH,
            height,
            self.check.title,
            false,
            theme,
            buffer,
        );
        let end = lines.len().saturating_sub(area.height.into());
        let first = self.scroll.min(end);
        for ((words, scope), row) in lines.iter().skip(first).zip(area.rows()) {
            RowPen::new(buffer, row).left(words, theme.style(*scope));
        }
        if first < end {
            let more = format!(" {} more ", end - first);
            let row = Rect::new(area.x, area.bottom(), area.width, 1);
            RowPen::new(buffer, row).right(&more, theme.style(Scope::Muted));
        }
    }

    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        match &self.state {
            State::Planning => vec![(Command::Cancel, "close")],
            State::Ready(_) => vec![(Command::Accept, "do it"), (Command::Cancel, "leave it")],
            State::Running(_) => vec![(Command::Cancel, "close; it goes on")],
            State::Done(_) | State::Failed(..) => vec![(Command::Accept, "close")],
        }
    }

    /// How the plan differs from the remote's, where that is what the fix is about.
    fn compared<'m>(&self, model: &'m Model) -> Option<&'m Compared> {
        let plans = self.check.id.starts_with("tasks-");
        let compared = model.world.checks.comparison.as_deref();
        compared.filter(|_| plans || self.fix == Fix::Pull)
    }

    fn lines(&self, model: &Model, columns: usize) -> Vec<(String, Scope)> {
        let mut lines: Vec<(String, Scope)> = Vec::new();
        let mut say = |words: &str, scope: Scope| {
            lines.extend(
                draw::wrap(words, columns)
                    .into_iter()
                    .map(|line| (line, scope)),
            );
        };
        say(&self.check.message, Scope::Text);
        say("", Scope::Text);
        let glyphs = &model.glyphs;
        match &self.state {
            State::Planning => say("Looking at what would be done ...", Scope::Muted),
            State::Ready(sheet) => {
                say("This will be run:", Scope::Muted);
                for command in &sheet.commands {
                    say(&format!("  {command}"), Scope::Strong);
                }
                if let Some(message) = &sheet.message {
                    say("", Scope::Text);
                    let files = text::count(sheet.files.len(), "file");
                    say(
                        &format!(
                            "The commit of {files} says \"{message}\". Nothing else that is staged or changed is in it."
                        ),
                        Scope::Muted,
                    );
                }
                if let Some(compared) = self.compared(model) {
                    say("", Scope::Text);
                    say(
                        &format!("Your plan against {}:", compared.place),
                        Scope::Muted,
                    );
                    for (words, scope) in difference(compared) {
                        say(&format!("  {words}"), scope);
                    }
                }
                if let Some(destination) = &sheet.destination {
                    say("", Scope::Text);
                    let commits = text::count(sheet.commits.len(), "commit");
                    say(
                        &format!("{commits} will leave this machine for {destination}:"),
                        Scope::Muted,
                    );
                    for commit in sheet.commits.iter().take(COMMITS) {
                        let short = if commit.short.is_empty() {
                            "new"
                        } else {
                            &commit.short
                        };
                        say(
                            &format!("  {short}  {}  ({})", commit.subject, commit.author),
                            Scope::Text,
                        );
                    }
                    if sheet.commits.len() > COMMITS {
                        say(
                            &format!("  and {} more", sheet.commits.len() - COMMITS),
                            Scope::Muted,
                        );
                    }
                }
            }
            State::Running(commands) => {
                for command in commands {
                    say(&format!("{} {command}", glyphs.running), Scope::Text);
                }
                say("Working ...", Scope::Muted);
            }
            State::Done(commands) => {
                for command in commands {
                    say(&format!("{} {command}", glyphs.done), Scope::Good);
                }
                say("Done.", Scope::Text);
            }
            State::Failed(commands, why) => {
                for command in commands {
                    say(&format!("{} {command}", glyphs.dot), Scope::Muted);
                }
                say(&format!("{} {why}", glyphs.failed), Scope::Bad);
            }
        }
        lines
    }
}

impl Reader {
    /// Sentences to read, broken into lines.
    pub fn of(title: impl Into<String>, sentences: &[(&str, Scope)]) -> Self {
        let mut lines = Vec::new();
        for (sentence, scope) in sentences {
            for line in draw::wrap(sentence, 76) {
                lines.push(super::Line(vec![(line, *scope, None)]));
            }
        }
        Self {
            title: title.into(),
            lines,
            scroll: 0,
        }
    }
}
