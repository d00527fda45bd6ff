//! Events of a followed log.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{runs::Stage, text};

/// One instance of one container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSource {
    pub pod: String,
    pub pod_uid: String,
    pub container: String,
    /// Restarts of the container before this instance.
    pub restart: i32,
    /// `None` for pods without the label.
    pub stage: Option<Stage>,
    pub context_version: i32,
    /// Counts from 1 within stage and context version; 0 for pods without the label.
    pub attempt: i32,
}

impl LogSource {
    /// Returns a pseudo source for messages that do not come from a pod.
    #[must_use]
    pub fn without_pod(name: &str) -> Self {
        Self {
            pod: String::new(),
            pod_uid: String::new(),
            container: name.to_owned(),
            restart: 0,
            stage: None,
            context_version: 0,
            attempt: 0,
        }
    }

    /// Short name for line prefixes: `agent`, `prep/clone`, `agent#2` for a second attempt, `agent+1` after a
    /// restart.
    #[must_use]
    pub fn tag(&self) -> String {
        if self.pod.is_empty() {
            return self.container.clone();
        }
        let stage = self.stage.map_or("?", Stage::as_str);
        let container = if self.container == stage {
            String::new()
        } else {
            format!("/{}", self.container)
        };
        let attempt = if self.attempt > 1 {
            format!("#{}", self.attempt)
        } else {
            String::new()
        };
        let restart = if self.restart > 0 {
            format!("+{}", self.restart)
        } else {
            String::new()
        };
        format!("{stage}{container}{attempt}{restart}")
    }
}

/// One line of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub source: Arc<LogSource>,
    pub at: Timestamp,
    /// Index among the lines with the same timestamp, from 0. Source, timestamp and ordinal identify a line, unless
    /// the clock of the node is set back to the same instant.
    pub ordinal: u32,
    /// Without the line break. Invalid UTF-8 is replaced, nothing else: sanitise before showing.
    pub text: String,
    /// Original bytes, if they are not UTF-8.
    pub bytes: Option<Box<[u8]>>,
    /// Bytes dropped after `text`, for lines longer than 1 MiB.
    pub left_out: u64,
}

/// A message about the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection was re-established without loss.
    Reconnected,
    /// The server no longer has the line last read, of `from`. Lines up to `to`, or up to the end of the log, may be
    /// missing.
    Gap {
        from: Timestamp,
        to: Option<Timestamp>,
    },
    /// The first line was written this many seconds after the container started.
    Late(i64),
    /// The container restarted more than once; a cluster keeps the log of only one previous instance.
    Replaced,
    /// The log cannot be read and is retried. Sent once per outage. Sanitised.
    Unreachable(String),
    /// The pod was deleted before the end of its log was read.
    Gone,
    /// A message of the server. Sanitised.
    Server(String),
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reconnected => f.write_str("reconnected, 0 lines lost"),
            Self::Gap { from, to: Some(to) } => {
                let seconds = to.as_second().saturating_sub(from.as_second());
                if seconds < 0 {
                    return f.write_str(
                        "reconnected; the log was rotated and the clock set back, earlier lines may be missing",
                    );
                }
                let time = text::duration(seconds);
                write!(
                    f,
                    "reconnected; the log was rotated, lines of the previous {time} may be missing"
                )
            }
            Self::Gap { to: None, .. } => {
                f.write_str("the log was rotated; later lines may be missing")
            }
            Self::Late(seconds) => {
                let time = text::duration(*seconds);
                write!(
                    f,
                    "the container ran {time} before this line; earlier lines may have been rotated away"
                )
            }
            Self::Replaced => {
                f.write_str("the container restarted more than once; lines may be missing")
            }
            Self::Unreachable(reason) => {
                write!(f, "cannot read the log ({reason}); retrying")
            }
            Self::Gone => f.write_str("the pod was deleted; its last lines may be missing"),
            Self::Server(message) => f.write_str(message),
        }
    }
}

/// One event of a followed log, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// Lines of this container follow.
    SourceStarted(Arc<LogSource>),
    Line(LogLine),
    Notice(Arc<LogSource>, Notice),
    /// The container ended, and all its lines were sent.
    SourceEnded(Arc<LogSource>),
    /// All sources of the run ended. The last event.
    RunEnded,
}

impl LogEvent {
    /// Returns the source of the event.
    #[must_use]
    pub const fn source(&self) -> Option<&Arc<LogSource>> {
        match self {
            Self::Line(LogLine { source, .. })
            | Self::SourceStarted(source)
            | Self::Notice(source, _)
            | Self::SourceEnded(source) => Some(source),
            Self::RunEnded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_omit_defaults() {
        let source = |stage, container: &str, attempt| LogSource {
            pod: "p".into(),
            pod_uid: "u".into(),
            container: container.into(),
            restart: 0,
            stage,
            context_version: 1,
            attempt,
        };
        for (stage, container, attempt, tag) in [
            (Some(Stage::Agent), "agent", 1, "agent"),
            (Some(Stage::Prep), "clone", 1, "prep/clone"),
            (Some(Stage::Publish), "push", 2, "publish/push#2"),
            (None, "x", 0, "?/x"),
        ] {
            assert_eq!(source(stage, container, attempt).tag(), tag);
        }
    }
}
