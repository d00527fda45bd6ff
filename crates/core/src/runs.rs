//! Runs: their kinds, stages, names, manifests and health. Pure: no I/O and no clock.

mod container_resources;
pub mod estimate;
pub mod health;
mod kind;
mod manifest;
pub mod naming;
pub mod patch;
mod phase;
mod report;
mod run;
mod stage;
mod work;

pub use container_resources::{ContainerResources, ResourceAmounts};
pub use kind::{DOCUMENTS, RunKind, can_have_documents, documents, documents_directory};
pub use manifest::{
    DocsSource, ForgeTarget, Layout, MANIFEST_FILE, ManifestSettings, RunManifest, env,
};
pub use phase::Phase;
pub use report::{REPORT_LIMIT, StageReport, reason};
pub use run::{CodeDetails, Run};
pub use stage::Stage;
pub use work::Work;
