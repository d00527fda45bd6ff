//! Why a stage ended without its work done.

use std::{io, path::PathBuf};

use flightdeck_core::runs::StageReport;
use flightdeck_host::repository::git::GitError;

/// What ends a stage early.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The container lacks something, or the run asks for something impossible.
    #[error("{0}")]
    Setup(String),
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
    /// A verdict: the report says what is known all the same (a branch that was pushed, documents that were counted).
    #[error("{message}")]
    Ended {
        reason: &'static str,
        message: String,
        report: Box<StageReport>,
    },
}

impl StageError {
    /// For `map_err`: an error of the file system at `path`.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// An end with nothing more to report.
    pub fn ended(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Ended {
            reason,
            message: message.into(),
            report: Box::default(),
        }
    }

    /// The same verdict, with what is known already.
    pub fn reporting(self, known: &StageReport) -> Self {
        match self {
            Self::Ended {
                reason, message, ..
            } => Self::Ended {
                reason,
                message,
                report: Box::new(known.clone()),
            },
            other => other,
        }
    }

    /// What the controller is told; `otherwise` is the reason of an error that has none.
    pub fn into_report(self, otherwise: &str) -> StageReport {
        let message = one_line(&self.to_string());
        let (reason, report) = match self {
            Self::Ended { reason, report, .. } => (reason, *report),
            _ => (otherwise, StageReport::default()),
        };
        StageReport {
            reason: Some(reason.to_owned()),
            message: Some(message),
            ..report
        }
    }
}

/// A message with a note after it.
pub fn annotated(message: String, note: Option<&str>) -> String {
    match note {
        Some(note) => format!("{message}; {note}"),
        None => message,
    }
}

/// A status message is one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
