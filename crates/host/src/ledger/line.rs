//! The line format of log segments. Each source is written once and then referred to by its number.

use std::{borrow::Cow, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use flightdeck_core::log::{LogEvent, LogLine, LogSource, Notice};

/// A line of a segment.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Line<'a> {
    /// The first line of a segment: the state before it.
    Head { head: Head },
    /// A line of a container's log.
    Text {
        s: usize,
        at: Timestamp,
        #[serde(skip_serializing_if = "is_zero")]
        ordinal: u32,
        text: Cow<'a, str>,
        /// The raw bytes in Base64, if the line is not valid UTF-8.
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<String>,
        #[serde(rename = "leftOut", skip_serializing_if = "is_nothing")]
        left_out: u64,
    },
    /// A notice about the log.
    Notice { s: usize, notice: Cow<'a, str> },
    /// A container was read to its end.
    Ended { s: usize, ended: bool },
    /// The declaration of source number `s`.
    Source {
        s: usize,
        source: Cow<'a, LogSource>,
    },
}

/// The first line of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// All sources so far, by number.
    pub(super) sources: Vec<SourceState>,
}

/// The state of a source at the start of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceState {
    pub(super) source: LogSource,
    /// Time of its newest line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) newest: Option<Timestamp>,
    #[serde(default)]
    pub(super) ended: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature serde needs
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature serde needs
const fn is_nothing(n: &u64) -> bool {
    *n == 0
}

impl Line<'static> {
    /// Parses a line; `None` if it is invalid.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let flat: Flat = serde_json::from_slice(bytes).ok()?;
        if let Some(head) = flat.head {
            return Some(Self::Head { head });
        }
        let s = flat.s?;
        if let (Some(at), Some(text)) = (flat.at, flat.text) {
            return Some(Self::Text {
                s,
                at,
                ordinal: flat.ordinal,
                text: text.into(),
                bytes: flat.bytes,
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

    /// Converts the line to an event. `known` maps numbers to sources. Returns `None` for lines that only declare
    /// sources.
    pub(super) fn event(
        self,
        known: impl FnOnce(usize) -> Option<Arc<LogSource>>,
    ) -> Option<LogEvent> {
        match self {
            Self::Text {
                s,
                at,
                ordinal,
                text,
                bytes,
                left_out,
            } => Some(LogEvent::Line(LogLine {
                source: known(s)?,
                at,
                ordinal,
                text: text.into_owned(),
                bytes: bytes
                    .and_then(|bytes| STANDARD.decode(bytes).ok())
                    .map(Into::into),
                left_out,
            })),
            Self::Notice { s, notice } => {
                let notice = Notice::Server(notice.into_owned());
                Some(LogEvent::Notice(known(s)?, notice))
            }
            Self::Ended { s, .. } => Some(LogEvent::SourceEnded(known(s)?)),
            Self::Head { .. } | Self::Source { .. } => None,
        }
    }
}

/// All fields of all variants: much faster to parse than an untagged enum.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flat {
    s: Option<usize>,
    at: Option<Timestamp>,
    ordinal: u32,
    text: Option<String>,
    bytes: Option<String>,
    left_out: u64,
    notice: Option<String>,
    ended: bool,
    source: Option<LogSource>,
    head: Option<Head>,
}
