//! Kubernetes access: clients, watches of runs and the objects they own, and run logs.
//!
//! Watches and logs are streams that reconnect by themselves: a dropped connection yields an event and never ends the
//! stream. The code is the same for real and embedded clusters; both are a [`kube::Client`].

mod active;
mod channel_stream;
mod kind_watch;

pub mod client;
pub mod logs;

mod watch;

use std::time::Duration;

use flightdeck_core::backoff::Backoff;

pub use active::has_active_runs;
pub use watch::{Kind, Object, WorldDelta, wait_finished, watch_runs};

/// Backoff of watches and logs after a failure.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(20));
