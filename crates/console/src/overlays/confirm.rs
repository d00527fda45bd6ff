//! Confirmation before an action. The dialog holds the effects of the action.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

use super::{
    overlay::{Next, Overlay},
    window::Window,
};
use crate::{
    command::{Command, Context},
    draw::{self, RowPen},
    effect::{Effect, Effects, TerminalEffect},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

/// A yes-or-no question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirm {
    pub title: String,
    /// Details of the action: names and values.
    pub facts: Vec<(String, String)>,
    pub sentence: String,
    /// Label of the yes button.
    pub yes: String,
    /// The action is destructive.
    pub danger: bool,
    /// The action.
    pub effects: Vec<Effect>,
    /// Whether the yes button is selected. Destructive actions start at no.
    pub chosen: bool,
}

/// Columns of the names of facts.
const NAMES: usize = 10;

/// Asks whether to quit.
pub(crate) fn quit() -> Confirm {
    Confirm {
        title: "Quit".into(),
        sentence: "Quit Flightdeck? Runs continue. Ctrl-C again quits immediately.".into(),
        yes: "Quit".into(),
        effects: vec![TerminalEffect::Quit.into()],
        chosen: true,
        ..Confirm::default()
    }
}

impl Overlay for Confirm {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Confirm, Context::Overlay]
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Accept, "confirm"),
            (Command::NextField, "switch"),
            (Command::Cancel, "close"),
        ]
    }

    fn command(&mut self, _: &mut Model, command: Command, effects: &mut Effects) -> Next {
        match command {
            Command::NextField | Command::PreviousField => {
                self.chosen = !self.chosen;
                Next::Stay
            }
            Command::Accept if !self.chosen => Next::Close,
            Command::Accept | Command::Yes => {
                effects.list.append(&mut self.effects);
                Next::Close
            }
            _ => Next::Stay,
        }
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let width = 72.min(screen.width.saturating_sub(4));
        let inside = usize::from(width.saturating_sub(4));
        let facts: Vec<(&str, Vec<String>)> = self
            .facts
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    draw::wrap(value, inside.saturating_sub(NAMES + 1)),
                )
            })
            .collect();
        let sentence = draw::wrap(&self.sentence, inside);
        let fact_rows: usize = facts.iter().map(|(_, lines)| lines.len()).sum();
        let gap = usize::from(!facts.is_empty() && !self.sentence.is_empty());
        let sentence_rows = if self.sentence.is_empty() {
            0
        } else {
            sentence.len()
        };
        let height = 2 + fact_rows + gap + sentence_rows + 2;
        let window = Window {
            width,
            height: height as u16,
            title: &self.title,
            danger: self.danger,
        };
        let area = window.draw(theme, screen, buffer);
        let mut rows = area.rows();
        for (name, lines) in facts {
            for (position, line) in lines.iter().enumerate() {
                let Some(row) = rows.next() else { return };
                let name = if position == 0 { name } else { "" };
                RowPen::new(buffer, row)
                    .column(name, NAMES, theme.style(Scope::InputLabel))
                    .space(1)
                    .left(line, theme.style(Scope::Text));
            }
        }
        if gap == 1 {
            rows.next();
        }
        for line in sentence.iter().take(sentence_rows) {
            let Some(row) = rows.next() else { return };
            RowPen::new(buffer, row).left(line, theme.style(Scope::Text));
        }
        let row = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        let mut pen = RowPen::new(buffer, row);
        button(&mut pen, theme, "No", "n", !self.chosen);
        pen.right_space(2);
        button(&mut pen, theme, &self.yes, "y", self.chosen);
    }
}

/// Draws a button, right-aligned.
fn button(pen: &mut RowPen<'_>, theme: &Theme, label: &str, key: &str, chosen: bool) {
    let words = format!(" {} ", text::sanitize(label));
    if chosen {
        let style = theme.style(Scope::Accent);
        pen.right(
            &words,
            style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        );
    } else {
        pen.right(&words, theme.style(Scope::Muted));
    }
    pen.right_space(1).right(key, theme.style(Scope::Key));
}
