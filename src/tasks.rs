//! Task Master: its file, read tolerantly; its rules. Pure, but for looking files up.

mod compare;
mod documents;
mod graph;
mod locate;
mod model;
mod next;
mod read;
mod state;
mod validate;

pub use compare::{Changed, Comparison, Named, compare, describe};
pub use documents::{DocumentSet, documents};
pub use locate::{Located, PLACES, locate, project_directory};
pub use model::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile};
pub use next::{Next, Waits, next, ready, waiting};
pub use read::{DEFAULT_TAG, ReadError, read};
pub use state::{complexity, complexity_path, current_tag};
