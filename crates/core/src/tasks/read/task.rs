//! One task, and its subtasks, read whatever its fields are.

use std::borrow::Cow;

use super::{
    cursor::{Cursor, Kind},
    fields::{Remarks, dependencies, prose, short, word},
    file::{Counts, Reader, Stands},
};
use crate::{
    runs::can_have_documents,
    tasks::{Finding, FindingKind, Priority, Status, Task},
};

/// What a subtask takes from its parent.
#[derive(PartialEq)]
struct Parent {
    id: String,
    priority: Priority,
}

/// The subtasks of a task.
struct Below {
    of: Parent,
    tasks: Vec<Task>,
    places: Vec<usize>,
    /// What was tolerated in them.
    findings: Vec<Finding>,
}

/// The fields of a task as they were met.
#[derive(Default)]
struct Fields<'a> {
    id: Option<Cow<'a, str>>,
    title: Option<Cow<'a, str>>,
    description: Option<String>,
    status: Option<Cow<'a, str>>,
    priority: Option<Cow<'a, str>>,
    /// On the list of them.
    subtasks: Option<Cursor<'a>>,
    /// The same read at once, where what they take from their parent stood before them, as it mostly does; and what was counted then.
    below: Option<(Below, Counts)>,
}

impl<'a> Reader<'a> {
    /// Reads a task; `position` is its place in the list.
    pub(super) fn task(&mut self, cursor: &mut Cursor<'a>, position: usize) -> (Task, Stands) {
        let start = cursor.offset();
        let mut remarks = Remarks::new();
        let (mut task, fields) = self.fields(cursor, &mut remarks, true);
        if fields.id.is_none() {
            remarks.push((start, "the task has no id".into()));
        }
        task.id = identity(fields.id, position);
        if !can_have_documents("master", &task.id) {
            remarks.push((
                start,
                "the id reads like a path; the task can have no documents".into(),
            ));
        }
        task.description = fields.description.unwrap_or_default();
        if task.description.trim_start().is_empty() {
            remarks.push((
                start,
                "no description; task-master refuses the whole list for it".into(),
            ));
        }
        task.title = title(fields.title, &task.description, start, &mut remarks);
        match &fields.status {
            Some(word) => task.status = status(word, start, &mut remarks),
            None => remarks.push((start, "no status; taken as pending".into())),
        }
        match &fields.priority {
            Some(word) => task.priority = priority(word, start, &mut remarks),
            None => remarks.push((start, "no priority; taken as medium".into())),
        }
        self.remark(&task.id, remarks);
        let mut stand = Stands {
            task: start,
            subtasks: Vec::new(),
        };
        if let Some(below) = self.below(&task, fields.subtasks, fields.below) {
            task.subtasks = below.tasks;
            stand.subtasks = below.places;
            self.file.findings.extend(below.findings);
        }
        (task, stand)
    }

    /// The subtasks of a task that is known by now: those read already if they took the right things from it.
    fn below(
        &mut self,
        task: &Task,
        list: Option<Cursor<'a>>,
        read: Option<(Below, Counts)>,
    ) -> Option<Below> {
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

    fn subtasks(&mut self, cursor: &mut Cursor<'a>, of: Parent) -> Below {
        let mark = self.file.findings.len();
        let (mut tasks, mut places) = (Vec::new(), Vec::new());
        cursor.array(|cursor| {
            let at = cursor.offset();
            if cursor.kind() == Kind::Object {
                tasks.push(self.subtask(cursor, tasks.len(), &of));
                places.push(at);
            } else {
                let what = short(cursor.raw());
                self.note(
                    FindingKind::Field,
                    Some(&of.id),
                    at,
                    format!("{what} stands where a subtask should be, and is skipped"),
                );
            }
        });
        Below {
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
        let written = identity(fields.id, position);
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
                remarks.push((start, "subtasks of a subtask are not read".into()));
            }
        }
        if !remarks.is_empty() {
            self.remark(&format!("{}.{}", parent.id, task.id), remarks);
        }
        task
    }

    fn remark(&mut self, id: &str, remarks: Remarks) {
        for (at, message) in remarks {
            self.note(FindingKind::Field, Some(id), at, message);
        }
    }

    /// Reads the members of a task. Those that depend on others are returned as they stand.
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
            "id" => fields.id = word(cursor),
            "title" => fields.title = word(cursor),
            "description" => fields.description = prose(cursor, key, remarks),
            "status" => fields.status = word(cursor),
            "priority" => fields.priority = word(cursor),
            "details" => task.details = prose(cursor, key, remarks).unwrap_or_default(),
            "testStrategy" => {
                task.test_strategy = prose(cursor, key, remarks).unwrap_or_default();
            }
            "dependencies" => task.dependencies = dependencies(cursor, remarks),
            "subtasks" => {
                let at = cursor.offset();
                if cursor.kind() == Kind::Array {
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
                if !matches!(kind, Kind::Array | Kind::Null) {
                    remarks.push((at, format!("subtasks is {}, not a list", short(raw))));
                }
            }
            _ => {
                cursor.raw();
            }
        });
        (task, fields)
    }
}

fn identity(id: Option<Cow<'_, str>>, position: usize) -> String {
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
        remarks.push((
            start,
            format!("the status \"{}\" is none of Task Master's", short(word)),
        ));
    }
    status
}

fn priority(word: &str, start: usize, remarks: &mut Remarks) -> Priority {
    let priority = Priority::parse(word);
    if let Priority::Other(word) = &priority {
        remarks.push((
            start,
            format!("the priority \"{}\" is none of Task Master's", short(word)),
        ));
    }
    priority
}
