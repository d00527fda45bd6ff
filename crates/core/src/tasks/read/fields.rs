//! Reads fields of a task of any type. Deviations are added as remarks of (offset, message).

use std::borrow::Cow;

use super::cursor::{Cursor, ValueKind};

/// Deviations in a task: byte offset and message.
pub(super) type Remarks = Vec<(usize, String)>;

/// Whether a list starts with an object that has an id and a title.
pub(super) fn looks_like_tasks(mut cursor: Cursor<'_>) -> bool {
    let (mut first, mut id, mut title) = (true, false, false);
    cursor.array(|cursor| {
        if std::mem::take(&mut first) && cursor.kind() == ValueKind::Object {
            cursor.object(|cursor, key| {
                id |= key == "id";
                title |= key == "title";
                cursor.raw();
            });
        } else {
            cursor.raw();
        }
    });
    id && title
}

/// Reads a short field, trimmed; `None` if null or blank.
pub(super) fn short_text<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let null = cursor.kind() == ValueKind::Null;
    let text = match cursor.text() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (!null && !text.is_empty()).then_some(text)
}

/// Reads a long field. A value that is not a string is kept as JSON, with a remark.
pub(super) fn long_text(
    cursor: &mut Cursor<'_>,
    key: &str,
    remarks: &mut Remarks,
) -> Option<String> {
    let at = cursor.offset();
    match cursor.kind() {
        ValueKind::Null => {
            cursor.raw();
            None
        }
        ValueKind::String => Some(cursor.text().into_owned()),
        _ => {
            remarks.push((at, format!("{key} is not a string; shown as JSON")));
            Some(cursor.raw().to_owned())
        }
    }
}

pub(super) fn dependencies(cursor: &mut Cursor<'_>, remarks: &mut Remarks) -> Vec<String> {
    let at = cursor.offset();
    let mut ids = Vec::new();
    match cursor.kind() {
        ValueKind::Null => {
            cursor.raw();
        }
        ValueKind::Array => cursor.array(|cursor| {
            let at = cursor.offset();
            match cursor.kind() {
                ValueKind::String | ValueKind::Scalar => {
                    ids.extend(short_text(cursor).map(Cow::into_owned));
                }
                _ => remarks.push((
                    at,
                    format!("{} is not a dependency; skipped", excerpt(cursor.raw())),
                )),
            }
        }),
        ValueKind::String | ValueKind::Scalar => {
            let text = cursor.text();
            ids.extend(
                text.split(',')
                    .map(str::trim)
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned),
            );
            remarks.push((
                at,
                "dependencies is not a list; read as comma-separated ids".into(),
            ));
        }
        ValueKind::Object => remarks.push((
            at,
            format!("dependencies is {}, not a list", excerpt(cursor.raw())),
        )),
    }
    ids
}

/// Returns the start of a text, for a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
