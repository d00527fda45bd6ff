//! What a followed log is made of.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{runs::Stage, text};

/// One container of one pod, in one of its lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogSource {
    pub pod: String,
    pub pod_uid: String,
    pub container: String,
    /// How often the container was started before in this pod.
    pub restart: i32,
    /// Absent on pods without the label.
    pub stage: Option<Stage>,
    pub context_version: i32,
    /// Counts from 1 within stage and context version; 0 on pods without the label.
    pub attempt: i32,
}

impl LogSource {
    /// Whoever says something of a log as a whole.
    #[must_use]
    pub fn of_no_pod(name: &str) -> Self {
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

    /// A short name for tags: `agent`, `prep/clone`, `agent#2` for a second attempt, `agent+1` once started anew in its pod.
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

/// One line as the container wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub source: Arc<LogSource>,
    pub at: Timestamp,
    /// Which of the lines of this very moment it is, from 0. With source and moment it names the line for good (as long as
    /// the node's clock is not set back to that very moment).
    pub ordinal: u32,
    /// Without its line break; invalid UTF-8 is replaced, nothing else is changed: sanitise before showing.
    pub text: String,
    /// The bytes as they came, where they are no UTF-8.
    pub bytes: Option<Box<[u8]>>,
    /// Bytes left out behind `text`, when the line was longer than 1 MiB.
    pub left_out: u64,
}

/// Something about the log rather than in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The connection dropped and is back; every line after the last one is there.
    Reconnected,
    /// The server no longer has the line of `from`, which was read last: what followed it may be missing, up to the next
    /// line, of `to`, or up to the end of the log.
    Gap {
        from: Timestamp,
        to: Option<Timestamp>,
    },
    /// The first line that the server has was written so many seconds after the container began.
    Late(i64),
    /// The container was started anew more than once since: a cluster keeps only the log of the last time before.
    Replaced,
    /// The log cannot be read for now and is tried again. Said once an outage. Sanitised.
    Unreachable(String),
    /// The pod went before the end of its log was seen.
    Gone,
    /// A line of the server instead of the container. Sanitised.
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
                        "reconnected, but the log was rotated and its clock set back: lines before this one may be missing",
                    );
                }
                let time = text::duration(seconds);
                write!(
                    f,
                    "reconnected, but the log was rotated: lines of the {time} before this one may be missing"
                )
            }
            Self::Gap { to: None, .. } => {
                f.write_str("the log was rotated at its end: lines after this one may be missing")
            }
            Self::Late(seconds) => {
                let time = text::duration(*seconds);
                write!(
                    f,
                    "the container ran {time} before this line: what it wrote earlier may have been rotated away"
                )
            }
            Self::Replaced => f.write_str(
                "the container was started anew more than once: its last lines may be missing",
            ),
            Self::Unreachable(reason) => {
                write!(f, "the log cannot be read ({reason}); trying again")
            }
            Self::Gone => f.write_str("the pod was deleted; its last lines may be missing"),
            Self::Server(words) => f.write_str(words),
        }
    }
}

/// One event of a followed log, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The lines of a container follow.
    SourceStarted(Arc<LogSource>),
    Line(LogLine),
    Notice(Arc<LogSource>, Notice),
    /// A container has ended and every line of it was given.
    SourceEnded(Arc<LogSource>),
    /// The run is over and so are all its sources. Nothing follows.
    RunEnded,
}

impl LogEvent {
    /// The source it is about.
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
    fn tags_say_no_more_than_they_must() {
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
