//! Draws the launch form.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

use super::{Form, PUSHED, Slot};
use crate::{
    command::Command,
    draw::{self, RowPen},
    field::Field,
    model::Model,
    panels,
    theme::{Scope, Theme},
};
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    text,
};

/// Columns of the names.
const NAMES: usize = 13;
/// Rows of the text area.
const AREA: u16 = 4;

impl Form {
    /// Draws it.
    pub fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let slots = self.slots();
        let rows: u16 = slots.iter().map(|slot| self.rows_of(slot)).sum();
        // The branch, a rule before the checks, the space above the button.
        let rules = 2 + u16::from(!self.checks.is_empty());
        let area = crate::overlays::window(
            screen,
            92,
            rows + rules + 2,
            "New run",
            false,
            theme,
            buffer,
        );
        let mut y = Self::branch(model, theme, area, buffer);
        // When not everything fits, what has the keys is kept in sight.
        let focus = slots
            .iter()
            .position(|slot| *slot == self.focus)
            .unwrap_or(0);
        let above: u16 = slots[..=focus].iter().map(|slot| self.rows_of(slot)).sum();
        let skipped = (above + rules).saturating_sub(area.height.saturating_sub(1));
        let mut skip = skipped;
        let mut checks_begun = false;
        for slot in &slots {
            let mut height = self.rows_of(slot);
            if skip >= height {
                skip -= height;
                continue;
            }
            height -= skip;
            skip = 0;
            if *slot == Slot::Launch {
                break;
            }
            if matches!(slot, Slot::Check(_)) && !checks_begun {
                checks_begun = true;
                y += 1;
            }
            if y + height > area.bottom().saturating_sub(1) {
                break;
            }
            let row = Rect::new(area.x, y, area.width, height);
            self.slot(slot, model, theme, row, buffer);
            y += height;
        }
        self.button(model, theme, area, buffer);
    }

    fn branch(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) -> u16 {
        let repository = model.world.repository.get();
        let branch = repository.and_then(|repository| repository.branch.as_deref());
        let mut pen = RowPen::new(buffer, area);
        pen.column("branch", NAMES, theme.style(Scope::InputLabel));
        match branch {
            Some(branch) => {
                pen.left(&text::sanitize(branch), theme.style(Scope::Accent))
                    .left(
                        "  is cloned, and is the base of the pull request",
                        theme.style(Scope::Muted),
                    );
            }
            None => {
                pen.left("not on a branch", theme.style(Scope::Bad));
            }
        }
        area.y + 1
    }

    fn slot(&self, slot: &Slot, model: &Model, theme: &Theme, row: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let focused = self.focus == *slot;
        if let Slot::Check(id) = slot {
            let check = self.checks.iter().find(|check| check.id == *id);
            if let Some(check) = check {
                panels::preflight::row(model, theme, check, focused, RowPen::new(buffer, row));
            }
            let line = Rect { height: 1, ..row };
            panels::emphasis(theme, buffer, line, focused, true);
            if let Some(differs) = self.differs.as_ref().filter(|_| row.height > 1) {
                let below = Rect {
                    y: row.y + 1,
                    ..line
                };
                let words = text::sanitize(differs);
                RowPen::new(buffer, below)
                    .space(3)
                    .left(&words, style(Scope::Muted));
            }
            return;
        }
        let mut pen = RowPen::new(buffer, row);
        let label = if focused {
            Scope::Accent
        } else {
            Scope::InputLabel
        };
        pen.column(name(slot), NAMES, style(label));
        let tools = match self.tools {
            ToolPreset::Minimal => "minimal",
            ToolPreset::Default => "default",
            ToolPreset::Advanced => "advanced",
        };
        let mode = match self.prompt_mode {
            PromptMode::Append => "after the usual prompt",
            PromptMode::Replace => "in place of the usual prompt",
        };
        let agent = self.agents.get(self.agent).map_or("", String::as_str);
        let overwrite = if self.overwrite {
            "yes: write documents that exist again"
        } else {
            "no: keep documents that exist"
        };
        match slot {
            Slot::Kind => choice(&mut pen, theme, self.kind.as_str(), focused),
            Slot::Tasks => choice(&mut pen, theme, &self.tasks_words(model), focused),
            Slot::Agent => choice(&mut pen, theme, agent, focused),
            Slot::Tools => choice(&mut pen, theme, tools, focused),
            Slot::PromptMode => choice(&mut pen, theme, mode, focused),
            Slot::Overwrite => choice(&mut pen, theme, overwrite, focused),
            Slot::Model => line(&mut pen, theme, &self.model, "the agent's own", focused),
            Slot::Budget => line(
                &mut pen,
                theme,
                &self.budget,
                "US dollars; no limit",
                focused,
            ),
            Slot::Service => line(
                &mut pen,
                theme,
                &self.service,
                "the repository's name",
                focused,
            ),
            Slot::User => line(
                &mut pen,
                theme,
                &self.user,
                "whose Git credentials a cluster uses",
                focused,
            ),
            Slot::Override => line(
                &mut pen,
                theme,
                &self.overrides,
                "names of checks to pass all the same",
                focused,
            ),
            Slot::Reason => line(
                &mut pen,
                theme,
                &self.reason,
                "why; it is recorded on the run",
                focused,
            ),
            Slot::Prompt => self.prompt(theme, row, focused, buffer),
            Slot::Check(_) | Slot::Launch => {}
        }
    }

    fn prompt(&self, theme: &Theme, row: Rect, focused: bool, buffer: &mut Buffer) {
        const PLACEHOLDER: &str = "more instructions for the agent";
        let area = Rect {
            x: row.x + NAMES as u16,
            width: row.width.saturating_sub(NAMES as u16),
            ..row
        };
        super::super::text_area(&self.prompt, theme, area, focused, PLACEHOLDER, buffer);
    }

    fn button(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let row = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        draw::blank(buffer, row, style(Scope::Text));
        let focused = self.focus == Slot::Launch;
        let refused = self.refusing().is_some();
        let mut pen = RowPen::new(buffer, row);
        let scope = match (refused, focused) {
            (true, _) => Scope::Bad,
            (false, true) => Scope::Accent,
            (false, false) => Scope::Strong,
        };
        let button = if focused {
            style(scope).add_modifier(Modifier::REVERSED | Modifier::BOLD)
        } else {
            style(scope)
        };
        pen.right(" Launch ", button).right_space(1);
        if refused {
            pen.right("pre-flight refuses ", style(Scope::Bad));
        } else if model.world.checks.running {
            pen.right("checking ", style(Scope::Muted));
        }
    }

    /// Rows a line takes: the text area grows when it has the keys or something in it.
    fn rows_of(&self, slot: &Slot) -> u16 {
        match slot {
            Slot::Prompt if self.focus == Slot::Prompt => AREA,
            Slot::Check(PUSHED) => 1 + u16::from(self.differs.is_some()),
            Slot::Prompt => (self.prompt.lines().len() as u16).min(AREA),
            _ => 1,
        }
    }

    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        let here = match self.focus {
            Slot::Launch => Some((Command::Accept, "launch")),
            Slot::Check(_) => Some((Command::Accept, "fix or explain")),
            Slot::Kind
            | Slot::Tasks
            | Slot::Agent
            | Slot::Tools
            | Slot::Overwrite
            | Slot::PromptMode => Some((Command::Right, "change")),
            _ => None,
        };
        let always = [
            (Command::NextField, "next"),
            (Command::PreviousField, "previous"),
        ];
        let launch = (self.focus != Slot::Launch).then_some((Command::Launch, "launch"));
        let launch = launch.into_iter().chain([(Command::Cancel, "close")]);
        here.into_iter().chain(always).chain(launch).collect()
    }
}

const fn name(slot: &Slot) -> &'static str {
    match slot {
        Slot::Kind => "kind",
        Slot::Tasks => "tasks",
        Slot::Agent => "agent",
        Slot::Model => "model",
        Slot::Budget => "budget",
        Slot::Service => "service",
        Slot::User => "GitHub user",
        Slot::Tools => "tools",
        Slot::Overwrite => "overwrite",
        Slot::PromptMode => "used",
        Slot::Prompt => "prompt",
        Slot::Override => "override",
        Slot::Reason => "reason",
        Slot::Check(_) | Slot::Launch => "",
    }
}

fn choice(pen: &mut RowPen<'_>, theme: &Theme, value: &str, focused: bool) {
    if focused {
        let value = text::sanitize(value);
        let value = text::cut_end(&value, pen.room().saturating_sub(4));
        pen.left("‹ ", theme.style(Scope::Key))
            .left(&value, theme.style(Scope::Strong))
            .left(" ›", theme.style(Scope::Key));
    } else {
        pen.left(&text::sanitize(value), theme.style(Scope::Input));
    }
}

fn line(pen: &mut RowPen<'_>, theme: &Theme, field: &Field, placeholder: &str, focused: bool) {
    draw::field(pen, theme, field, placeholder, focused);
}
