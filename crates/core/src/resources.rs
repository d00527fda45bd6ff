//! Wire types of the custom resources, group `orchestrator.io`, version `v1`.
//!
//! Only shapes and constraints are defined here; their meaning is in [`crate::runs`]. Each constraint is defined
//! once, on the types or in [`rules`]. The CRDs and [`validate`] are both derived from there.

mod code_run;
mod condition;
mod definition;
mod docs_run;
mod format;
pub mod rules;
mod run_spec;
mod run_status;
mod unknown_fields;
mod validate;

pub use code_run::{CodeRun, CodeRunSpec};
pub use condition::{Condition, ConditionStatus, set_condition};
pub use definition::definition;
pub use docs_run::{DocsRun, DocsRunSpec};
pub use run_spec::{
    ContextFile, PreflightOverride, PromptMode, RunSpec, SecretEnv, TasksRevision, ToolPreset,
};
pub use run_status::{Attempt, Documents, RunStatus, Usage};
pub use unknown_fields::UnknownFields;
pub use validate::{FieldError, InvalidSpec, validate};

/// API group of the custom resources.
pub const GROUP: &str = "orchestrator.io";
/// API version of the custom resources.
pub const VERSION: &str = "v1";

/// Kind of a custom resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Docs,
    Code,
}

#[cfg(test)]
mod tests;
