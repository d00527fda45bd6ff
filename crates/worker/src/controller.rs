//! The controller: creates what a run needs (files, workspace, one Job per stage) and reports its progress.
//!
//! A reconciliation has three steps: `observe` reads everything, `plan` decides (pure), `apply` writes. The state of a run is
//! in its status, names are deterministic, and every write is bound to the object it was decided for. A controller may
//! therefore stop between any two writes, and two may run at once, with the same result.
//!
//! | file | contents |
//! |---|---|
//! | `run` | the main loop: leadership, queue and reconciliation |
//! | `trigger` | what requeues a run |
//! | `lease` | leader election |
//! | `api_client` | timeouts and `Retry-After` for API calls |
//! | `cache`, `prune` | objects received from the watches, reduced to the fields that are used |
//! | `observe`, `observed` | reads the state, and the value it is read into |
//! | `plan`, `job_state` | decides what to do; evaluates a Job and its pod |
//! | `memory` | optional state of this process |
//! | `objects`, `jobs` | the objects a run owns |
//! | `apply`, `error` | writes the plan, and the errors of that |
//! | `crds` | the custom resource definitions |
//! | `process` | the standalone controller: settings, metrics, health |
//! | `archive` | saves the logs of finished pods |
//! | `config_watcher`, `metrics`, `health` | settings from ConfigMaps, Prometheus metrics, readiness |

mod api_client;
mod apply;
mod archive;
mod cache;
mod config;
mod config_watcher;
mod crds;
mod error;
mod health;
mod job_state;
mod jobs;
mod lease;
mod memory;
mod metrics;
mod objects;
mod observe;
mod observed;
mod plan;
mod process;
mod prune;
mod run;
mod trigger;

pub use config::ControllerConfig;
pub use config_watcher::{LiveSettings, SettingsWatcher, WatchedSettings};
pub use crds::{InstallError, crds, install_crds};
pub use error::RetryDelays;
pub use health::Health;
pub use lease::LeaseConfig;
pub use metrics::{CountRequests, Metrics};
pub use objects::{ANNOTATION_HOLDER, workspace_name};
pub use plan::CONDITIONS;
pub use process::{ProcessError, ProcessOptions, serve};
pub use run::run;
