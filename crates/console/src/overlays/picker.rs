//! Choosing one of many by typing a part of it: the command palette, tags, themes, statuses.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::{COMMANDS, Command},
    draw::{self, RowPen},
    effect::{Effect, Effects},
    field::Field,
    filter::Filter,
    list::List,
    model::Model,
    theme::{Scope, Theme},
    update,
};
use flightdeck_core::text;

use super::Overlay;

/// What choosing a line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Command(Command),
    /// Show another tag of the plan.
    Tag(String),
    /// Give tasks a status.
    Status(Vec<flightdeck_verbs::SetStatus>),
}

/// One line to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub label: String,
    pub note: String,
    pub key: String,
    pub choice: Choice,
}

/// Lines to choose from, and what is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    pub title: String,
    pub placeholder: String,
    pub field: Field,
    items: Vec<Item>,
    list: List<usize>,
}

/// Most lines shown at once.
const ROWS: u16 = 14;

impl Picker {
    /// A picker of these lines.
    pub fn new(title: impl Into<String>, placeholder: impl Into<String>, items: Vec<Item>) -> Self {
        let mut picker = Self {
            title: title.into(),
            placeholder: placeholder.into(),
            field: Field::default(),
            items,
            list: List::default(),
        };
        picker.list.set_height(ROWS.into());
        picker.refresh();
        picker
    }

    /// The same, with that line selected.
    #[must_use]
    pub fn beginning_at(mut self, line: usize) -> Self {
        self.list.select(&line);
        self
    }

    /// Derives the lines that match anew.
    pub fn refresh(&mut self) {
        let filter = Filter {
            field: self.field.clone(),
            open: true,
        };
        let mut test = filter.test(&[]);
        let rows = self.items.iter().enumerate();
        let rows =
            rows.filter(|(_, item)| test.matches(&[("label", &item.label), ("note", &item.note)]));
        self.list.set_rows(rows.map(|(at, _)| at).collect());
        self.list.select_at(0);
    }

    /// Draws it.
    pub fn view(&self, _model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let height = 4 + ROWS.min(self.items.len() as u16);
        let area = super::window(screen, 76, height, &self.title, false, theme, buffer);
        let style = |scope| theme.style(scope);
        let mut pen = RowPen::new(buffer, area);
        pen.left("› ", style(Scope::Key));
        draw::field(&mut pen, theme, &self.field, &self.placeholder, true);
        let body = Rect {
            y: area.y + 1,
            height: area.height.saturating_sub(1),
            ..area
        };
        for (at, row) in self.list.visible().zip(body.rows()) {
            let item = &self.items[self.list.rows()[at]];
            RowPen::new(buffer, row)
                .right(&item.key, style(Scope::Key))
                .right_space(1)
                .column(&text::sanitize(&item.label), 22, style(Scope::Text))
                .space(1)
                .left(&text::sanitize(&item.note), style(Scope::Muted));
            crate::panels::emphasis(theme, buffer, row, at == self.list.cursor(), true);
        }
        if self.list.rows().is_empty() {
            RowPen::new(buffer, body).left("Nothing matches.", style(Scope::Muted));
        }
    }
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let Some(Overlay::Picker(picker)) = model.overlays.last_mut() else {
        return;
    };
    if command != Command::Accept {
        crate::panels::movement(&mut picker.list, command);
        return;
    }
    let Some(item) = picker.list.selected().map(|at| picker.items[*at].clone()) else {
        return;
    };
    model.overlays.pop();
    match item.choice {
        Choice::Command(command) => update::command(model, command, effects),
        Choice::Tag(tag) => {
            model.tag = Some(tag);
            effects.push(Effect::Inspect(model.inquiry(false)));
        }
        Choice::Status(verbs) => effects.push(Effect::SetStatus(verbs)),
    }
}

/// Every command that applies here and now.
pub fn palette(model: &Model) -> Overlay {
    let contexts = model.contexts();
    let mut items: Vec<Item> = Vec::new();
    for context in &contexts {
        for row in COMMANDS.iter().filter(|row| row.context == *context) {
            let known = items
                .iter()
                .any(|item| item.choice == Choice::Command(row.command));
            if known || row.movement() || !(row.applies)(model) {
                continue;
            }
            let key = model.keymap.key_for(&[*context], row.command);
            items.push(Item {
                label: row.name.replace('-', " "),
                note: row.doc.into(),
                key: key.unwrap_or_default(),
                choice: Choice::Command(row.command),
            });
        }
    }
    Overlay::Picker(Picker::new("Commands", "part of a command's name", items))
}
