//! Task Master plans: tolerant reading, queries, validation, and changes of status. Pure, except for
//! `files`.

mod compare;
mod complexity;
mod dependencies;
mod documents;
mod edit;
mod files;
mod filter;
mod graph;
mod model;
mod next;
mod read;
mod state;
mod summary;
mod validate;

pub use compare::{ChangedTask, Comparison, TaskRef, compare, describe};
pub use complexity::{Complexity, ComplexityLevel, read_complexity};
pub use dependencies::{BranchEnd, Dependencies, DependencyNode};
pub use documents::DocumentSet;
pub use edit::{Edit, EditError, StatusChange, set_status};
pub use files::{
    LoadError, Located, LockError, TASK_FILE_PATHS, WriteError, complexity, current_tag_of,
    current_tag_of_project, documents, load, locate, nearest, project_directory, write_status,
};
pub use filter::TaskFilter;
pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
pub use next::{Next, OpenDependency, next, open_dependencies, ready};
pub use read::{DEFAULT_TAG, MAX_FILE_SIZE, ReadError, read};
pub use state::parse_current_tag;
pub use summary::{TagSummary, summaries};
