//! The shapes a task file has: tags, a bare list, lists within lists. What a task is, `task` knows.

use super::{
    DEFAULT_TAG,
    cursor::{Cursor, Kind},
    fields::{looks_like_tasks, short},
    place::Lines,
};
use crate::{
    runs::can_have_documents,
    tasks::{Finding, FindingKind, Tag, Task, TaskFile, validate},
};

/// Lists within lists of tasks that are followed.
const NESTED_LISTS: usize = 8;
/// Findings of one kind that are kept; the rest is counted.
const FINDINGS: usize = 5_000;

/// By kind.
pub(super) type Counts = [usize; FindingKind::ALL.len()];

/// The file so far, and where in it the reader is.
pub(super) struct Reader<'a> {
    pub(super) lines: Lines<'a>,
    pub(super) file: TaskFile,
    /// Per tag of the file.
    places: Vec<Vec<Stands>>,
    tag: Option<String>,
    /// How many findings of each kind there are.
    pub(super) counts: Counts,
}

/// Where the object of a task stands, for what is said or done about it later: offsets in bytes, a byte-order mark not counted.
#[derive(Default)]
pub(in crate::tasks) struct Stands {
    pub(in crate::tasks) task: usize,
    pub(in crate::tasks) subtasks: Vec<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            lines: Lines::new(text),
            file: TaskFile::default(),
            places: Vec::new(),
            tag: None,
            counts: Counts::default(),
        }
    }

    /// What was read, and where it stands.
    pub(super) fn finish(mut self) -> (TaskFile, Vec<Vec<Stands>>) {
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
        let (line, column) = self.lines.place(offset);
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
            Kind::Array if key == "tasks" => self.list(cursor, DEFAULT_TAG),
            Kind::Array if looks_like_tasks(*cursor) => {
                let at = cursor.offset();
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    format!(
                        "tag {} is a bare list of tasks; task-master shows none of them",
                        short(key)
                    ),
                );
                self.list(cursor, key);
            }
            Kind::Object if key == "tags" => self.tags(cursor),
            Kind::Object => self.member(cursor, key),
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

    /// A member of the file that is a tag if it has a list of tasks.
    fn member(&mut self, cursor: &mut Cursor<'a>, name: &str) {
        cursor.object(|cursor, key| {
            if key == "tasks" && cursor.kind() == Kind::Array {
                self.list(cursor, name);
            } else {
                cursor.raw();
            }
        });
    }

    /// The member `tags`: a tag of that name, or what some agents write, all tags in one object.
    fn tags(&mut self, cursor: &mut Cursor<'a>) {
        let at = cursor.offset();
        let known = self.file.tags.len();
        self.member(&mut { *cursor }, "tags");
        cursor.object(|cursor, key| {
            if cursor.kind() == Kind::Object {
                self.member(cursor, key);
            } else {
                cursor.raw();
            }
        });
        if self.file.tags[known..].iter().any(|tag| tag.name != "tags") {
            self.note(
                FindingKind::Field,
                None,
                at,
                "the tags stand within another object; task-master shows none of them",
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
                "the tag reads like a path; its tasks can have no documents",
            );
        }
        let mut tag = Tag {
            name: name.to_owned(),
            tasks: Vec::new(),
        };
        let mut stands = Vec::new();
        self.tasks(cursor, &mut tag.tasks, &mut stands, 0);
        // Of what is not JSON nothing is said but that.
        if !cursor.is_broken() {
            validate::problems(&tag, |problem| {
                let stand = &stands[problem.task];
                let offset = problem
                    .subtask
                    .map_or(stand.task, |subtask| stand.subtasks[subtask]);
                self.note(problem.kind, Some(&problem.id), offset, problem.message);
            });
        }
        if let Some(earlier) = self.file.tags.iter().position(|tag| tag.name == name) {
            self.file.tags[earlier] = tag;
            self.places[earlier] = stands;
            self.note(
                FindingKind::DuplicateId,
                None,
                at,
                format!(
                    "the file has tag {} twice; the last one counts",
                    short(name)
                ),
            );
        } else {
            self.file.tags.push(tag);
            self.places.push(stands);
        }
        self.tag = None;
    }

    fn tasks(
        &mut self,
        cursor: &mut Cursor<'a>,
        tasks: &mut Vec<Task>,
        stands: &mut Vec<Stands>,
        depth: usize,
    ) {
        cursor.array(|cursor| match cursor.kind() {
            Kind::Object => {
                let position = tasks.len();
                let (task, stand) = self.task(cursor, position);
                tasks.push(task);
                stands.push(stand);
            }
            Kind::Array if depth < NESTED_LISTS => {
                let at = cursor.offset();
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    "a list within the list of tasks; its tasks are read as if they stood alone",
                );
                self.tasks(cursor, tasks, stands, depth + 1);
            }
            _ => {
                let at = cursor.offset();
                let what = short(cursor.raw());
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    format!("{what} stands where a task should be, and is skipped"),
                );
            }
        });
    }
}
