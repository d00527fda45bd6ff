//! Changes the status of one task in the text of a plan, and no other byte: order, indentation, number forms and unknown fields stay
//! as they were written. Pure; `write` does it to a file.

use std::ops::Range;

use super::{
    Status, Tag, Task, TaskFile,
    read::{Cursor, ReadError, Stands, read_placed},
};

/// A plan with a status changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The task, then its parent where that follows. Empty when the task had the status already: then `bytes` are the old ones.
    pub changes: Vec<StatusChange>,
}

/// What became of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// `3`, or `3.2` for a subtask.
    pub id: String,
    pub title: String,
    pub old: Status,
    pub new: Status,
}

/// Why a status was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the file is not UTF-8, so that it cannot be changed without harm; convert it first")]
    NotUtf8,
    #[error("no tag {tag} in the file; it has {}", listed(.known))]
    NoTag { tag: String, known: Vec<String> },
    #[error("no task {id} in tag {tag}")]
    NoTask { id: String, tag: String },
    /// Nobody can say which of them is meant.
    #[error("tag {tag} has task {id} more than once (lines {}); give the others ids of their own first", listed(.lines))]
    Ambiguous {
        id: String,
        tag: String,
        /// From 1.
        lines: Vec<usize>,
    },
}

fn listed(items: &[impl ToString]) -> String {
    if items.is_empty() {
        return "none".into();
    }
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// Gives the task, or the subtask, of that id another status. The parent of a subtask follows as Task Master has it.
///
/// # Errors
/// When the bytes are no plan, or the task is not there exactly once.
pub fn set_status(bytes: &[u8], tag: &str, id: &str, status: &Status) -> Result<Edit, EditError> {
    let whole = std::str::from_utf8(bytes).map_err(|_| EditError::NotUtf8)?;
    let (file, places) = read_placed(bytes)?;
    let (tag, stands) = find_tag(&file, &places, tag)?;
    let (at, inner) = find_task(tag, id)?;
    let (parent, stand) = (&tag.tasks[at], &stands[at]);
    let (task, place) = match inner {
        Some(inner) => (&parent.subtasks[inner], stand.subtasks[inner]),
        None => (parent, stand.task),
    };
    let mut edit = Edit {
        bytes: Vec::new(),
        changes: Vec::new(),
    };
    let mut splices = Vec::new();
    let text = whole.strip_prefix('\u{feff}').unwrap_or(whole);
    let mut change = |id: &str, task: &Task, place: usize, new: Status| {
        splices.push(splice(text, place, &new));
        edit.changes.push(StatusChange {
            id: id.to_owned(),
            title: task.title.clone(),
            old: task.status.clone(),
            new,
        });
    };
    if task.status != *status {
        change(id, task, place, status.clone());
        let followed = inner.and_then(|inner| parent_status(parent, inner, status));
        if let Some(new) = followed.filter(|new| *new != parent.status) {
            change(&parent.id, parent, stand.task, new);
        }
    }
    // From the end, so that the earlier places stay where they are.
    splices.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = whole.to_owned();
    let mark = whole.len() - text.len();
    for (range, new) in splices {
        changed.replace_range(range.start + mark..range.end + mark, &new);
    }
    edit.bytes = changed.into_bytes();
    Ok(edit)
}

fn find_tag<'a>(
    file: &'a TaskFile,
    places: &'a [Vec<Stands>],
    name: &str,
) -> Result<(&'a Tag, &'a [Stands]), EditError> {
    let mut tags = file.tags.iter().zip(places);
    match tags.find(|(tag, _)| tag.name == name) {
        Some((tag, stands)) => Ok((tag, stands)),
        None => Err(EditError::NoTag {
            tag: name.to_owned(),
            known: file.tags.iter().map(|tag| tag.name.clone()).collect(),
        }),
    }
}

/// Position of the task, and that of the subtask in it.
fn find_task(tag: &Tag, id: &str) -> Result<(usize, Option<usize>), EditError> {
    let mut found = Vec::new();
    for (at, task) in tag.tasks.iter().enumerate() {
        if task.id == id {
            found.push((at, None, task.line));
        }
        let own = id.strip_prefix(&task.id);
        let Some(own) = own.and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let below = task.subtasks.iter().enumerate();
        found.extend(
            below
                .filter(|(_, subtask)| subtask.id == own)
                .map(|(inner, subtask)| (at, Some(inner), subtask.line)),
        );
    }
    match found[..] {
        [(at, inner, _)] => Ok((at, inner)),
        [] => Err(EditError::NoTask {
            id: id.to_owned(),
            tag: tag.name.clone(),
        }),
        _ => Err(EditError::Ambiguous {
            id: id.to_owned(),
            tag: tag.name.clone(),
            lines: found.iter().map(|(.., line)| *line).collect(),
        }),
    }
}

/// What a task becomes once its subtask at `inner` has `status`, by the rule of `task-master set-status`: all done, some done or in
/// progress, all pending. `None` where that rule says nothing.
fn parent_status(parent: &Task, inner: usize, status: &Status) -> Option<Status> {
    let subtasks = parent.subtasks.iter().enumerate();
    let statuses: Vec<&Status> = subtasks
        .map(
            |(at, subtask)| {
                if at == inner { status } else { &subtask.status }
            },
        )
        .collect();
    if statuses.iter().all(|status| status.is_done()) {
        Some(Status::Done)
    } else if statuses
        .iter()
        .any(|status| status.is_done() || **status == Status::InProgress)
    {
        Some(Status::InProgress)
    } else {
        let pending = statuses.iter().all(|status| **status == Status::Pending);
        pending.then_some(Status::Pending)
    }
}

/// What to put in place of which part of `text`, so that the object at `place` has the status.
fn splice(text: &str, place: usize, status: &Status) -> (Range<usize>, String) {
    let value = format!("\"{}\"", status.as_str());
    let mut written = None;
    // Behind which member a status would go, and how that member is written up to its value.
    let mut model: Option<(usize, &str)> = None;
    let mut named = false;
    let mut end = place + 1;
    let mut cursor = Cursor::at(text, place);
    cursor.object(|cursor, key| {
        let start = cursor.offset();
        let lead = text.get(end..start).unwrap_or_default();
        end = start + cursor.raw().len();
        if key == "status" {
            // Of two the last one counts, as for every reader of JSON.
            written = Some(start..end);
        }
        if model.is_none() || key == "id" && !named {
            named = key == "id";
            model = Some((end, lead));
        }
    });
    if let Some(range) = written {
        return (range, value);
    }
    let Some((at, lead)) = model else {
        return (place + 1..place + 1, format!("\"status\": {value}"));
    };
    // `,  "id": `: what parts it from the member before, the white space, the key, and what parts that from its value.
    let (before, key) = lead.split_once('"').unwrap_or_default();
    let before = before.split_once(',').map_or(before, |(_, before)| before);
    let colon = key.rsplit_once('"').map_or(": ", |(_, colon)| colon);
    (at..at, format!(",{before}\"status\"{colon}{value}"))
}

#[cfg(test)]
mod tests;
