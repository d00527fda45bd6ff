//! What works on a run: the controller, the stages that run in its pods, and the agents built into this program.

pub mod agents;
pub mod controller;
pub mod stages;
