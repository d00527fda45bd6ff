//! What lies over the panels: a stack, the topmost one has the keys, Esc closes it.

mod advice;
mod choices;
mod cleanup;
mod confirm;
mod form;
mod home;
mod listing;
mod picker;
mod reader;
mod sheet;
mod sources;

use crossterm::event::KeyEvent;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Modifier,
    widgets::{Clear, Widget},
};
use tui_textarea::{TextArea, WrapMode};

pub use advice::{Advice, open as advice};
pub use choices::{statuses, tags};
pub use cleanup::{Cleanup, State as CleanupState, open as cleanup};
pub use confirm::Confirm;
pub use form::{Form, open as form};
pub use home::{Home, State as HomeState, open as home};
pub use listing::{Listing, Of, open as listing};
pub use picker::{Choice, Item, Picker, palette};
pub use reader::{Line, Reader, explanation, help};
pub use sheet::{Heard, Running, Sheet, State as SheetState, open as sheet};
pub use sources::{Sources, open as sources};

use super::{
    command::{Command, Context},
    draw::{self, RowPen},
    effect::{Effect, Effects},
    field::Field,
    layout::PanelArea,
    model::Model,
    theme::{Scope, Theme},
};

/// Where a text scrolled to line `at` goes by a movement; `page` lines a page, `last` at the most.
fn scrolled(at: usize, movement: Command, page: usize, last: usize) -> usize {
    match movement {
        Command::Up => at.saturating_sub(1),
        Command::Down => at + 1,
        Command::PageUp => at.saturating_sub(page),
        Command::PageDown => at + page,
        Command::Top => 0,
        Command::Bottom => last,
        _ => at,
    }
    .min(last)
}

/// One layer.
#[derive(Clone, Debug)]
pub enum Overlay {
    Advice(Box<Advice>),
    Cleanup(Cleanup),
    Confirm(Confirm),
    Form(Box<Form>),
    Home(Home),
    Listing(Listing),
    Sheet(Sheet),
    Picker(Picker),
    Reader(Reader),
    Sources(Sources),
}

impl Overlay {
    /// Asks whether to leave.
    pub fn quit() -> Self {
        Self::Confirm(Confirm {
            title: "Quit".into(),
            sentence: "Quit Flightdeck? Runs go on without it. Ctrl-C again quits at once.".into(),
            yes: "Quit".into(),
            effects: vec![Effect::Quit],
            chosen: true,
            ..Confirm::default()
        })
    }

    /// Where a key means something while it is on top, innermost first.
    pub fn contexts(&self) -> Vec<Context> {
        match self {
            Self::Confirm(_) => vec![Context::Confirm, Context::Overlay],
            Self::Cleanup(_) => vec![Context::Cleanup, Context::Overlay],
            Self::Form(_) | Self::Advice(_) => vec![Context::Form, Context::Overlay],
            Self::Sources(_) => vec![Context::Sources, Context::Overlay],
            Self::Home(_)
            | Self::Listing(_)
            | Self::Sheet(_)
            | Self::Picker(_)
            | Self::Reader(_) => vec![Context::Overlay],
        }
    }

    /// The field being typed into.
    pub const fn open_field(&mut self) -> Option<&mut Field> {
        match self {
            Self::Picker(picker) => Some(&mut picker.field),
            Self::Form(form) => form.open_field(),
            _ => None,
        }
    }

    /// Whether letters are text.
    pub const fn takes_text(&self) -> bool {
        match self {
            Self::Picker(_) | Self::Advice(_) => true,
            Self::Form(form) => form.takes_text(),
            _ => false,
        }
    }

    /// What the keys do now, for the footer.
    pub fn hints(&self) -> Vec<(Command, &'static str)> {
        match self {
            Self::Advice(advice) => advice.hints(),
            Self::Cleanup(cleanup) => cleanup.hints(),
            Self::Confirm(confirm) => confirm.hints(),
            Self::Form(form) => form.hints(),
            Self::Home(home) => home.hints(),
            Self::Listing(listing) => listing.hints(),
            Self::Sheet(sheet) => sheet.hints(),
            Self::Sources(sources) => sources.hints(),
            Self::Picker(_) => vec![
                (Command::Accept, "choose"),
                (Command::Down, "next"),
                (Command::Cancel, "close"),
            ],
            Self::Reader(_) => vec![(Command::Down, "scroll"), (Command::Cancel, "close")],
        }
    }

    /// The text in its field has changed.
    pub fn typed(&mut self) {
        match self {
            Self::Picker(picker) => picker.refresh(),
            Self::Form(form) => form.typed(),
            _ => {}
        }
    }

    /// Lets a text of several lines have a key; `false` when there is none, or the key is not for it.
    pub fn area_key(&mut self, key: KeyEvent) -> bool {
        match self {
            Self::Advice(advice) => advice.area_key(key),
            Self::Form(form) => form.area_key(key),
            _ => false,
        }
    }

    /// Lets a text of several lines have what was pasted.
    pub fn area_paste(&mut self, pasted: &str) {
        match self {
            Self::Advice(advice) => advice.area_paste(pasted),
            Self::Form(form) => form.area_paste(pasted),
            _ => {}
        }
    }

    /// Draws it in the middle of the screen.
    pub fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        match self {
            Self::Advice(advice) => advice.view(theme, screen, buffer),
            Self::Cleanup(cleanup) => cleanup.view(model, theme, screen, buffer),
            Self::Confirm(confirm) => confirm.view(model, theme, screen, buffer),
            Self::Form(form) => form.view(model, theme, screen, buffer),
            Self::Home(home) => home.view(model, theme, screen, buffer),
            Self::Listing(listing) => listing.view(theme, screen, buffer),
            Self::Sheet(sheet) => sheet.view(model, theme, screen, buffer),
            Self::Picker(picker) => picker.view(model, theme, screen, buffer),
            Self::Reader(reader) => reader.view(model, theme, screen, buffer),
            Self::Sources(sources) => sources.view(model, theme, screen, buffer),
        }
    }
}

/// Obeys a command on the topmost overlay.
pub fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    match command {
        Command::Cancel if sheet::keeps_open(model, effects) => return,
        Command::Cancel | Command::No => {
            match model.overlays.pop() {
                Some(Overlay::Form(form)) => model.draft = Some(form),
                Some(Overlay::Advice(advice)) => model.advice = Some(advice),
                _ => {}
            }
            return;
        }
        Command::Interrupt => {
            interrupt(model, effects);
            return;
        }
        _ => {}
    }
    match model.overlays.last_mut() {
        Some(Overlay::Advice(_)) => advice::command(model, command, effects),
        Some(Overlay::Cleanup(_)) => cleanup::command(model, command, effects),
        Some(Overlay::Confirm(_)) => confirm::command(model, command, effects),
        Some(Overlay::Form(_)) => form::command(model, command, effects),
        Some(Overlay::Home(_)) => home::command(model, command, effects),
        Some(Overlay::Listing(_)) => listing::command(model, command, effects),
        Some(Overlay::Sheet(_)) => sheet::command(model, command, effects),
        Some(Overlay::Picker(_)) => picker::command(model, command, effects),
        Some(Overlay::Reader(reader)) => reader.command(command),
        Some(Overlay::Sources(_)) => sources::command(model, command, effects),
        None => {}
    }
}

/// Asks whether to leave; the second time leaves.
pub fn interrupt(model: &mut Model, effects: &mut Effects) {
    if model.interrupted {
        effects.push(Effect::Quit);
    } else {
        model.interrupted = true;
        model.overlays.push(Overlay::quit());
    }
}

/// The checks are others than they were.
pub fn checks_changed(model: &mut Model) {
    let checks = model.world.checks.clone();
    for overlay in &mut model.overlays {
        if let Overlay::Form(form) = overlay {
            form.sync(&checks);
        }
    }
}

/// What lists are made from is other than it was.
pub fn listed_changed(model: &mut Model) {
    let mut overlays = std::mem::take(&mut model.overlays);
    for overlay in &mut overlays {
        if let Overlay::Listing(listing) = overlay {
            listing.refresh(model);
        }
    }
    model.overlays = overlays;
}

/// Draws a text of several lines that is being written, with a cursor where it has the keys.
fn text_area(
    words: &TextArea<'_>,
    theme: &Theme,
    area: Rect,
    focused: bool,
    placeholder: &str,
    buffer: &mut Buffer,
) {
    // The widget leaves a cell for its cursor before a placeholder: without the keys there is none.
    if !focused && words.is_empty() {
        RowPen::new(buffer, area).left(placeholder, theme.style(Scope::InputPlaceholder));
        return;
    }
    // The widget keeps its own viewport: the one thing on screen that is not drawn from the model alone.
    let mut words = words.clone();
    words.set_wrap_mode(WrapMode::WordOrGlyph);
    words.set_style(theme.style(Scope::Input));
    words.set_cursor_style(if focused {
        theme.style(Scope::Input).add_modifier(Modifier::REVERSED)
    } else {
        theme.style(Scope::Input)
    });
    words.set_placeholder_text(placeholder);
    words.set_placeholder_style(theme.style(Scope::InputPlaceholder));
    (&words).render(area, buffer);
}

/// Below this many columns a window is as wide as the screen.
const NARROW: u16 = 100;

/// A box of that size in the middle of the screen, cleared and framed; returns what is inside.
fn window(
    screen: Rect,
    width: u16,
    height: u16,
    title: &str,
    danger: bool,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Rect {
    // On a narrow screen a window takes its whole width: two borders side by side would only be noise.
    let width = if screen.width < NARROW {
        screen.width
    } else {
        width.min(screen.width.saturating_sub(4))
    };
    let height = height.min(screen.height.saturating_sub(2));
    let outer = Rect::new(
        screen.x + (screen.width - width) / 2,
        screen.y + (screen.height - height) / 2,
        width,
        height,
    );
    Clear.render(outer, buffer);
    buffer.set_style(outer, theme.style(Scope::Text));
    let border = if danger {
        Scope::BorderDanger
    } else {
        Scope::BorderFocused
    };
    let area = PanelArea::closed(outer);
    draw::border(buffer, area, theme.style(border), ("╭", "╮"));
    let name = Rect::new(outer.x + 1, outer.y, outer.width.saturating_sub(2), 1);
    draw::RowPen::new(buffer, name)
        .left(" ", theme.style(border))
        .left(title, theme.style(Scope::TitleFocused))
        .left(" ", theme.style(border));
    Rect {
        x: area.inner.x + 1,
        width: area.inner.width.saturating_sub(2),
        ..area.inner
    }
}
