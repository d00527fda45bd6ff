//! Domain model of Flightdeck: runs, task plans, agent transcripts, and text for display.
//!
//! Has no async runtime, no cluster client, no terminal and no clock.

pub mod backoff;
pub mod files;
pub mod log;
pub mod quantity;
pub mod remote_url;
pub mod resources;
pub mod runs;
pub mod tasks;
pub mod text;
pub mod transcript;
pub mod yaml;
