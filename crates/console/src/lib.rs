//! The console: the full-screen terminal program.
//!
//! ```text
//!  keys, mouse, resize --+                                       +-> lane "log"   (a newer effect aborts the older)
//!  cluster deltas -------+-> Msg -> update(&mut Model) -> Effects +-> lane "preflight" ...
//!  tick (carries now) ---+             |                         +-> detached: launch, stop, delete ...
//!  outcomes -------------+             +-> view(&Model, &Theme, Rect) -> frame         |
//!         ^                                                                            |
//!         +------------------------------- Msg::Done(outcome) <------------------------+
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `msg`, `model`, `world`, `update`, `effect`, `detail_io` | inputs, state, transitions and outputs: pure |
//! | `layout`, `view`, `draw`, `theme`, `glyphs` | the frame, drawn from the model: pure |
//! | `command`, `keymap` | commands and their keys |
//! | `panels`, `overlays`, `widgets` | the four panels, the dialogs above them, their building blocks |
//! | `list`, `field`, `filter` | state of lists, text fields and filters |
//! | `event_loop`, `perform`, `terminal`, `connection` | the I/O layer: performs effects, owns the terminal |

pub mod command;
mod connection;
pub mod detail_io;
mod draw;
pub mod effect;
mod event_loop;
mod field;
mod filter;
mod glyphs;
#[doc(hidden)]
pub mod harness;
pub mod ids;
pub mod keymap;
mod layout;
mod list;
pub mod model;
pub mod msg;
mod overlays;
mod panels;
mod perform;
pub mod terminal;
pub mod theme;
mod update;
mod view;
pub mod widgets;
pub mod world;

pub use self::{
    connection::{Connect, Connected, ConsoleOptions},
    event_loop::{drive, run},
    terminal::{ConsoleError, TerminalIo},
};
