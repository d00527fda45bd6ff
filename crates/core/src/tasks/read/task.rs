//! Reads a task and its subtasks.

use std::borrow::Cow;

use super::{
    cursor::{Cursor, ValueKind},
    fields::{Remarks, dependencies, excerpt, long_text, short_text},
    file::{FindingCounts, Reader, TaskOffsets},
};
use crate::{
    runs::can_have_documents,
    tasks::{Finding, FindingKind, Priority, Status, Task},
};

/// Values that subtasks inherit.
#[derive(PartialEq)]
struct Parent {
    id: String,
    priority: Priority,
}

/// The subtasks of a task.
struct Subtasks {
    of: Parent,
    tasks: Vec<Task>,
    places: Vec<usize>,
    /// Findings about the subtasks.
    findings: Vec<Finding>,
}

/// Fields as read, before defaults are applied.
#[derive(Default)]
struct Fields<'a> {
    id: Option<Cow<'a, str>>,
    title: Option<Cow<'a, str>>,
    description: Option<String>,
    status: Option<Cow<'a, str>>,
    priority: Option<Cow<'a, str>>,
    /// Position of the list.
    subtasks: Option<Cursor<'a>>,
    /// Subtasks read immediately, if the inherited fields preceded the list, with the finding counts before it.
    below: Option<(Subtasks, FindingCounts)>,
}

impl<'a> Reader<'a> {
    /// Reads a task; `position` is its index in the list.
    pub(super) fn task(&mut self, cursor: &mut Cursor<'a>, position: usize) -> (Task, TaskOffsets) {
        let start = cursor.offset();
        let mut remarks = Remarks::new();
        let (mut task, fields) = self.fields(cursor, &mut remarks, true);
        if fields.id.is_none() {
            remarks.push((start, "the task has no id".into()));
        }
        task.id = id_or_position(fields.id, position);
        if !can_have_documents("master", &task.id) {
            remarks.push((
                start,
                "the id looks like a path; the task cannot have documents".into(),
            ));
        }
        task.description = fields.description.unwrap_or_default();
        if task.description.trim_start().is_empty() {
            remarks.push((start, "no description; task-master rejects the file".into()));
        }
        task.title = title(fields.title, &task.description, start, &mut remarks);
        match &fields.status {
            Some(word) => task.status = status(word, start, &mut remarks),
            None => remarks.push((start, "no status; assuming pending".into())),
        }
        match &fields.priority {
            Some(word) => task.priority = priority(word, start, &mut remarks),
            None => remarks.push((start, "no priority; assuming medium".into())),
        }
        self.add_remarks(&task.id, remarks);
        let mut task_offsets = TaskOffsets {
            task: start,
            subtasks: Vec::new(),
        };
        if let Some(below) = self.below(&task, fields.subtasks, fields.below) {
            task.subtasks = below.tasks;
            task_offsets.subtasks = below.places;
            self.file.findings.extend(below.findings);
        }
        (task, task_offsets)
    }

    /// Returns the subtasks: those already read if they inherited the right values, otherwise reads them again.
    fn below(
        &mut self,
        task: &Task,
        list: Option<Cursor<'a>>,
        read: Option<(Subtasks, FindingCounts)>,
    ) -> Option<Subtasks> {
        let of = Parent {
            id: task.id.clone(),
            priority: task.priority.clone(),
        };
        match read {
            Some((below, _)) if below.of == of => Some(below),
            read => {
                self.counts = read.map_or(self.counts, |(_, before)| before);
                Some(self.subtasks(&mut list?, of))
            }
        }
    }

    fn subtasks(&mut self, cursor: &mut Cursor<'a>, of: Parent) -> Subtasks {
        let mark = self.file.findings.len();
        let (mut tasks, mut places) = (Vec::new(), Vec::new());
        cursor.array(|cursor| {
            let at = cursor.offset();
            if cursor.kind() == ValueKind::Object {
                tasks.push(self.subtask(cursor, tasks.len(), &of));
                places.push(at);
            } else {
                let what = excerpt(cursor.raw());
                self.note(
                    FindingKind::Field,
                    Some(&of.id),
                    at,
                    format!("{what} is not a subtask; skipped"),
                );
            }
        });
        Subtasks {
            of,
            tasks,
            places,
            findings: self.file.findings.split_off(mark),
        }
    }

    fn subtask(&mut self, cursor: &mut Cursor<'a>, position: usize, parent: &Parent) -> Task {
        let start = cursor.offset();
        let mut remarks = Remarks::new();
        let (mut task, fields) = self.fields(cursor, &mut remarks, false);
        if fields.id.is_none() {
            remarks.push((start, "the task has no id".into()));
        }
        let written = id_or_position(fields.id, position);
        let own = written
            .strip_prefix(&parent.id)
            .and_then(|rest| rest.strip_prefix('.'))
            .filter(|own| !own.is_empty());
        task.id = match own {
            Some(own) => own.to_owned(),
            None => written,
        };
        task.description = fields.description.unwrap_or_default();
        task.title = title(fields.title, &task.description, start, &mut remarks);
        if let Some(word) = &fields.status {
            task.status = status(word, start, &mut remarks);
        }
        task.priority = match &fields.priority {
            Some(word) => priority(word, start, &mut remarks),
            None => parent.priority.clone(),
        };
        if let Some(mut below) = fields.subtasks {
            let empty = below.raw().trim_matches(['[', ']', ' ', '\t', '\r', '\n']);
            if !empty.is_empty() {
                remarks.push((start, "subtasks of a subtask are ignored".into()));
            }
        }
        if !remarks.is_empty() {
            self.add_remarks(&format!("{}.{}", parent.id, task.id), remarks);
        }
        task
    }

    fn add_remarks(&mut self, id: &str, remarks: Remarks) {
        for (at, message) in remarks {
            self.note(FindingKind::Field, Some(id), at, message);
        }
    }

    /// Reads the members of a task. Fields that depend on others are returned unprocessed.
    fn fields(
        &mut self,
        cursor: &mut Cursor<'a>,
        remarks: &mut Remarks,
        top: bool,
    ) -> (Task, Fields<'a>) {
        let mut fields = Fields::default();
        let mut task = Task {
            line: self.lines.line(cursor.offset()),
            ..Task::default()
        };
        cursor.object(|cursor, key| match key {
            "id" => fields.id = short_text(cursor),
            "title" => fields.title = short_text(cursor),
            "description" => fields.description = long_text(cursor, key, remarks),
            "status" => fields.status = short_text(cursor),
            "priority" => fields.priority = short_text(cursor),
            "details" => task.details = long_text(cursor, key, remarks).unwrap_or_default(),
            "testStrategy" => {
                task.test_strategy = long_text(cursor, key, remarks).unwrap_or_default();
            }
            "dependencies" => task.dependencies = dependencies(cursor, remarks),
            "subtasks" => {
                let at = cursor.offset();
                if cursor.kind() == ValueKind::Array {
                    fields.subtasks = Some(*cursor);
                    fields.below = None;
                    if let (true, Some(id), Some(word)) = (top, &fields.id, &fields.priority) {
                        let of = Parent {
                            id: id.clone().into_owned(),
                            priority: Priority::parse(word),
                        };
                        let before = self.counts;
                        fields.below = Some((self.subtasks(cursor, of), before));
                        return;
                    }
                }
                let kind = cursor.kind();
                let raw = cursor.raw();
                if !matches!(kind, ValueKind::Array | ValueKind::Null) {
                    remarks.push((at, format!("subtasks is {}, not a list", excerpt(raw))));
                }
            }
            _ => {
                cursor.raw();
            }
        });
        (task, fields)
    }
}

fn id_or_position(id: Option<Cow<'_, str>>, position: usize) -> String {
    id.map_or_else(|| format!("?{}", position + 1), Cow::into_owned)
}

fn title(
    title: Option<Cow<'_, str>>,
    description: &str,
    start: usize,
    remarks: &mut Remarks,
) -> String {
    if let Some(title) = title {
        return title.into_owned();
    }
    remarks.push((start, "no title".into()));
    let first = description.trim().lines().next().unwrap_or_default();
    if first.is_empty() {
        "(no title)".into()
    } else {
        first.to_owned()
    }
}

fn status(word: &str, start: usize, remarks: &mut Remarks) -> Status {
    let status = Status::parse(word);
    if let Status::Other(word) = &status {
        remarks.push((start, format!("unknown status \"{}\"", excerpt(word))));
    }
    status
}

fn priority(word: &str, start: usize, remarks: &mut Remarks) -> Priority {
    let priority = Priority::parse(word);
    if let Priority::Other(word) = &priority {
        remarks.push((start, format!("unknown priority \"{}\"", excerpt(word))));
    }
    priority
}
