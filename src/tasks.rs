//! Task Master: its file, read tolerantly; its rules. Pure.

mod model;

pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
