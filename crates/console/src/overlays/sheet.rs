//! The fix sheet: the exact commands and every commit that would leave the machine, a yes, and then how it went.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Overlay, Reader, explanation};
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effect, Effects, FixFailure, Inquiry},
    model::Model,
    panels::{detail::difference, preflight::fix_words},
    theme::{Scope, Theme},
    world::{Check, Compared},
};
use flightdeck_core::text;
use flightdeck_preflight::{
    Fix,
    fix::{FixSheet, Progress},
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
    Running(Running),
    Done(Vec<Heard>),
    Failed(Vec<Heard>, FixFailure),
}

/// A fix under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    pub heard: Vec<Heard>,
    /// Esc was pressed once.
    asked: bool,
    /// The end was asked for.
    cancelled: bool,
}

/// A line of a fix under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A command that began.
    Command(String),
    /// What it printed; the next line takes the place of one that is `overwritten`.
    Said { text: String, overwritten: bool },
}

impl Running {
    /// Takes a line in.
    pub fn hear(&mut self, progress: Progress) {
        if let Some(Heard::Said {
            overwritten: true, ..
        }) = self.heard.last()
        {
            self.heard.pop();
        }
        self.heard.push(match progress {
            Progress::Begins(command) => Heard::Command(command),
            Progress::Said(line) => Heard::Said {
                text: line.text,
                overwritten: line.overwritten,
            },
        });
        // A remote can print without end, and only the last lines are shown.
        let excess = self.heard.len().saturating_sub(HEARD);
        self.heard.drain(..excess);
    }
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 92;
/// Lines of a fix under way that are shown.
const HEARD: usize = 14;
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
        let explained = explanation(&check, model.world.checks.compared(id));
        model.overlays.push(explained);
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
        sheet.scroll = super::scrolled(sheet.scroll, command, shown, last);
        return;
    }
    match &sheet.state {
        State::Ready(plan) => {
            effects.push(Effect::ApplyFix(plan.clone()));
            sheet.state = State::Running(Running::default());
            sheet.scroll = 0;
        }
        State::Failed(
            _,
            FixFailure {
                offers: Some(fix), ..
            },
        ) => {
            sheet.fix = *fix;
            effects.push(Effect::PlanFix(sheet.inquiry.clone(), *fix));
            sheet.state = State::Planning;
        }
        State::Done(_) | State::Failed(..) => {
            model.overlays.pop();
        }
        State::Running(_) => {
            if let State::Running(running) = &mut sheet.state {
                running.asked = false;
            }
        }
        State::Planning => {}
    }
}

/// Whether Esc does not close what is on top: a fix under way is ended by it, after a question.
pub(super) fn keeps_open(model: &mut Model, effects: &mut Effects) -> bool {
    let Some(Overlay::Sheet(sheet)) = model.overlays.last_mut() else {
        return false;
    };
    let State::Running(running) = &mut sheet.state else {
        return false;
    };
    if running.asked && !running.cancelled {
        effects.push(Effect::CancelFix);
        running.cancelled = true;
    }
    running.asked = !running.cancelled;
    true
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
            State::Running(running) if running.cancelled => Vec::new(),
            State::Running(running) if running.asked => vec![
                (Command::Cancel, "end it"),
                (Command::Accept, "let it go on"),
            ],
            State::Running(_) => vec![(Command::Cancel, "end it")],
            State::Failed(_, failure) => match failure.offers {
                Some(fix) => vec![
                    (Command::Accept, fix_words(fix)),
                    (Command::Cancel, "close"),
                ],
                None => vec![(Command::Accept, "close")],
            },
            State::Done(_) => vec![(Command::Accept, "close")],
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
            let lines_of_it = indented(words, columns).into_iter();
            lines.extend(lines_of_it.map(|line| (line, scope)));
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
            State::Running(running) => {
                heard(&running.heard, glyphs.running, &mut say);
                let words = match (running.cancelled, running.asked) {
                    (true, _) => "Ending it ...",
                    (false, true) => {
                        "End it? What is done by then stays done. Esc ends it, Enter lets it go on."
                    }
                    (false, false) => "Working ...",
                };
                say("", Scope::Text);
                say(
                    words,
                    if running.asked {
                        Scope::Warn
                    } else {
                        Scope::Muted
                    },
                );
            }
            State::Done(lines) => {
                heard(lines, glyphs.done, &mut say);
                say("", Scope::Text);
                say(&format!("{} Done.", glyphs.done), Scope::Good);
            }
            State::Failed(lines, failure) => {
                heard(lines, glyphs.dot, &mut say);
                if !lines.is_empty() {
                    say("", Scope::Text);
                }
                say(&format!("{} {}", glyphs.failed, failure.why), Scope::Bad);
                if let Some(fix) = failure.offers {
                    say("", Scope::Text);
                    let offer = match fix {
                        Fix::Switch => {
                            "Enter: a branch of its own for the plan, which may be pushed; its commands are shown first."
                        }
                        Fix::Pull => {
                            "Enter: bring the commits there here first; the commands are shown first."
                        }
                        _ => "Enter: see what may help instead; the commands are shown first.",
                    };
                    say(offer, Scope::Text);
                }
            }
        }
        lines
    }
}

/// Words broken into lines that keep the indentation of the first; what follows a command's line stands further in.
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

/// The last lines of a fix: commands with a sign, what they printed below them.
fn heard(lines: &[Heard], sign: &str, say: &mut impl FnMut(&str, Scope)) {
    for line in &lines[lines.len().saturating_sub(HEARD)..] {
        match line {
            Heard::Command(command) => say(&format!("{sign} {command}"), Scope::Text),
            Heard::Said { text, .. } => say(&format!("  {text}"), Scope::Muted),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_host::repository::git::Line;

    #[test]
    fn only_the_last_lines_of_a_fix_are_kept() {
        let mut running = Running::default();
        for number in 0..1_000 {
            running.hear(Progress::Said(Line {
                text: number.to_string(),
                overwritten: false,
            }));
        }
        assert_eq!(running.heard.len(), HEARD);
        let last = Heard::Said {
            text: "999".into(),
            overwritten: false,
        };
        assert_eq!(running.heard.last(), Some(&last));
    }
}
