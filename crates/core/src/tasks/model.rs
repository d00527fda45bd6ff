//! The plan as Task Master writes it, with everything that is not ours to know left out.

/// A `tasks.json`, whatever shape it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFile {
    /// In file order; a file without tags has one, `master`.
    pub tags: Vec<Tag>,
    /// What was tolerated, in file order.
    pub findings: Vec<Finding>,
}

impl TaskFile {
    /// The tag of that name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }
}

/// One list of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// In file order.
    pub tasks: Vec<Task>,
}

impl Tag {
    /// The top-level task of that id.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// A task or a subtask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Trimmed text: `1`, `1.2`, `TASK-7`. A subtask's own id, without its parent's.
    pub id: String,
    pub title: String,
    pub description: String,
    pub status: Status,
    pub priority: Priority,
    /// As written, trimmed.
    pub dependencies: Vec<String>,
    pub details: String,
    pub test_strategy: String,
    /// One level only.
    pub subtasks: Vec<Task>,
    /// Line of the file the task starts in, from 1: where an editor opens it.
    pub line: usize,
}

impl Task {
    /// The id by which the rest of the plan knows a subtask of this task: `1.2`.
    #[must_use]
    pub fn subtask_id(&self, subtask: &Self) -> String {
        format!("{}.{}", self.id, subtask.id)
    }
}

/// Status of a task. An unknown one is kept and shown as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    #[default]
    Pending,
    InProgress,
    Done,
    Review,
    Deferred,
    Cancelled,
    Blocked,
    Other(String),
}

impl Status {
    /// Task Master's own, as its `set-status` takes them.
    pub const KNOWN: [Self; 7] = [
        Self::Pending,
        Self::InProgress,
        Self::Done,
        Self::Review,
        Self::Deferred,
        Self::Cancelled,
        Self::Blocked,
    ];

    /// Reads the word in the file.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "pending" => Self::Pending,
            "in-progress" => Self::InProgress,
            "done" => Self::Done,
            "review" => Self::Review,
            "deferred" => Self::Deferred,
            "cancelled" => Self::Cancelled,
            "blocked" => Self::Blocked,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in-progress",
            Self::Done => "done",
            Self::Review => "review",
            Self::Deferred => "deferred",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Other(word) => word,
        }
    }

    /// Whether the work is done: `done`, or `completed` as some agents write it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done) || self.as_str() == "completed"
    }
}

/// Priority of a task. An unknown one is kept and shown as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    Critical,
    High,
    #[default]
    Medium,
    Low,
    Other(String),
}

impl Priority {
    /// Reads the word in the file.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "critical" => Self::Critical,
            "high" => Self::High,
            "medium" => Self::Medium,
            "low" => Self::Low,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The word in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Other(word) => word,
        }
    }
}

/// Something in the file that was tolerated, or that is wrong with the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// The tag it is about; absent for the file itself.
    pub tag: Option<String>,
    /// Id of the task, `1.2` for a subtask; absent for the file itself.
    pub task: Option<String>,
    pub message: String,
    /// From 1; 0 when it has no place.
    pub line: usize,
    /// From 1, in characters; 0 when it has no place.
    pub column: usize,
}

/// What kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The file starts with a byte-order mark.
    ByteOrderMark,
    /// The file is not UTF-8.
    Encoding,
    /// Something follows the JSON value.
    TrailingText,
    /// A field is missing, of another type, or has an unknown value.
    Field,
    /// Two tasks share an id.
    DuplicateId,
    /// A dependency names no task.
    DanglingDependency,
    /// A task depends on itself.
    SelfDependency,
    /// Tasks wait for one another.
    Cycle,
}

impl FindingKind {
    /// Every kind, as they are declared.
    pub const ALL: [Self; 8] = [
        Self::ByteOrderMark,
        Self::Encoding,
        Self::TrailingText,
        Self::Field,
        Self::DuplicateId,
        Self::DanglingDependency,
        Self::SelfDependency,
        Self::Cycle,
    ];

    /// In one word, as programs read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte-order-mark",
            Self::Encoding => "encoding",
            Self::TrailingText => "trailing-text",
            Self::Field => "field",
            Self::DuplicateId => "duplicate-id",
            Self::DanglingDependency => "dangling-dependency",
            Self::SelfDependency => "self-dependency",
            Self::Cycle => "cycle",
        }
    }

    /// Whether it is about how the file is written, and reading got over it; else it is wrong with the plan itself.
    #[must_use]
    pub const fn is_tolerated(self) -> bool {
        matches!(
            self,
            Self::ByteOrderMark | Self::Encoding | Self::TrailingText | Self::Field
        )
    }
}
