//! Task Master: its file, read tolerantly; its rules. Pure.

mod graph;
mod model;
mod read;
mod validate;

pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
pub use read::{DEFAULT_TAG, ReadError, read};
