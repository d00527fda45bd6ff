//! The inputs of `update`: keys, time, changes outside, outcomes of effects.

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use super::{detail_io::DetailResponse, effect::Outcome, world::Delta};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    /// The current time; the console's only clock.
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
    /// Data that the Detail panel requested.
    Detail(DetailResponse),
    /// An effect ended.
    Done(Outcome),
}
