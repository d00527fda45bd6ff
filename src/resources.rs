//! Wire types of the two custom resources, group `orchestrator.io`, version `v1`.
//!
//! Only shapes and their constraints live here: what a run *means* is in [`crate::runs`].

mod code_run;
mod condition;
mod docs_run;
mod run_spec;
mod run_status;

pub use code_run::{CodeRun, CodeRunSpec};
pub use condition::{Condition, ConditionStatus, set_condition};
pub use docs_run::{DocsRun, DocsRunSpec};
pub use run_spec::{
    ContextFile, PreflightOverride, PromptMode, RunSpec, SecretEnv, TasksRevision, ToolPreset,
};
pub use run_status::{Attempt, Documents, RunStatus, Usage};

/// API group of both kinds.
pub const GROUP: &str = "orchestrator.io";
/// API version of both kinds.
pub const VERSION: &str = "v1";
