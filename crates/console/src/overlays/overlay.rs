//! What an overlay provides, and the stack of open ones.

use std::{any::Any, fmt::Debug};

use crossterm::event::KeyEvent;
use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::{Command, Context},
    effect::Effects,
    field::Field,
    model::Model,
    theme::Theme,
};

/// A dialog above the panels. The topmost one receives the keys.
///
/// To add an overlay, implement this trait in a file of its own and list the file in [`super`].
pub trait Overlay: Any + Debug {
    fn title(&self) -> String;

    /// The available commands, for the footer.
    fn hints(&self) -> Vec<(Command, &'static str)>;

    fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer);

    /// Handles a command. The overlay is not on the stack of `model` during the call.
    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next;

    /// Handles [`Command::Cancel`] and [`Command::No`].
    fn cancel(&mut self, _effects: &mut Effects) -> Next {
        Next::Close
    }

    /// Key contexts while it is on top, innermost first.
    fn contexts(&self) -> &'static [Context] {
        &[Context::Overlay]
    }

    /// Whether it is kept as a draft after closing; see [`OverlayStack::take`].
    fn keeps_draft(&self) -> bool {
        false
    }

    /// Whether text fields own the printable keys.
    fn takes_text(&self) -> bool {
        false
    }

    /// The single-line field in focus.
    fn open_field(&mut self) -> Option<&mut Field> {
        None
    }

    /// Called after the text of the field changed.
    fn typed(&mut self) {}

    /// Passes a key to the multi-line text area in focus. Returns `false` if the key is not handled.
    fn text_area_key(&mut self, _key: KeyEvent) -> bool {
        false
    }

    /// Inserts pasted text into the multi-line text area in focus.
    fn text_area_paste(&mut self, _pasted: &str) {}

    /// Called after the world changed.
    fn refresh(&mut self, _model: &Model) {}
}

/// What happens to an overlay after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Stay,
    Close,
    /// Close, then run a command on what is below.
    CloseAndRun(Command),
}

/// Overlays, the topmost one last.
#[derive(Debug, Default)]
pub struct OverlayStack(Vec<Box<dyn Overlay>>);

impl OverlayStack {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, overlay: impl Overlay) {
        self.0.push(Box::new(overlay));
    }

    /// The topmost overlay.
    #[must_use]
    pub fn last(&self) -> Option<&dyn Overlay> {
        self.0.last().map(AsRef::as_ref)
    }

    /// The topmost overlay.
    pub fn last_mut(&mut self) -> Option<&mut Box<dyn Overlay>> {
        self.0.last_mut()
    }

    /// The topmost overlay of a type.
    #[must_use]
    pub fn find<T: Overlay>(&self) -> Option<&T> {
        self.0.iter().rev().find_map(|overlay| {
            let any: &dyn Any = overlay.as_ref();
            any.downcast_ref()
        })
    }

    /// The topmost overlay of a type.
    pub fn find_mut<T: Overlay>(&mut self) -> Option<&mut T> {
        self.0.iter_mut().rev().find_map(|overlay| {
            let any: &mut dyn Any = overlay.as_mut();
            any.downcast_mut()
        })
    }

    /// Removes and returns the topmost overlay of a type.
    pub fn take<T: Overlay>(&mut self) -> Option<T> {
        let at = self.0.iter().rposition(|overlay| {
            let any: &dyn Any = overlay.as_ref();
            any.is::<T>()
        })?;
        let any: Box<dyn Any> = self.0.remove(at);
        any.downcast().ok().map(|overlay| *overlay)
    }

    pub(super) fn pop(&mut self) -> Option<Box<dyn Overlay>> {
        self.0.pop()
    }

    /// Puts back an overlay that was popped, below those opened since.
    pub(super) fn restore(&mut self, at: usize, overlay: Box<dyn Overlay>) {
        self.0.insert(at.min(self.0.len()), overlay);
    }

    /// Keeps a closed overlay, in place of an earlier one of its type.
    pub(super) fn keep(&mut self, overlay: Box<dyn Overlay>) {
        let kind = |overlay: &dyn Overlay| {
            let any: &dyn Any = overlay;
            any.type_id()
        };
        let new = kind(overlay.as_ref());
        self.0.retain(|kept| kind(kept.as_ref()) != new);
        self.0.push(overlay);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Overlay>> {
        self.0.iter_mut()
    }
}
