//! Shapes of a task file: tags, a bare list, nested lists. `task` reads the tasks.

use super::{
    DEFAULT_TAG,
    cursor::{Cursor, ValueKind},
    fields::{excerpt, looks_like_tasks},
    line_index::LineIndex,
};
use crate::{
    runs::can_have_documents,
    tasks::{Finding, FindingKind, Tag, Task, TaskFile, validate},
};

/// Maximum depth of nested task lists.
const NESTED_LISTS: usize = 8;
/// Findings kept per kind; the rest is counted.
const FINDINGS: usize = 5_000;

/// Number of findings per kind.
pub(super) type FindingCounts = [usize; FindingKind::ALL.len()];

/// State of reading a file.
pub(super) struct Reader<'a> {
    pub(super) lines: LineIndex<'a>,
    pub(super) file: TaskFile,
    /// Task offsets per tag.
    places: Vec<Vec<TaskOffsets>>,
    tag: Option<String>,
    /// Number of findings per kind.
    pub(super) counts: FindingCounts,
}

/// Byte offsets of a task and its subtasks, not counting a byte-order mark.
#[derive(Default)]
pub(in crate::tasks) struct TaskOffsets {
    pub(in crate::tasks) task: usize,
    pub(in crate::tasks) subtasks: Vec<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            lines: LineIndex::new(text),
            file: TaskFile::default(),
            places: Vec::new(),
            tag: None,
            counts: FindingCounts::default(),
        }
    }

    /// Returns the file and the task offsets.
    pub(super) fn finish(mut self) -> (TaskFile, Vec<Vec<TaskOffsets>>) {
        for (kind, count) in FindingKind::ALL.into_iter().zip(self.counts) {
            let more = count.saturating_sub(FINDINGS);
            if more == 0 {
                continue;
            }
            self.file.findings.push(Finding {
                kind,
                tag: None,
                task: None,
                message: format!("and {more} more findings of this kind"),
                line: 0,
                column: 0,
            });
        }
        (self.file, self.places)
    }

    pub(super) fn note(
        &mut self,
        kind: FindingKind,
        task: Option<&str>,
        offset: usize,
        message: impl Into<String>,
    ) {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        if *count > FINDINGS {
            return;
        }
        let (line, column) = self.lines.line_column(offset);
        self.file.findings.push(Finding {
            kind,
            tag: self.tag.clone(),
            task: task.map(str::to_owned),
            message: message.into(),
            line,
            column,
        });
    }

    pub(super) fn root(&mut self, cursor: &mut Cursor<'a>) {
        let start = cursor.offset();
        cursor.object(|cursor, key| match cursor.kind() {
            ValueKind::Array if key == "tasks" => self.list(cursor, DEFAULT_TAG),
            ValueKind::Array if looks_like_tasks(*cursor) => {
                let at = cursor.offset();
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    format!(
                        "tag {} is a bare list of tasks; task-master ignores it",
                        excerpt(key)
                    ),
                );
                self.list(cursor, key);
            }
            ValueKind::Object if key == "tags" => self.tags(cursor),
            ValueKind::Object => self.tag_object(cursor, key),
            _ => {
                cursor.raw();
            }
        });
        if self.file.tags.is_empty() {
            self.note(
                FindingKind::Field,
                None,
                start,
                "the file has no list of tasks",
            );
        }
    }

    /// Reads a member as a tag, if it has a list of tasks.
    fn tag_object(&mut self, cursor: &mut Cursor<'a>, name: &str) {
        cursor.object(|cursor, key| {
            if key == "tasks" && cursor.kind() == ValueKind::Array {
                self.list(cursor, name);
            } else {
                cursor.raw();
            }
        });
    }

    /// Reads the member `tags`: a tag with this name, or an object with all tags, as some agents write it.
    fn tags(&mut self, cursor: &mut Cursor<'a>) {
        let at = cursor.offset();
        let known = self.file.tags.len();
        self.tag_object(&mut { *cursor }, "tags");
        cursor.object(|cursor, key| {
            if cursor.kind() == ValueKind::Object {
                self.tag_object(cursor, key);
            } else {
                cursor.raw();
            }
        });
        if self.file.tags[known..].iter().any(|tag| tag.name != "tags") {
            self.note(
                FindingKind::Field,
                None,
                at,
                "tags are nested in another object; task-master ignores them",
            );
        }
    }

    pub(super) fn list(&mut self, cursor: &mut Cursor<'a>, name: &str) {
        let at = cursor.offset();
        self.tag = Some(name.to_owned());
        if !can_have_documents(name, "") {
            self.note(
                FindingKind::Field,
                None,
                at,
                "the tag looks like a path; its tasks cannot have documents",
            );
        }
        let mut tag = Tag {
            name: name.to_owned(),
            tasks: Vec::new(),
        };
        let mut offsets = Vec::new();
        self.tasks(cursor, &mut tag.tasks, &mut offsets, 0);
        // Findings about a file that is not JSON are meaningless.
        if !cursor.is_broken() {
            validate::problems(&tag, |problem| {
                let task_offsets = &offsets[problem.task];
                let offset = problem
                    .subtask
                    .map_or(task_offsets.task, |subtask| task_offsets.subtasks[subtask]);
                self.note(problem.kind, Some(&problem.id), offset, problem.message);
            });
        }
        if let Some(earlier) = self.file.tags.iter().position(|tag| tag.name == name) {
            self.file.tags[earlier] = tag;
            self.places[earlier] = offsets;
            self.note(
                FindingKind::DuplicateId,
                None,
                at,
                format!("duplicate tag {}; the last one is used", excerpt(name)),
            );
        } else {
            self.file.tags.push(tag);
            self.places.push(offsets);
        }
        self.tag = None;
    }

    fn tasks(
        &mut self,
        cursor: &mut Cursor<'a>,
        tasks: &mut Vec<Task>,
        offsets: &mut Vec<TaskOffsets>,
        depth: usize,
    ) {
        cursor.array(|cursor| match cursor.kind() {
            ValueKind::Object => {
                let position = tasks.len();
                let (task, task_offsets) = self.task(cursor, position);
                tasks.push(task);
                offsets.push(task_offsets);
            }
            ValueKind::Array if depth < NESTED_LISTS => {
                let at = cursor.offset();
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    "nested list of tasks; read as one list",
                );
                self.tasks(cursor, tasks, offsets, depth + 1);
            }
            _ => {
                let at = cursor.offset();
                let what = excerpt(cursor.raw());
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    format!("{what} is not a task; skipped"),
                );
            }
        });
    }
}
