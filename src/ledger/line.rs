//! The lines of `log.jsonl`: a source is written once, then named by its number.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::logs::LogSource;

/// One line of the file.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Line<'a> {
    /// A line of a container.
    Text {
        s: usize,
        at: Timestamp,
        #[serde(skip_serializing_if = "is_zero")]
        ordinal: u32,
        text: Cow<'a, str>,
        #[serde(rename = "leftOut", skip_serializing_if = "is_nothing")]
        left_out: u64,
    },
    /// Something about the log.
    Notice { s: usize, notice: Cow<'a, str> },
    /// A container was read to its end.
    Ended { s: usize, ended: bool },
    /// A source, by its number.
    Source {
        s: usize,
        source: Cow<'a, LogSource>,
    },
    /// The log grew too long: nothing follows.
    Full { full: Cow<'a, str> },
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
const fn is_nothing(n: &u64) -> bool {
    *n == 0
}

impl Line<'static> {
    /// Reads a line; `None` when it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let flat: Flat = serde_json::from_slice(bytes).ok()?;
        if let Some(full) = flat.full {
            return Some(Self::Full { full: full.into() });
        }
        let s = flat.s?;
        if let (Some(at), Some(text)) = (flat.at, flat.text) {
            return Some(Self::Text {
                s,
                at,
                ordinal: flat.ordinal,
                text: text.into(),
                left_out: flat.left_out,
            });
        }
        if let Some(source) = flat.source {
            let source = Cow::Owned(source);
            return Some(Self::Source { s, source });
        }
        if let Some(notice) = flat.notice {
            let notice = notice.into();
            return Some(Self::Notice { s, notice });
        }
        flat.ended.then_some(Self::Ended { s, ended: true })
    }
}

/// Every line at once: much quicker to read than trying one after the other.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flat {
    s: Option<usize>,
    at: Option<Timestamp>,
    ordinal: u32,
    text: Option<String>,
    left_out: u64,
    notice: Option<String>,
    ended: bool,
    source: Option<LogSource>,
    full: Option<String>,
}
