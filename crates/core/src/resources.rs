//! Wire types of the two custom resources, group `orchestrator.io`, version `v1`.
//!
//! Only shapes and their constraints live here: what a run *means* is in [`crate::runs`]. A constraint is said once, on the
//! types or in [`rules`]; the definitions that clusters are given and [`validate`] are both made from there.

mod code_run;
mod condition;
mod definition;
mod docs_run;
mod format;
mod newer;
pub mod rules;
mod run_spec;
mod run_status;
mod validate;

pub use code_run::{CodeRun, CodeRunSpec};
pub use condition::{Condition, ConditionStatus, set_condition};
pub use definition::definition;
pub use docs_run::{DocsRun, DocsRunSpec};
pub use newer::Newer;
pub use run_spec::{
    ContextFile, PreflightOverride, PromptMode, RunSpec, SecretEnv, TasksRevision, ToolPreset,
};
pub use run_status::{Attempt, Documents, RunStatus, Usage};
pub use validate::{Fault, Invalid, broken_rules, validate};

/// API group of both kinds.
pub const GROUP: &str = "orchestrator.io";
/// API version of both kinds.
pub const VERSION: &str = "v1";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Docs,
    Code,
}

#[cfg(test)]
mod tests;
