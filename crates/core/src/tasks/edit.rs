//! Changes the status of one task in the text of a plan, and no other byte: order, indentation, number formats and
//! unknown fields are preserved. Pure; `write` applies it to a file.

use std::ops::Range;

use super::{
    Status, Tag, Task, TaskFile,
    read::{Cursor, ReadError, TaskOffsets, read_with_offsets},
};

/// A plan with a changed status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The task, then its parent if its status changes too. Empty if the task already had the status, in which case
    /// `bytes` is unchanged.
    pub changes: Vec<StatusChange>,
}

/// A change of status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// `3`, or `3.2` for a subtask.
    pub id: String,
    pub title: String,
    pub old: Status,
    pub new: Status,
}

/// Error from changing a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the file is not UTF-8 and cannot be changed safely; convert it first")]
    NotUtf8,
    #[error("no tag {tag} in the file; available tags: {}", listed(.known))]
    NoTag { tag: String, known: Vec<String> },
    #[error("no task {id} in tag {tag}")]
    NoTask { id: String, tag: String },
    /// The id is not unique.
    #[error("tag {tag} has more than one task {id} (lines {}); make the ids unique first", listed(.lines))]
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

/// Sets the status of a task or subtask. Updates the status of a subtask's parent by the rule of Task Master.
///
/// # Errors
/// If the bytes are not a plan, or the id does not exist or is not unique.
pub fn set_status(bytes: &[u8], tag: &str, id: &str, status: &Status) -> Result<Edit, EditError> {
    let whole = std::str::from_utf8(bytes).map_err(|_| EditError::NotUtf8)?;
    let (file, places) = read_with_offsets(bytes)?;
    let (tag, offsets) = find_tag(&file, &places, tag)?;
    let (at, inner) = find_task(tag, id)?;
    let (parent, task_offsets) = (&tag.tasks[at], &offsets[at]);
    let (task, place) = match inner {
        Some(inner) => (&parent.subtasks[inner], task_offsets.subtasks[inner]),
        None => (parent, task_offsets.task),
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
            change(&parent.id, parent, task_offsets.task, new);
        }
    }
    // Apply from the end, so that earlier offsets stay valid.
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
    places: &'a [Vec<TaskOffsets>],
    name: &str,
) -> Result<(&'a Tag, &'a [TaskOffsets]), EditError> {
    let mut tags = file.tags.iter().zip(places);
    match tags.find(|(tag, _)| tag.name == name) {
        Some((tag, offsets)) => Ok((tag, offsets)),
        None => Err(EditError::NoTag {
            tag: name.to_owned(),
            known: file.tags.iter().map(|tag| tag.name.clone()).collect(),
        }),
    }
}

/// Returns the index of the task, and of the subtask in it.
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

/// Returns the status of a parent once its subtask at `inner` has `status`, by the rule of `task-master set-status`:
/// done if all are done, in progress if any is done or in progress, pending if all are pending. `None` if the rule
/// does not apply.
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

/// Returns the replacement, and its range in `text`, that sets the status of the object at `place`.
fn splice(text: &str, place: usize, status: &Status) -> (Range<usize>, String) {
    let value = format!("\"{}\"", status.as_str());
    let mut written = None;
    // The member after which to insert a status, with its formatting.
    let mut anchor: Option<(usize, &str)> = None;
    let mut named = false;
    let mut end = place + 1;
    let mut cursor = Cursor::at(text, place);
    cursor.object(|cursor, key| {
        let start = cursor.offset();
        let lead = text.get(end..start).unwrap_or_default();
        end = start + cursor.raw().len();
        if key == "status" {
            // JSON readers use the last of duplicate keys.
            written = Some(start..end);
        }
        if anchor.is_none() || key == "id" && !named {
            named = key == "id";
            anchor = Some((end, lead));
        }
    });
    if let Some(range) = written {
        return (range, value);
    }
    let Some((at, lead)) = anchor else {
        return (place + 1..place + 1, format!("\"status\": {value}"));
    };
    // Split `,  "id": ` into the white space before the key and the separator after it.
    let (before, key) = lead.split_once('"').unwrap_or_default();
    let before = before.split_once(',').map_or(before, |(_, before)| before);
    let colon = key.rsplit_once('"').map_or(": ", |(_, colon)| colon);
    (at..at, format!(",{before}\"status\"{colon}{value}"))
}

#[cfg(test)]
mod tests;
