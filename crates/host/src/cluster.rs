//! What a Kubernetes cluster tells: the runs and what they own, watched; the logs of a run, followed.
//!
//! Both are streams that mend themselves: a dropped connection is a delta or a notice, never an end, and nothing is polled.
//! Whether the cluster is real or embedded is unknown here; both are a [`kube::Client`].

mod back_off;
mod drive;
mod kind_watch;
mod under_way;

pub mod client;
pub mod logs;

mod watch;

pub use back_off::BackOff;
pub use under_way::run_under_way;
pub use watch::{Kind, Object, WorldDelta, finished, watch_runs};
