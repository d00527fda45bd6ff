//! `flightdeck demo`: a sample project that needs no cluster, API key or network.

mod headless;
mod project;

pub use headless::Headless;
pub use project::{Project, ProjectError};
