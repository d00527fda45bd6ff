//! The domain: what a run is, what its stages are called, how things are named. Pure: no tokio, no client, no clock.

pub mod estimate;
pub mod health;
mod kind;
mod manifest;
pub mod naming;
mod phase;
mod report;
mod run;
mod share;
mod stage;
mod work;

pub use kind::{DOCUMENTS, RunKind, can_have_documents, documents, documents_directory};
pub use manifest::{Arranged, DocsSource, ForgeTarget, Layout, MANIFEST_FILE, RunManifest, env};
pub use phase::Phase;
pub use report::{REPORT_LIMIT, StageReport, reason};
pub use run::{CodeDetails, Run};
pub use share::{Amount, Share};
pub use stage::Stage;
pub use work::Work;
