//! Run kinds and their capabilities, and the paths of task documents.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::naming;
use crate::resources;

/// File names of the documents of a task, in reading order.
pub const DOCUMENTS: [&str; 4] = [
    "task.md",
    "prompt.md",
    "design-spec.md",
    "acceptance-criteria.md",
];

/// What a run does.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Writes the documents of tasks.
    Docs,
    /// Implements one task.
    Code,
}

/// Everything that differs by kind. A new kind is a variant, an entry in [`RunKind::ALL`] and a row.
struct Row {
    name: &'static str,
    resource_kind: &'static str,
    plural: &'static str,
    summary: &'static str,
    deadline_seconds: i64,
    tasks_limit: usize,
    writes_documents: bool,
    changes_code: bool,
    needs_documents: bool,
    shares_workspace: bool,
}

const DOCS: Row = Row {
    name: "docs",
    resource_kind: "DocsRun",
    plural: "docsruns",
    summary: "write the documents of tasks",
    deadline_seconds: 4 * 3600,
    tasks_limit: 500,
    writes_documents: true,
    changes_code: false,
    needs_documents: false,
    shares_workspace: false,
};

const CODE: Row = Row {
    name: "code",
    resource_kind: "CodeRun",
    plural: "coderuns",
    summary: "implement a task",
    deadline_seconds: 2 * 3600,
    tasks_limit: 1,
    writes_documents: false,
    changes_code: true,
    needs_documents: true,
    shares_workspace: true,
};

impl RunKind {
    /// Every kind, in display order.
    pub const ALL: [Self; 2] = [Self::Docs, Self::Code];

    const fn row(self) -> &'static Row {
        match self {
            Self::Docs => &DOCS,
            Self::Code => &CODE,
        }
    }

    /// Short name, used in commands, labels and template folders.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Kubernetes kind of the custom resource.
    #[must_use]
    pub const fn resource_kind(self) -> &'static str {
        self.row().resource_kind
    }

    /// Plural of the custom resource, as in API paths and RBAC rules.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.row().plural
    }

    /// What such a run does, as an imperative: `implement a task`.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.row().summary
    }

    /// Default `activeDeadlineSeconds` of one stage.
    #[must_use]
    pub const fn deadline_seconds(self) -> i64 {
        self.row().deadline_seconds
    }

    /// Maximum number of tasks in one run.
    #[must_use]
    pub const fn tasks_limit(self) -> usize {
        self.row().tasks_limit
    }

    /// Whether one run may work on several tasks.
    #[must_use]
    pub const fn takes_many_tasks(self) -> bool {
        self.tasks_limit() > 1
    }

    /// Whether the run writes the documents of its tasks, and nothing else: any other change is refused at publish.
    #[must_use]
    pub const fn writes_documents(self) -> bool {
        self.row().writes_documents
    }

    /// Whether the run changes source code. Such a run has [`CodeDetails`](super::CodeDetails), needs the content of Git LFS
    /// files, and works on a task whose dependencies should be done.
    #[must_use]
    pub const fn changes_code(self) -> bool {
        self.row().changes_code
    }

    /// Whether the run reads the documents of its task, possibly from a separate docs repository.
    #[must_use]
    pub const fn needs_documents(self) -> bool {
        self.row().needs_documents
    }

    /// Whether runs of a service share one workspace, one at a time. Otherwise each run owns its workspace.
    #[must_use]
    pub const fn shares_workspace(self) -> bool {
        self.row().shares_workspace
    }
}

impl From<RunKind> for resources::Kind {
    fn from(kind: RunKind) -> Self {
        match kind {
            RunKind::Docs => Self::Docs,
            RunKind::Code => Self::Code,
        }
    }
}

impl std::fmt::Display for RunKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returns the directory of the documents of a task, relative to the project. Tags other than `master` have a folder
/// of their own. Path separators and dots of an id or tag are percent-encoded, so the result stays below
/// `.taskmaster/docs`.
#[must_use]
pub fn documents_directory(tag: &str, task: &str) -> String {
    let task = encode_component(task);
    if tag == "master" {
        return format!(".taskmaster/docs/task-{task}");
    }
    let tag: Vec<String> = tag
        .split('/')
        .map(|part| match part {
            "" => "%".into(),
            "." | ".." => part.replace('.', "%2E"),
            part => encode_component(part),
        })
        .collect();
    format!(".taskmaster/docs/{}/task-{task}", tag.join("/"))
}

fn encode_component(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '/' | '\\') {
            // Writing to a string cannot fail.
            let _ = write!(part, "%{:02X}", u32::from(c));
        } else {
            part.push(c);
        }
    }
    part
}

/// Whether a task can have documents. An id or tag that reads like a path cannot.
#[must_use]
pub fn can_have_documents(tag: &str, task: &str) -> bool {
    encode_component(task) == task
        && tag
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && encode_component(part) == part)
}

/// Returns the paths of all documents of `tasks`, from the repository root.
#[must_use]
pub fn documents(working_directory: &str, tag: &str, tasks: &[String]) -> Vec<String> {
    let prefix = naming::directory_prefix(working_directory);
    let of_task = |id: &String| {
        let directory = documents_directory(tag, id);
        DOCUMENTS.map(|file| format!("{prefix}{directory}/{file}"))
    };
    tasks.iter().flat_map(of_task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_path_characters_in_ids() {
        for (tag, task, directory) in [
            ("master", "3", ".taskmaster/docs/task-3"),
            (
                "Feature/X",
                "TASK-1.2",
                ".taskmaster/docs/Feature/X/task-TASK-1.2",
            ),
        ] {
            assert_eq!(documents_directory(tag, task), directory);
            assert!(can_have_documents(tag, task));
        }
        for (tag, task, directory) in [
            ("master", "../../x", ".taskmaster/docs/task-..%2F..%2Fx"),
            ("master", "a\\b\n", ".taskmaster/docs/task-a%5Cb%0A"),
            ("../..", "1", ".taskmaster/docs/%2E%2E/%2E%2E/task-1"),
            ("/etc", "1", ".taskmaster/docs/%/etc/task-1"),
        ] {
            assert_eq!(documents_directory(tag, task), directory);
            assert!(!can_have_documents(tag, task));
        }
    }
}
