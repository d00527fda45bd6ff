//! What the agent should know for its next attempt: the window in which it is written.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use tui_textarea::TextArea;

use super::{Overlay, text_area};
use crate::{
    command::Command,
    draw::{self, RowPen},
    effect::{Effect, Effects},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;

const ROWS: u16 = 14;
const COLUMNS: u16 = 80;

/// Words for one run, being written.
#[derive(Clone, Debug)]
pub struct Advice {
    run: String,
    /// The version of the context that the words become.
    version: i32,
    words: TextArea<'static>,
}

/// Opens it for the current run, with what was written for that run and not sent.
pub fn open(model: &mut Model) {
    let Some((_, entry)) = model.current_run() else {
        return;
    };
    let (run, version) = (
        entry.run.name().to_owned(),
        entry.run.spec.context_version + 1,
    );
    let draft = model.advice.take().filter(|draft| draft.run == run);
    let mut words = draft.map_or_else(TextArea::default, |draft| draft.words);
    words.set_cursor_line_style(Style::new());
    model.overlays.push(Overlay::Advice(Box::new(Advice {
        run,
        version,
        words,
    })));
}

impl Advice {
    /// Lets the text have a key; `false` when the key is not for it.
    pub fn area_key(&mut self, key: KeyEvent) -> bool {
        if matches!(key.code, KeyCode::Esc | KeyCode::F(_)) {
            return false;
        }
        self.words.input(key);
        true
    }

    /// Lets the text have what was pasted.
    pub fn area_paste(&mut self, pasted: &str) {
        self.words.insert_str(pasted);
    }

    /// What the keys do now, for the footer.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Launch, "start"),
            (Command::Cancel, "keep for later"),
        ]
    }

    fn text(&self) -> String {
        self.words.lines().join("\n")
    }

    /// Draws it.
    pub fn view(&self, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let run = text::sanitize(&self.run);
        let title = format!("Add context to {run}");
        let area = super::window(screen, COLUMNS, ROWS, &title, false, theme, buffer);
        let sentence = format!(
            "A new attempt begins, and the agent reads this beside its prompt as context-v{}.md.",
            self.version
        );
        let used = draw::paragraph(buffer, area, &sentence, theme.style(Scope::Muted)) + 1;
        let written = Rect {
            y: area.y + used,
            height: area.height.saturating_sub(used + 1),
            ..area
        };
        let placeholder = "what it should know, or do otherwise; Markdown";
        text_area(&self.words, theme, written, true, placeholder, buffer);
        let row = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        let (bytes, most) = (self.text().len(), flightdeck_verbs::CONTEXT_LIMIT);
        let scope = if bytes > most {
            Scope::Bad
        } else {
            Scope::Faint
        };
        RowPen::new(buffer, row).right(&format!("{bytes} of {most} bytes"), theme.style(scope));
    }
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    if command != Command::Launch {
        return;
    }
    let Some(Overlay::Advice(advice)) = model.overlays.last() else {
        return;
    };
    let text = advice.text();
    // Too little or too much is seen in the window, which stays.
    if text.trim().is_empty() || text.len() > flightdeck_verbs::CONTEXT_LIMIT {
        return;
    }
    let name = advice.run.clone();
    effects.push(Effect::AddContext(flightdeck_verbs::AddContext {
        name,
        text,
    }));
    // Kept until it is known to have been taken.
    if let Some(Overlay::Advice(advice)) = model.overlays.pop() {
        model.advice = Some(advice);
    }
}
