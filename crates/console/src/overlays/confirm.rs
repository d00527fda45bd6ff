//! A question before something that matters. What it would do is in it as effects.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effect, Effects},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

use super::Overlay;

/// A question with two answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confirm {
    pub title: String,
    /// What is about to happen, by name.
    pub facts: Vec<(String, String)>,
    pub sentence: String,
    /// What saying yes is called.
    pub yes: String,
    /// It destroys something.
    pub danger: bool,
    /// What saying yes does.
    pub effects: Vec<Effect>,
    /// Whether yes is chosen; a question that destroys something starts at no.
    pub chosen: bool,
}

/// Columns of the names.
const NAMES: usize = 10;

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let Some(Overlay::Confirm(confirm)) = model.overlays.last_mut() else {
        return;
    };
    match command {
        Command::NextField | Command::PreviousField => confirm.chosen = !confirm.chosen,
        Command::Accept if !confirm.chosen => {
            model.overlays.pop();
        }
        Command::Accept | Command::Yes => {
            effects.list.append(&mut confirm.effects);
            model.overlays.pop();
        }
        _ => {}
    }
}

impl Confirm {
    /// What the keys do now.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Accept, if self.chosen { "yes" } else { "no" }),
            (Command::NextField, "the other"),
            (Command::Cancel, "close"),
        ]
    }

    /// Draws it.
    pub fn view(&self, _model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
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
        let area = super::window(
            screen,
            width,
            height as u16,
            &self.title,
            self.danger,
            theme,
            buffer,
        );
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

/// Draws a button at the right end.
fn button(pen: &mut RowPen<'_>, theme: &Theme, label: &str, key: &str, chosen: bool) {
    let words = format!(" {} ", text::sanitize(label));
    if chosen {
        let style = theme.style(Scope::Accent);
        pen.right(
            &words,
            style.add_modifier(ratatui::style::Modifier::REVERSED | ratatui::style::Modifier::BOLD),
        );
    } else {
        pen.right(&words, theme.style(Scope::Muted));
    }
    pen.right_space(1).right(key, theme.style(Scope::Key));
}
