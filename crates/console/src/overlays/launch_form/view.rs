//! Draws the launch form.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

use super::{FormLine, LaunchForm, TASKS_PUSHED};
use crate::{
    draw::{self, RowPen},
    field::Field,
    model::Model,
    overlays::{
        Overlay,
        window::{Window, text_area},
    },
    panels,
    theme::{Scope, Theme},
};
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    text,
};

/// Columns of the labels.
const NAMES: usize = 13;
/// Rows of the text area.
const AREA: u16 = 4;

impl LaunchForm {
    pub(super) fn draw(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let lines = self.lines();
        let rows: u16 = lines.iter().map(|line| self.rows_of(line)).sum();
        // The branch, a gap above the checks, a gap above the button.
        let rules = 2 + u16::from(!self.checks.is_empty());
        let window = Window {
            width: 92,
            height: rows + rules + 2,
            title: &self.title(),
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let mut y = Self::branch(model, theme, area, buffer);
        // Scroll so that the line in focus is visible.
        let focus = lines
            .iter()
            .position(|line| *line == self.focus)
            .unwrap_or(0);
        let above: u16 = lines[..=focus].iter().map(|line| self.rows_of(line)).sum();
        let skipped = (above + rules).saturating_sub(area.height.saturating_sub(1));
        let mut skip = skipped;
        let mut checks_begun = false;
        for line in &lines {
            let mut height = self.rows_of(line);
            if skip >= height {
                skip -= height;
                continue;
            }
            height -= skip;
            skip = 0;
            if *line == FormLine::Launch {
                break;
            }
            if matches!(line, FormLine::Check(_)) && !checks_begun {
                checks_begun = true;
                y += 1;
            }
            if y + height > area.bottom().saturating_sub(1) {
                break;
            }
            let row = Rect::new(area.x, y, area.width, height);
            self.draw_line(line, model, theme, row, buffer);
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
                    .left("  (cloned; also the PR base)", theme.style(Scope::Muted));
            }
            None => {
                pen.left("detached HEAD", theme.style(Scope::Bad));
            }
        }
        area.y + 1
    }

    fn draw_line(
        &self,
        line: &FormLine,
        model: &Model,
        theme: &Theme,
        row: Rect,
        buffer: &mut Buffer,
    ) {
        let style = |scope| theme.style(scope);
        let focused = self.focus == *line;
        if let FormLine::Check(id) = line {
            let check = self.checks.iter().find(|check| check.id == *id);
            if let Some(check) = check {
                panels::preflight::row(model, theme, check, focused, RowPen::new(buffer, row));
            }
            let first = Rect { height: 1, ..row };
            panels::list_view::highlight_row(theme, buffer, first, focused, true);
            if let Some(differences) = self.differences.as_ref().filter(|_| row.height > 1) {
                let below = Rect {
                    y: row.y + 1,
                    ..first
                };
                let words = text::sanitize(differences);
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
        pen.column(label_of(line), NAMES, style(label));
        let tools = match self.tools {
            ToolPreset::Minimal => "minimal",
            ToolPreset::Default => "default",
            ToolPreset::Advanced => "advanced",
        };
        let mode = match self.prompt_mode {
            PromptMode::Append => "append to default prompt",
            PromptMode::Replace => "replace default prompt",
        };
        let agent = self.agents.get(self.agent).map_or("", String::as_str);
        let overwrite = if self.overwrite {
            "yes, rewrite existing docs"
        } else {
            "no, skip existing docs"
        };
        match line {
            FormLine::Kind => choice(&mut pen, theme, self.kind.as_str(), focused),
            FormLine::Tasks => choice(&mut pen, theme, &self.tasks_words(model), focused),
            FormLine::Agent => choice(&mut pen, theme, agent, focused),
            FormLine::Tools => choice(&mut pen, theme, tools, focused),
            FormLine::PromptMode => choice(&mut pen, theme, mode, focused),
            FormLine::Overwrite => choice(&mut pen, theme, overwrite, focused),
            FormLine::Model => {
                text_field(&mut pen, theme, &self.model, "the agent's default", focused);
            }
            FormLine::Budget => text_field(
                &mut pen,
                theme,
                &self.budget,
                "USD, empty = no limit",
                focused,
            ),
            FormLine::Service => {
                text_field(&mut pen, theme, &self.service, "repository name", focused);
            }
            FormLine::DocsRepository => text_field(
                &mut pen,
                theme,
                &self.docs_repository,
                "URL, empty = this repository",
                focused,
            ),
            FormLine::DocsBranch => text_field(
                &mut pen,
                theme,
                &self.docs_branch,
                "default branch",
                focused,
            ),
            FormLine::DocsDirectory => text_field(
                &mut pen,
                theme,
                &self.docs_directory,
                "repository root",
                focused,
            ),
            FormLine::User => text_field(
                &mut pen,
                theme,
                &self.user,
                "GitHub account (cluster only)",
                focused,
            ),
            FormLine::Override => text_field(
                &mut pen,
                theme,
                &self.overrides,
                "checks to skip, comma-separated",
                focused,
            ),
            FormLine::Reason => text_field(
                &mut pen,
                theme,
                &self.reason,
                "why; recorded on the run",
                focused,
            ),
            FormLine::Prompt => self.prompt(theme, row, focused, buffer),
            FormLine::Check(_) | FormLine::Launch => {}
        }
    }

    fn prompt(&self, theme: &Theme, row: Rect, focused: bool, buffer: &mut Buffer) {
        const PLACEHOLDER: &str = "additional instructions for the agent";
        let area = Rect {
            x: row.x + NAMES as u16,
            width: row.width.saturating_sub(NAMES as u16),
            ..row
        };
        text_area(&self.prompt, theme, area, focused, PLACEHOLDER, buffer);
    }

    fn button(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let style = |scope| theme.style(scope);
        let row = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        draw::blank(buffer, row, style(Scope::Text));
        let focused = self.focus == FormLine::Launch;
        let blocked = self.blocking().is_some();
        let mut pen = RowPen::new(buffer, row);
        let scope = match (blocked, focused) {
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
        if blocked {
            pen.right("blocked by pre-flight ", style(Scope::Bad));
        } else if model.world.checks.running {
            pen.right("checking ", style(Scope::Muted));
        }
    }

    /// Rows of a line. The text area is larger in focus, or with text in it.
    fn rows_of(&self, line: &FormLine) -> u16 {
        match line {
            FormLine::Prompt if self.focus == FormLine::Prompt => AREA,
            FormLine::Check(TASKS_PUSHED) => 1 + u16::from(self.differences.is_some()),
            FormLine::Prompt => (self.prompt.lines().len() as u16).min(AREA),
            _ => 1,
        }
    }
}

const fn label_of(line: &FormLine) -> &'static str {
    match line {
        FormLine::Kind => "kind",
        FormLine::Tasks => "tasks",
        FormLine::Agent => "agent",
        FormLine::Model => "model",
        FormLine::Budget => "budget",
        FormLine::Service => "service",
        FormLine::DocsRepository => "docs repo",
        FormLine::DocsBranch => "docs branch",
        FormLine::DocsDirectory => "docs dir",
        FormLine::User => "GitHub user",
        FormLine::Tools => "tools",
        FormLine::Overwrite => "overwrite",
        FormLine::PromptMode => "mode",
        FormLine::Prompt => "prompt",
        FormLine::Override => "override",
        FormLine::Reason => "reason",
        FormLine::Check(_) | FormLine::Launch => "",
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

fn text_field(
    pen: &mut RowPen<'_>,
    theme: &Theme,
    field: &Field,
    placeholder: &str,
    focused: bool,
) {
    draw::field(pen, theme, field, placeholder, focused);
}
