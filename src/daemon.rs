//! The background server: the embedded cluster, the controller over it, and, for a demo, a stand-in forge.
//!
//! [`Engine`] is all of it inside one process; [`serve`] makes it reachable for others and ends it when nobody needs it.

mod engine;
mod keeper;
mod serve;

pub use engine::{Engine, EngineError, Options, StandInFile, identity};
pub use serve::serve;
