//! The background server: the embedded cluster, its controller and, for a demo, a fake Git host.
//!
//! [`Engine`] runs all of them in this process; [`serve`] makes them reachable for other processes and exits when idle.

mod archiver;
mod engine;
mod serve;

pub use engine::{Engine, EngineError, Options, StandInFile, identity};
pub use serve::serve;
