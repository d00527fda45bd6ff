//! Task Master plans: tolerant reading, queries, validation, and changes of status. Pure, except for the modules that
//! access files.

mod compare;
mod complexity;
mod dependencies;
mod documents;
mod edit;
mod filter;
mod graph;
mod load;
mod locate;
mod lock;
mod model;
mod next;
mod read;
mod state;
mod summary;
mod validate;
mod write;

pub use compare::{ChangedTask, Comparison, TaskRef, compare, describe};
pub use complexity::{Complexity, ComplexityLevel, complexity, complexity_paths, read_complexity};
pub use dependencies::{BranchEnd, Dependencies, DependencyNode};
pub use documents::{DocumentSet, documents};
pub use edit::{Edit, EditError, StatusChange, set_status};
pub use filter::TaskFilter;
pub use load::{LoadError, load};
pub use locate::{
    Located, TASK_FILE_PATHS, current_tag_of, current_tag_of_project, locate, nearest, project_directory,
};
pub use lock::LockError;
pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
pub use next::{Next, OpenDependency, next, open_dependencies, ready};
pub use read::{DEFAULT_TAG, MAX_FILE_SIZE, ReadError, read};
pub use state::parse_current_tag;
pub use summary::{TagSummary, summaries};
pub use write::{WriteError, write_status};
