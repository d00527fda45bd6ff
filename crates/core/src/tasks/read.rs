//! Reads `tasks.json` in every shape found in practice, and reports the deviations.
//!
//! An invalid task never hides the others. Reading never writes or migrates.

mod cursor;
mod fields;
mod file;
mod line_index;
mod string;
mod task;

use std::{borrow::Cow, path::Path};

pub(super) use self::{cursor::Cursor, file::TaskOffsets};
use self::{cursor::ValueKind, file::Reader};
use super::{FindingKind, TaskFile};

/// Tag of a file without tags, and the default current tag.
pub const DEFAULT_TAG: &str = "master";

/// Maximum size of a plan in bytes. The largest known public plan has 4 MB.
pub const MAX_FILE_SIZE: u64 = 64 << 20;

/// Error from reading a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the file is empty")]
    Empty,
    #[error("the file is {} MB; the limit is {} MB", .0 >> 20, MAX_FILE_SIZE >> 20)]
    TooLarge(u64),
    /// Line and column count from 1, the column in bytes.
    #[error("line {line}, column {column}: not JSON: {message}")]
    NotJson {
        line: usize,
        column: usize,
        message: String,
    },
    #[error("the file contains {0}, not a list of tasks")]
    NotAPlan(&'static str),
}

impl ReadError {
    /// Formats the error as `file:line:column: message`, which editors and terminals recognise.
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

/// Parses a task file.
///
/// # Errors
/// If the bytes are not JSON, or neither an object nor a list.
pub fn read(bytes: &[u8]) -> Result<TaskFile, ReadError> {
    read_with_offsets(bytes).map(|(file, _)| file)
}

/// Parses a task file. Also returns the offsets of all tasks, per tag in file order.
pub(super) fn read_with_offsets(
    bytes: &[u8],
) -> Result<(TaskFile, Vec<Vec<TaskOffsets>>), ReadError> {
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(ReadError::TooLarge(bytes.len() as u64));
    }
    // Windows PowerShell writes it for `>`.
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(ReadError::NotJson {
            line: 1,
            column: 1,
            message: "the file is UTF-16; save it as UTF-8".into(),
        });
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
            "not UTF-8; invalid bytes are shown as \u{fffd}",
        );
    }
    let mut cursor = Cursor::new(text);
    match cursor.kind() {
        ValueKind::Object => reader.root(&mut cursor),
        ValueKind::Array => {
            reader.note(
                FindingKind::Field,
                None,
                cursor.offset(),
                "the file is a bare list of tasks",
            );
            reader.list(&mut cursor, DEFAULT_TAG);
        }
        other => return Err(not_a_plan(text, other)),
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
            "trailing text after the JSON value is ignored",
        );
    }
    Ok(reader.finish())
}

fn not_a_plan(text: &str, kind: ValueKind) -> ReadError {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    if !matches!(values.next(), Some(Ok(_))) {
        return not_json(text);
    }
    ReadError::NotAPlan(match kind {
        ValueKind::String => "a string",
        ValueKind::Null => "null",
        _ => "a number or a boolean",
    })
}

/// Returns why a text is not JSON: a merge conflict, or the error of `serde_json`.
fn not_json(text: &str) -> ReadError {
    let mut lines = text.lines().zip(1..);
    let is_marker = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    if let Some((_, line)) = lines.find(|(line, _)| is_marker(line)) {
        return ReadError::NotJson {
            line,
            column: 1,
            message: "the file has merge conflict markers; resolve the conflict".into(),
        };
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let Some(Err(error)) = values.next() else {
        // Both parsers accept the same JSON; a test checks this.
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
