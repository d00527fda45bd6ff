//! Single fields of a task, read whatever their type; what was tolerated goes into remarks of (offset, sentence).

use std::borrow::Cow;

use super::cursor::{Cursor, Kind};

/// What was tolerated in a task: where, in bytes, and the sentence.
pub(super) type Remarks = Vec<(usize, String)>;

/// Whether a list starts with something that has an id and a title.
pub(super) fn looks_like_tasks(mut cursor: Cursor<'_>) -> bool {
    let (mut first, mut id, mut title) = (true, false, false);
    cursor.array(|cursor| {
        if std::mem::take(&mut first) && cursor.kind() == Kind::Object {
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

/// A short field, trimmed; `None` when null or blank.
pub(super) fn word<'a>(cursor: &mut Cursor<'a>) -> Option<Cow<'a, str>> {
    let null = cursor.kind() == Kind::Null;
    let text = match cursor.text() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    (!null && !text.is_empty()).then_some(text)
}

/// A long field; what is no string is kept as written, with a remark.
pub(super) fn prose(cursor: &mut Cursor<'_>, key: &str, remarks: &mut Remarks) -> Option<String> {
    let at = cursor.offset();
    match cursor.kind() {
        Kind::Null => {
            cursor.raw();
            None
        }
        Kind::String => Some(cursor.text().into_owned()),
        _ => {
            remarks.push((at, format!("{key} is not text; shown as written")));
            Some(cursor.raw().to_owned())
        }
    }
}

pub(super) fn dependencies(cursor: &mut Cursor<'_>, remarks: &mut Remarks) -> Vec<String> {
    let at = cursor.offset();
    let mut ids = Vec::new();
    match cursor.kind() {
        Kind::Null => {
            cursor.raw();
        }
        Kind::Array => cursor.array(|cursor| {
            let at = cursor.offset();
            match cursor.kind() {
                Kind::String | Kind::Scalar => ids.extend(word(cursor).map(Cow::into_owned)),
                _ => remarks.push((
                    at,
                    format!("{} is no dependency, and is skipped", short(cursor.raw())),
                )),
            }
        }),
        Kind::String | Kind::Scalar => {
            let text = cursor.text();
            ids.extend(
                text.split(',')
                    .map(str::trim)
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned),
            );
            remarks.push((
                at,
                "dependencies is not a list; read as ids between commas".into(),
            ));
        }
        Kind::Object => remarks.push((
            at,
            format!("dependencies is {}, not a list", short(cursor.raw())),
        )),
    }
    ids
}

/// The start of something, for a message.
pub(super) fn short(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
