//! The controller: makes what a run asks for (files, workspace, one Job a stage) and reports what became of it.

mod crds;
mod jobs;
mod judge;
mod objects;
mod observed;
mod plan;

pub use crds::{InstallError, crds, install_crds};
