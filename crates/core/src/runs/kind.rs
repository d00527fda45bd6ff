//! The two kinds of run, and the documents a docs run writes.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::naming;
use crate::resources;

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

/// Where the documents of a task live, from the project directory: those of a tag other than `master` have a folder of its name. An id or a
/// tag that reads like a path (`../../x`) leads nowhere else: what would is written as `%2F`.
#[must_use]
pub fn documents_directory(tag: &str, task: &str) -> String {
    let task = part_of_path(task);
    if tag == "master" {
        return format!(".taskmaster/docs/task-{task}");
    }
    let tag: Vec<String> = tag
        .split('/')
        .map(|part| match part {
            "" => "%".into(),
            "." | ".." => part.replace('.', "%2E"),
            part => part_of_path(part),
        })
        .collect();
    format!(".taskmaster/docs/{}/task-{task}", tag.join("/"))
}

fn part_of_path(text: &str) -> String {
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

/// Whether a task can have documents: an id, or a tag, that reads like a path names no folder.
#[must_use]
pub fn can_have_documents(tag: &str, task: &str) -> bool {
    part_of_path(task) == task
        && tag
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && part_of_path(part) == part)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_reads_like_a_path_never_becomes_one() {
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
