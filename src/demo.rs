//! `flightdeck demo`: the whole product on a sample project, without a cluster, a key or a network.

mod project;

pub use project::{Project, ProjectError};
