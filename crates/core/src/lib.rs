//! The domain of Flightdeck, pure: no async runtime, no cluster client, no terminal, no clock.

pub mod files;
pub mod log;
pub mod quantity;
pub mod remote_url;
pub mod resources;
pub mod runs;
pub mod tasks;
pub mod text;
pub mod transcript;
