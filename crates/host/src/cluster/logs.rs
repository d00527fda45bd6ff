//! The log of a run: every stage, every attempt, every container, as one stream that loses nothing and doubles nothing.
//!
//! * [`follow_run`] watches the run's pods and opens a source for each container that has started, in the order they ran.
//! * A source asks for timestamps. After a drop it asks for the end of the log and looks there for the last lines it has had
//!   ([`resume`](self) goes by their order and never by their times: a clock may stand still or be set back); lines that the
//!   server no longer has are a [`Notice::Gap`]. The end of a stream is an end only if the container has ended and two
//!   answers in a row end alike, the second showing what was read and nothing new.
//! * [`snapshot_run`] reads what is there now, without following.
//! * Nothing is thrown away under load: who reads slowly is waited for.

mod ask;
mod patience;
mod record;
mod resume;
mod run;
#[cfg(test)]
mod schedules;
mod snapshot;
mod source;
mod tell;
#[cfg(test)]
mod tests;

pub use patience::Patience;
pub use run::{FollowOptions, RunRef, follow_run, follow_run_in_chunks};
pub use snapshot::{Excerpt, lines_of, snapshot_run, sources};
