//! Drives the console in tests: messages and keys in, the screen as text and effects out.

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    effect::Effect,
    keymap::{Chord, Keymap},
    model::Model,
    msg::Msg,
    theme::Theme,
    update, view,
    world::Delta,
};
use flightdeck_core::runs::{Run, RunKind};
use flightdeck_host::{
    cluster::{Kind, Object, WorldDelta},
    settings::Settings,
};

/// A console without a terminal. Records effects instead of performing them.
pub struct Harness {
    pub model: Model,
    effects: Vec<Effect>,
}

impl Harness {
    /// Creates a console of a size at a fixed time, with an empty world.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Self {
        let now = Timestamp::from_second(1_900_000_000).unwrap_or_default();
        let settings = Arc::new(Settings::shipped());
        let keymap = Arc::new(Keymap::shipped());
        let size = ratatui::layout::Size::new(width, height);
        Self {
            model: Model::new(settings, keymap, size, now),
            effects: Vec::new(),
        }
    }

    /// Sends a message.
    pub fn send(&mut self, msg: Msg) -> &mut Self {
        let mut effects = update::update(&mut self.model, msg);
        self.effects.append(&mut effects.list);
        self
    }

    /// Applies deltas.
    pub fn world(&mut self, deltas: impl IntoIterator<Item = Delta>) -> &mut Self {
        for delta in deltas {
            self.send(Msg::World(delta));
        }
        self.send(Msg::Tick(self.model.now))
    }

    /// Lists these runs, as a watch does at its start.
    pub fn runs(&mut self, runs: impl IntoIterator<Item = Run>) -> &mut Self {
        let (docs, code): (Vec<Run>, Vec<Run>) =
            runs.into_iter().partition(|run| run.kind == RunKind::Docs);
        let lists = [(Kind::DocsRun, docs), (Kind::CodeRun, code)];
        self.world(lists.map(|(kind, runs)| {
            let objects = runs.into_iter().map(|run| Object::Run(Box::new(run)));
            Delta::Watch(Box::new(WorldDelta::Listed(kind, objects.collect())))
        }))
    }

    /// Presses keys, written as in the keymap file and separated by spaces.
    ///
    /// # Panics
    /// If one is not a key.
    #[allow(clippy::panic)]
    pub fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.split_whitespace() {
            match key.parse::<Chord>() {
                Ok(chord) => self.send(Msg::Key(chord.into())),
                Err(error) => panic!("{error}"),
            };
        }
        self
    }

    /// Types text, one key per character.
    pub fn type_text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.send(Msg::Key(crossterm::event::KeyEvent::from(
                crossterm::event::KeyCode::Char(c),
            )));
        }
        self
    }

    /// Returns the effects since the last call.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Draws the screen with a theme.
    #[must_use]
    pub fn buffer(&self, theme: &Theme) -> Buffer {
        let area = Rect::new(0, 0, self.model.size.width, self.model.size.height);
        let mut buffer = Buffer::empty(area);
        view::view(&self.model, theme, area, &mut buffer);
        buffer
    }

    /// Returns the screen as text, without trailing spaces.
    #[must_use]
    pub fn screen(&self) -> String {
        text_of(&self.buffer(&Theme::of_scopes()))
    }
}

/// Returns a buffer as text, without trailing spaces.
#[must_use]
pub fn text_of(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.rows() {
        let mut line = String::new();
        let mut covered = 0;
        for position in y.positions() {
            // A wide character covers the next cell.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let symbol = buffer[position].symbol();
            covered = flightdeck_core::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
