//! What the console can be told. One closed enum: keys, time, changes outside, ends of effects.

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use super::{effect::Outcome, panels::detail, world::Delta};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// The time now; the only clock the console has.
    Tick(Timestamp),
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    /// Columns and rows of the terminal.
    Resize(u16, u16),
    /// Whether the terminal has the focus.
    Focus(bool),
    /// Something outside changed.
    World(Delta),
    /// Something the Detail panel asked for.
    Detail(detail::News),
    /// An effect ended.
    Done(Outcome),
}
