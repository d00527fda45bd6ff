//! Reads `tasks.json` in every shape people and tools have written it, and says what it had to tolerate.
//!
//! One bad task never hides the others. Reading never writes, and never migrates.

mod cursor;
mod fields;
mod file;
mod place;
mod string;
mod task;

use std::{borrow::Cow, path::Path};

pub(super) use self::{cursor::Cursor, file::Stands};
use self::{cursor::Kind, file::Reader};
use super::{FindingKind, TaskFile};

/// Name of the tag of a file without tags, and of a project that never chose one.
pub const DEFAULT_TAG: &str = "master";

/// The largest plan that is read, in bytes: the largest one known in public has four megabytes.
pub const LARGEST: u64 = 64 << 20;

/// Why there is no plan in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the file is empty")]
    Empty,
    #[error("the file has {} MB; plans are read up to {} MB", .0 >> 20, LARGEST >> 20)]
    TooLarge(u64),
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

impl ReadError {
    /// `file:line:column: sentence`, as editors and terminals jump to it.
    #[must_use]
    pub fn in_file(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::NotJson {
                line,
                column,
                message,
            } => format!("{path}:{line}:{column}: not JSON: {message}"),
            error => format!("{path}: {error}"),
        }
    }
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
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge(bytes.len() as u64));
    }
    let lossy = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let (text, marked) = match lossy.strip_prefix('\u{feff}') {
        Some(rest) => (rest, true),
        None => (lossy.as_ref(), false),
    };
    if text.trim_start().is_empty() {
        return Err(ReadError::Empty);
    }

    let mut reader = Reader::new(text);
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
        other => return Err(no_plan(text, other)),
    }
    let end = cursor.offset();
    if cursor.is_broken() {
        return Err(not_json(text));
    }
    if end < text.trim_end().len() {
        reader.note(
            FindingKind::TrailingText,
            None,
            end,
            "text follows the JSON value and is not read",
        );
    }
    Ok(reader.finish())
}

fn no_plan(text: &str, kind: Kind) -> ReadError {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    if !matches!(values.next(), Some(Ok(_))) {
        return not_json(text);
    }
    ReadError::NotAPlan(match kind {
        Kind::String => "a string",
        Kind::Null => "null",
        _ => "a number or a boolean",
    })
}

/// Says where and why a text is not JSON, in the words of `serde_json`.
fn not_json(text: &str) -> ReadError {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let Some(Err(error)) = values.next() else {
        // The two agree on what JSON is; a test holds them against each other.
        return ReadError::NotJson {
            line: 1,
            column: 1,
            message: "malformed".into(),
        };
    };
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(what, _)| what);
    ReadError::NotJson {
        line: error.line(),
        column: error.column(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
