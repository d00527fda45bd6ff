//! The controller, the stages that run in the pods of a run, and the built-in agents.

pub mod agents;
pub mod controller;
pub mod stages;
