//! Reads `tasks.json` in every shape people and tools have written it, and says what it had to tolerate.
//!
//! One bad task never hides the others. Reading never writes, and never migrates.

mod cursor;
mod fields;
mod place;

use std::borrow::Cow;

pub(super) use self::cursor::Cursor;
use self::{
    cursor::Kind,
    fields::{dependencies, looks_like_tasks, prose, short, word},
    place::Lines,
};
use super::{Finding, FindingKind, Priority, Status, Tag, Task, TaskFile, validate};

/// Name of the tag of a file without tags, and of a project that never chose one.
pub const DEFAULT_TAG: &str = "master";

/// Lists within lists of tasks that are followed.
const NESTED_LISTS: usize = 8;

/// Why there is no plan in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the file is empty")]
    Empty,
    /// Places count from 1, the column in bytes.
    #[error("line {line}, column {column}: not JSON: {message}")]
    NotJson {
        line: usize,
        column: usize,
        message: String,
    },
    #[error("the file holds {0}, not a list of tasks")]
    NotAPlan(&'static str),
}

/// Reads a task file.
///
/// # Errors
/// When the bytes are no JSON at all, or JSON that is neither an object nor a list.
pub fn read(bytes: &[u8]) -> Result<TaskFile, ReadError> {
    read_placed(bytes).map(|(file, _)| file)
}

/// Reads a task file, and where in it every task stands: per tag, in its order.
pub(super) fn read_placed(bytes: &[u8]) -> Result<(TaskFile, Vec<Vec<Stands>>), ReadError> {
    let lossy = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let (text, marked) = match lossy.strip_prefix('\u{feff}') {
        Some(rest) => (rest, true),
        None => (lossy.as_ref(), false),
    };
    if text.trim().is_empty() {
        return Err(ReadError::Empty);
    }
    let end = judge(text)?;

    let mut reader = Reader {
        lines: Lines::new(text),
        file: TaskFile::default(),
        places: Vec::new(),
        tag: None,
    };
    if marked {
        reader.note(
            FindingKind::ByteOrderMark,
            None,
            0,
            "the file starts with a byte-order mark; task-master cannot read it",
        );
    }
    if let (Cow::Owned(_), Some(at)) = (&lossy, text.find('\u{fffd}')) {
        reader.note(
            FindingKind::Encoding,
            None,
            at,
            "not UTF-8: what cannot be read is shown as \u{fffd}",
        );
    }
    let mut cursor = Cursor::new(text);
    match cursor.kind() {
        Kind::Object => reader.root(&mut cursor),
        Kind::Array => {
            reader.note(
                FindingKind::Field,
                None,
                cursor.offset(),
                "the file is a bare list of tasks",
            );
            reader.list(&mut cursor, DEFAULT_TAG);
        }
        Kind::String => return Err(ReadError::NotAPlan("a string")),
        Kind::Null => return Err(ReadError::NotAPlan("null")),
        Kind::Scalar => return Err(ReadError::NotAPlan("a number or a boolean")),
    }
    let rest = &text[end..];
    let blank = rest.len() - rest.trim_start().len();
    if blank < rest.len() {
        reader.note(
            FindingKind::TrailingText,
            None,
            end + blank,
            "text follows the JSON value and is not read",
        );
    }
    Ok((reader.file, reader.places))
}

/// Offset behind the first JSON value.
fn judge(text: &str) -> Result<usize, ReadError> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(values.byte_offset()),
        Some(Err(error)) => {
            let message = error.to_string();
            let message = message
                .rsplit_once(" at line ")
                .map_or(message.as_str(), |(what, _)| what);
            Err(ReadError::NotJson {
                line: error.line(),
                column: error.column(),
                message: message.to_owned(),
            })
        }
        None => Err(ReadError::Empty),
    }
}

/// The file so far, and where in it the reader is.
struct Reader<'a> {
    lines: Lines<'a>,
    file: TaskFile,
    /// Per tag of the file.
    places: Vec<Vec<Stands>>,
    tag: Option<String>,
}

/// Where the object of a task stands, for what is said or done about it later: offsets in bytes, a byte-order mark not counted.
#[derive(Default)]
pub(super) struct Stands {
    pub(super) task: usize,
    pub(super) subtasks: Vec<usize>,
}

/// The fields of a task as they were met.
#[derive(Default)]
struct Fields {
    id: Option<String>,
    title: Option<String>,
    description: Option<String>,
    status: Option<String>,
    priority: Option<String>,
}

impl Reader<'_> {
    fn note(
        &mut self,
        kind: FindingKind,
        task: Option<&str>,
        offset: usize,
        message: impl Into<String>,
    ) {
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

    fn root(&mut self, cursor: &mut Cursor<'_>) {
        let start = cursor.offset();
        cursor.object(|cursor, key| match cursor.kind() {
            Kind::Array if key == "tasks" => self.list(cursor, DEFAULT_TAG),
            Kind::Array if looks_like_tasks(*cursor) => {
                let at = cursor.offset();
                self.note(
                    FindingKind::Field,
                    None,
                    at,
                    format!("tag {key} is a bare list of tasks; task-master shows none of them"),
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
    fn member(&mut self, cursor: &mut Cursor<'_>, name: &str) {
        cursor.object(|cursor, key| {
            if key == "tasks" && cursor.kind() == Kind::Array {
                self.list(cursor, name);
            } else {
                cursor.raw();
            }
        });
    }

    /// The member `tags`: a tag of that name, or what some agents write, all tags in one object.
    fn tags(&mut self, cursor: &mut Cursor<'_>) {
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

    fn list(&mut self, cursor: &mut Cursor<'_>, name: &str) {
        let at = cursor.offset();
        self.tag = Some(name.to_owned());
        let mut tag = Tag {
            name: name.to_owned(),
            tasks: Vec::new(),
        };
        let mut stands = Vec::new();
        self.tasks(cursor, &mut tag.tasks, &mut stands, 0);
        for problem in validate::problems(&tag) {
            let stand = &stands[problem.task];
            let offset = problem
                .subtask
                .map_or(stand.task, |subtask| stand.subtasks[subtask]);
            self.note(problem.kind, Some(&problem.id), offset, problem.message);
        }
        if let Some(earlier) = self.file.tags.iter().position(|tag| tag.name == name) {
            self.file.tags[earlier] = tag;
            self.places[earlier] = stands;
            self.note(
                FindingKind::DuplicateId,
                None,
                at,
                format!("the file has tag {name} twice; the last one counts"),
            );
        } else {
            self.file.tags.push(tag);
            self.places.push(stands);
        }
        self.tag = None;
    }

    fn tasks(
        &mut self,
        cursor: &mut Cursor<'_>,
        tasks: &mut Vec<Task>,
        stands: &mut Vec<Stands>,
        depth: usize,
    ) {
        cursor.array(|cursor| match cursor.kind() {
            Kind::Object => {
                let position = tasks.len();
                let (task, stand) = self.task(cursor, position, None);
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

    /// Reads one task, or with `parent` one subtask.
    fn task(
        &mut self,
        cursor: &mut Cursor<'_>,
        position: usize,
        parent: Option<&Task>,
    ) -> (Task, Stands) {
        let start = cursor.offset();
        let mut stand = Stands {
            task: start,
            ..Stands::default()
        };
        let mut fields = Fields::default();
        let mut task = Task {
            line: self.lines.line(start),
            ..Task::default()
        };
        // Subtasks are read last: their ids need this task's id, which may be written behind them.
        let mut subtasks = None;
        let mut remarks: Vec<(usize, String)> = Vec::new();
        cursor.object(|cursor, key| {
            let at = cursor.offset();
            match key {
                "id" => fields.id = word(cursor),
                "title" => fields.title = word(cursor),
                "description" => fields.description = prose(cursor, key, &mut remarks),
                "status" => fields.status = word(cursor),
                "priority" => fields.priority = word(cursor),
                "details" => task.details = prose(cursor, key, &mut remarks).unwrap_or_default(),
                "testStrategy" => {
                    task.test_strategy = prose(cursor, key, &mut remarks).unwrap_or_default();
                }
                "dependencies" => task.dependencies = dependencies(cursor, &mut remarks),
                "subtasks" => match cursor.kind() {
                    Kind::Array => {
                        subtasks = Some(*cursor);
                        cursor.raw();
                    }
                    Kind::Null => {
                        cursor.raw();
                    }
                    _ => remarks.push((
                        at,
                        format!("subtasks is {}, not a list", short(cursor.raw())),
                    )),
                },
                _ => {
                    cursor.raw();
                }
            }
        });

        if fields.id.is_none() {
            remarks.push((start, "the task has no id".into()));
        }
        let written = fields.id.unwrap_or_else(|| format!("?{}", position + 1));
        task.id = parent
            .and_then(|parent| written.strip_prefix(&parent.id)?.strip_prefix('.'))
            .filter(|own| !own.is_empty())
            .map_or_else(|| written.clone(), str::to_owned);
        let id = parent.map_or_else(|| task.id.clone(), |parent| parent.subtask_id(&task));
        let top = parent.is_none();
        task.description = fields.description.unwrap_or_default();
        if top && task.description.trim().is_empty() {
            remarks.push((
                start,
                "no description; task-master refuses the whole list for it".into(),
            ));
        }
        task.title = fields.title.unwrap_or_else(|| {
            remarks.push((start, "no title".into()));
            let first = task.description.trim().lines().next().unwrap_or_default();
            if first.is_empty() {
                "(no title)".into()
            } else {
                first.to_owned()
            }
        });
        match &fields.status {
            Some(word) => task.status = Status::parse(word),
            None if top => remarks.push((start, "no status; taken as pending".into())),
            None => {}
        }
        if let Status::Other(word) = &task.status {
            remarks.push((
                start,
                format!("the status \"{}\" is none of Task Master's", short(word)),
            ));
        }
        match &fields.priority {
            Some(word) => task.priority = Priority::parse(word),
            None => match parent {
                Some(parent) => task.priority = parent.priority.clone(),
                None => remarks.push((start, "no priority; taken as medium".into())),
            },
        }
        if let (Some(_), Priority::Other(word)) = (&fields.priority, &task.priority) {
            remarks.push((
                start,
                format!("the priority \"{}\" is none of Task Master's", short(word)),
            ));
        }
        for (at, message) in remarks {
            self.note(FindingKind::Field, Some(&id), at, message);
        }
        if let Some(mut cursor) = subtasks {
            if top {
                self.subtasks(&mut cursor, &mut task, &mut stand);
            } else if !cursor
                .raw()
                .trim_matches(['[', ']', ' ', '\t', '\r', '\n'])
                .is_empty()
            {
                self.note(
                    FindingKind::Field,
                    Some(&id),
                    start,
                    "subtasks of a subtask are not read",
                );
            }
        }
        (task, stand)
    }

    fn subtasks(&mut self, cursor: &mut Cursor<'_>, task: &mut Task, stand: &mut Stands) {
        let mut subtasks = Vec::new();
        cursor.array(|cursor| {
            if cursor.kind() == Kind::Object {
                let (subtask, inner) = self.task(cursor, subtasks.len(), Some(task));
                subtasks.push(subtask);
                stand.subtasks.push(inner.task);
            } else {
                let at = cursor.offset();
                let what = short(cursor.raw());
                self.note(
                    FindingKind::Field,
                    Some(&task.id),
                    at,
                    format!("{what} stands where a subtask should be, and is skipped"),
                );
            }
        });
        task.subtasks = subtasks;
    }
}

#[cfg(test)]
mod tests;
