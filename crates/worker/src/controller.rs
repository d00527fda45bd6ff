//! The controller: makes what a run asks for (files, workspace, one Job a stage) and reports what became of it.
//!
//! A reconciliation has three steps: `observe` reads everything, `plan` decides (pure), `apply` writes. The run's story is in
//! its status; names are deterministic; every write is bound to the object it was decided for. So a controller may stop
//! between any two writes, and two of them may run: the cluster comes to the same end.
//!
//! | file | what it holds |
//! |---|---|
//! | `run` | the loop: who leads, and when a run is reconciled |
//! | `wake` | what wakes a reconciliation |
//! | `lease` | which of several controllers works |
//! | `calls` | how the API is called |
//! | `cache`, `thin` | what the watches know, and how much of it is kept |
//! | `observe`, `observed` | what is read, and the value it becomes |
//! | `plan`, `judge` | what to do, and what a Job and its pod say |
//! | `memory` | what a process may remember of a run |
//! | `objects`, `jobs` | what is made |
//! | `apply`, `error` | how it is written, and what can go wrong |
//! | `crds` | the definitions of both kinds |
//! | `process` | the controller as a process of its own: settings, metrics, health |
//! | `keep` | what outlives the pod of a stage that has ended |
//! | `live`, `metrics`, `health` | settings as they change; what is counted; whether it is ready |

mod apply;
mod cache;
mod calls;
mod config;
mod crds;
mod error;
mod health;
mod jobs;
mod judge;
mod keep;
mod lease;
mod live;
mod memory;
mod metrics;
mod objects;
mod observe;
mod observed;
mod plan;
mod process;
mod run;
mod thin;
mod wake;

pub use config::ControllerConfig;
pub use crds::{InstallError, crds, install_crds};
pub use error::RetryDelays;
pub use health::Health;
pub use lease::LeaseConfig;
pub use live::{Followed, LiveSettings, SettingsMaps};
pub use metrics::{CountRequests, Metrics};
pub use objects::{ANNOTATION_HOLDER, workspace_name};
pub use plan::CONDITIONS;
pub use process::{ProcessError, ProcessOptions, serve};
pub use run::run;
