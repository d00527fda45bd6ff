//! A Task Master plan, reduced to the known fields.

/// A parsed `tasks.json` of any shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFile {
    /// In file order. A file without tags has the tag `master`.
    pub tags: Vec<Tag>,
    /// Findings, in file order.
    pub findings: Vec<Finding>,
}

impl TaskFile {
    /// Returns the tag with this name.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }
}

/// A tag: a named list of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    /// In file order.
    pub tasks: Vec<Task>,
}

impl Tag {
    /// Returns the top-level task with this id.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

/// A task or a subtask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Trimmed: `1`, `1.2`, `TASK-7`. For a subtask, without the parent's id.
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
    /// Line in the file, from 1.
    pub line: usize,
}

impl Task {
    /// Returns the absolute id of a subtask: `1.2`.
    #[must_use]
    pub fn subtask_id(&self, subtask: &Self) -> String {
        format!("{}.{}", self.id, subtask.id)
    }
}

/// Status of a task. Unknown values are kept.
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
    /// The statuses that `task-master set-status` accepts.
    pub const KNOWN: [Self; 7] = [
        Self::Pending,
        Self::InProgress,
        Self::Done,
        Self::Review,
        Self::Deferred,
        Self::Cancelled,
        Self::Blocked,
    ];

    /// Parses the value in the file.
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

    /// Value in the file.
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

    /// Whether the task is done: `done`, or `completed` as written by some agents.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done) || self.as_str() == "completed"
    }
}

/// Priority of a task. Unknown values are kept.
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
    /// Parses the value in the file.
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

    /// Value in the file.
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

/// A deviation that was tolerated while reading, or a problem of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    /// Tag; `None` for the file itself.
    pub tag: Option<String>,
    /// Task id, `1.2` for a subtask; `None` for the file itself.
    pub task: Option<String>,
    pub message: String,
    /// From 1; 0 if it has no location.
    pub line: usize,
    /// From 1, in characters; 0 if it has no location.
    pub column: usize,
}

/// Kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The file starts with a byte-order mark.
    ByteOrderMark,
    /// The file is not UTF-8.
    Encoding,
    /// Text after the JSON value.
    TrailingText,
    /// A field is missing, of the wrong type, or has an unknown value.
    Field,
    /// Two tasks share an id.
    DuplicateId,
    /// A dependency names no task.
    DanglingDependency,
    /// A task depends on itself.
    SelfDependency,
    /// Tasks depend on each other.
    Cycle,
}

impl FindingKind {
    /// All kinds, in declaration order.
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

    /// Name for machine-readable output.
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

    /// Whether the finding is about the file format, and was tolerated. Otherwise it is a problem of the plan.
    #[must_use]
    pub const fn is_tolerated(self) -> bool {
        matches!(
            self,
            Self::ByteOrderMark | Self::Encoding | Self::TrailingText | Self::Field
        )
    }
}
