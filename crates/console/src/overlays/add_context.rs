//! Editor for context that the agent reads in the next attempt of a run.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use tui_textarea::TextArea;

use super::{
    overlay::{Next, Overlay},
    window::{Window, text_area},
};
use crate::{
    command::{Command, Context},
    draw::{self, RowPen},
    effect::{Effects, RunEffect},
    model::Model,
    theme::{Scope, Theme},
};
use flightdeck_core::text;
use flightdeck_verbs::{AddContext, AttemptStart, CONTEXT_LIMIT};

const ROWS: u16 = 14;
const COLUMNS: u16 = 80;

/// The context being written for one run.
#[derive(Clone, Debug)]
pub(crate) struct ContextEditor {
    run: String,
    /// The context version that the text becomes.
    version: i32,
    /// What the attempt starts from.
    start: AttemptStart,
    /// Whether an attempt is active.
    active: bool,
    input: TextArea<'static>,
}

/// Opens the editor for the current run, with the unsent draft for that run.
pub(crate) fn open(model: &mut Model) {
    let Some((_, entry)) = model.current_run() else {
        return;
    };
    let (run, version) = (
        entry.run.name().to_owned(),
        entry.run.spec.context_version + 1,
    );
    let start = AttemptStart::of(&entry.run, false);
    let active = !entry.run.ended();
    let draft = model.drafts.take::<ContextEditor>();
    let draft = draft.filter(|draft| draft.run == run);
    let mut input = draft.map_or_else(TextArea::default, |draft| draft.input);
    input.set_cursor_line_style(Style::new());
    model.overlays.push(ContextEditor {
        run,
        version,
        start,
        active,
        input,
    });
}

impl ContextEditor {
    fn text(&self) -> String {
        self.input.lines().join("\n")
    }
}

impl Overlay for ContextEditor {
    fn title(&self) -> String {
        format!("Add context to {}", text::sanitize(&self.run))
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Form, Context::Overlay]
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Launch, "start"),
            (Command::Cancel, "keep for later"),
        ]
    }

    // Also after submitting, until the verb reports success.
    fn keeps_draft(&self) -> bool {
        true
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn text_area_key(&mut self, key: KeyEvent) -> bool {
        if matches!(key.code, KeyCode::Esc | KeyCode::F(_)) {
            return false;
        }
        self.input.input(key);
        true
    }

    fn text_area_paste(&mut self, pasted: &str) {
        self.input.insert_str(pasted);
    }

    fn command(&mut self, _: &mut Model, command: Command, effects: &mut Effects) -> Next {
        let text = self.text();
        // The editor shows the size, so that a text that is too long needs no message.
        let valid = !text.trim().is_empty() && text.len() <= CONTEXT_LIMIT;
        if command != Command::Launch || !valid {
            return Next::Stay;
        }
        let name = self.run.clone();
        effects.push(RunEffect::AddContext(AddContext::new(name, text)));
        Next::Close
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let window = Window {
            width: COLUMNS,
            height: ROWS,
            title: &self.title(),
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let sentence = format!(
            "Saved as context-v{}.md for a new attempt, which {}.{}",
            self.version,
            self.start.describe(),
            if self.active {
                " It starts when the current attempt has ended."
            } else {
                ""
            }
        );
        let used = draw::paragraph(buffer, area, &sentence, theme.style(Scope::Muted)) + 1;
        let input = Rect {
            y: area.y + used,
            height: area.height.saturating_sub(used + 1),
            ..area
        };
        let placeholder = "What should it know or do differently? (Markdown)";
        text_area(&self.input, theme, input, true, placeholder, buffer);
        let row = Rect::new(area.x, area.bottom().saturating_sub(1), area.width, 1);
        let bytes = self.text().len();
        let scope = if bytes > CONTEXT_LIMIT {
            Scope::Bad
        } else {
            Scope::Faint
        };
        RowPen::new(buffer, row).right(
            &format!("{bytes} of {CONTEXT_LIMIT} bytes"),
            theme.style(scope),
        );
    }
}
