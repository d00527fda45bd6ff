//! The two kinds of run, and the documents a docs run writes.

use serde::{Deserialize, Serialize};

use super::naming;

/// The four documents of a task, in the order they are read.
pub const DOCUMENTS: [&str; 4] = [
    "task.md",
    "prompt.md",
    "design-spec.md",
    "acceptance-criteria.md",
];

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Write the documents of tasks.
    Docs,
    /// Implement one task.
    Code,
}

impl RunKind {
    /// Every kind, in the order people meet them.
    pub const ALL: [Self; 2] = [Self::Docs, Self::Code];

    /// `docs` or `code`: in commands, labels and template folders.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docs => "docs",
            Self::Code => "code",
        }
    }

    /// The Kubernetes kind.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Docs => "DocsRun",
            Self::Code => "CodeRun",
        }
    }

    /// Seconds one stage's pod may run unless the spec says otherwise: docs 4 h, code 2 h.
    #[must_use]
    pub const fn deadline_seconds(self) -> i64 {
        match self {
            Self::Docs => 4 * 3600,
            Self::Code => 2 * 3600,
        }
    }
}

impl std::fmt::Display for RunKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where the documents of a task live, from the project directory: those of a tag other than `master` have a folder of its name.
#[must_use]
pub fn documents_directory(tag: &str, task: &str) -> String {
    if tag == "master" {
        format!(".taskmaster/docs/task-{task}")
    } else {
        format!(".taskmaster/docs/{tag}/task-{task}")
    }
}

/// Paths of the documents of `tasks`, from the repository root.
#[must_use]
pub fn documents(working_directory: &str, tag: &str, tasks: &[String]) -> Vec<String> {
    let prefix = naming::directory_prefix(working_directory);
    let of_task = |id: &String| {
        let directory = documents_directory(tag, id);
        DOCUMENTS.map(|file| format!("{prefix}{directory}/{file}"))
    };
    tasks.iter().flat_map(of_task).collect()
}
