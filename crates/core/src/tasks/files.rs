//! File access of task plans. This is the only I/O in the crate, kept together so that it can move to `host`.

mod load;
mod locate;
mod lock;
mod project;
mod write;

pub use load::{LoadError, load};
pub use locate::{Located, TASK_FILE_PATHS, locate, nearest, project_directory};
pub use lock::LockError;
pub use project::{complexity, current_tag_of, current_tag_of_project, documents};
pub use write::{WriteError, write_status};
