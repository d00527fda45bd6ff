//! `flightdeck demo`: the whole product on a sample project, without a cluster, a key or a network.

mod headless;
mod project;

pub use headless::Headless;
pub use project::{Project, ProjectError};
