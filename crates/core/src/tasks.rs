//! Task Master: its file, read tolerantly; its rules. Pure, but for looking files up.

mod compare;
mod complexity;
mod dependencies;
mod documents;
mod edit;
mod graph;
mod load;
mod locate;
mod lock;
mod model;
mod next;
mod query;
mod read;
mod state;
mod summary;
mod validate;
mod write;

pub use compare::{Changed, Comparison, Named, compare, describe};
pub use complexity::{Complexity, Level, complexity, complexity_paths, read_complexity};
pub use dependencies::{Dependencies, Link, Stop};
pub use documents::{DocumentSet, documents};
pub use edit::{Edit, EditError, StatusChange, set_status};
pub use load::{LoadError, load};
pub use locate::{Located, PLACES, locate, nearest, project_directory, tag_in_use, tag_of_project};
pub use lock::LockError;
pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
pub use next::{Next, Waits, next, ready, waiting};
pub use query::Query;
pub use read::{DEFAULT_TAG, LARGEST, ReadError, read};
pub use state::current_tag;
pub use summary::{TagSummary, summaries};
pub use write::{WriteError, write_status};
