//! A list with a text field that filters it: the command palette, tags, statuses.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    overlay::{Next, Overlay},
    window::Window,
};
use crate::{
    command::{COMMANDS, Command},
    draw::{self, RowPen},
    effect::{Effects, PlanEffect, PreflightEffect},
    field::Field,
    filter::Filter,
    list::List,
    model::Model,
    panels,
    theme::{Scope, Theme},
};
use flightdeck_core::text;
use flightdeck_verbs::SetStatus;

/// The action of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Command(Command),
    /// Show another tag of the plan.
    Tag(String),
    Status(Vec<SetStatus>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub label: String,
    pub note: String,
    /// A short word at the right, such as a key.
    pub key: String,
    pub choice: Choice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picker {
    title: String,
    placeholder: String,
    field: Field,
    items: Vec<Item>,
    list: List<usize>,
}

/// Rows of the list.
const ROWS: u16 = 14;

impl Picker {
    pub(super) fn new(
        title: impl Into<String>,
        placeholder: impl Into<String>,
        items: Vec<Item>,
    ) -> Self {
        let mut picker = Self {
            title: title.into(),
            placeholder: placeholder.into(),
            field: Field::default(),
            items,
            list: List::default(),
        };
        picker.list.set_height(ROWS.into());
        picker.filter();
        picker
    }

    /// Selects an item by its index.
    #[must_use]
    pub(super) fn selecting(mut self, item: usize) -> Self {
        self.list.select(&item);
        self
    }

    /// Lists the items that match the field.
    fn filter(&mut self) {
        let filter = Filter {
            field: self.field.clone(),
            open: true,
        };
        let mut test = filter.terms(&[]);
        let rows = self.items.iter().enumerate();
        let rows =
            rows.filter(|(_, item)| test.matches(&[("label", &item.label), ("note", &item.note)]));
        self.list.set_rows(rows.map(|(at, _)| at).collect());
        self.list.select_at(0);
    }
}

impl Overlay for Picker {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![
            (Command::Accept, "select"),
            (Command::Down, "next"),
            (Command::Cancel, "close"),
        ]
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn open_field(&mut self) -> Option<&mut Field> {
        Some(&mut self.field)
    }

    fn typed(&mut self) {
        self.filter();
    }

    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next {
        if command != Command::Accept {
            self.list.move_selection(command);
            return Next::Stay;
        }
        let Some(item) = self.list.selected().map(|at| self.items[*at].clone()) else {
            return Next::Stay;
        };
        match item.choice {
            Choice::Command(command) => return Next::CloseAndRun(command),
            Choice::Tag(tag) => {
                model.tag = Some(tag);
                effects.push(PreflightEffect::Run(model.preflight_request(false)));
            }
            Choice::Status(verbs) => effects.push(PlanEffect::SetStatus(verbs)),
        }
        Next::Close
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let window = Window {
            width: 76,
            height: 4 + ROWS.min(self.items.len() as u16),
            title: &self.title,
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
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
            panels::list_view::highlight_row(theme, buffer, row, at == self.list.cursor(), true);
        }
        if self.list.rows().is_empty() {
            RowPen::new(buffer, body).left("No matches", style(Scope::Muted));
        }
    }
}

/// Opens the palette: the commands that apply now.
pub(crate) fn open_palette(model: &mut Model) {
    let contexts = model.contexts();
    let mut items: Vec<Item> = Vec::new();
    for context in &contexts {
        for row in COMMANDS.iter().filter(|row| row.context == *context) {
            let known = items
                .iter()
                .any(|item| item.choice == Choice::Command(row.command));
            if known || row.movement() || !model.meets(row.applies) {
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
    let picker = Picker::new("Commands", "filter commands", items);
    model.overlays.push(picker);
}
