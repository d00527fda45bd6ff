//! Streams the log of a run: all stages, attempts and containers, without lost or duplicate lines.
//!
//! * [`follow_run`] watches the run's pods and opens a source for each started container, in the order they ran.
//! * A source reads with timestamps. After a disconnect it requests the end of the log and finds the last lines it has
//!   read, by their order and not by their times (`resume.rs`): clocks may stand still or be set back. Lines that the
//!   server no longer has are reported as [`Notice::Gap`]. A source is complete only once its container has ended and two
//!   consecutive responses end alike, the second without new lines.
//! * [`snapshot_run`] reads what exists now, without following.
//! * Nothing is dropped under load: slow readers cause backpressure.
//!
//! [`Notice::Gap`]: flightdeck_core::log::Notice::Gap

mod batch;
mod record;
mod request;
mod resume;
mod run;
#[cfg(test)]
mod schedules;
mod snapshot;
mod source;
#[cfg(test)]
mod tests;
mod timeouts;

pub use run::{FollowOptions, RunRef, follow_run, follow_run_batched};
pub use snapshot::{Excerpt, parse_archived_log, snapshot_run, sources};
pub use timeouts::Timeouts;
