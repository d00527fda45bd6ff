//! Why a stage failed.

use std::{io, path::PathBuf};

use flightdeck_core::runs::StageReport;
use flightdeck_host::repository::git::GitError;

/// An error that ends a stage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// The container's setup is incomplete, or the run's settings are invalid.
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
    /// A failure with a reason. The report still contains what is known (a pushed branch, counted documents).
    #[error("{message}")]
    Ended {
        reason: &'static str,
        message: String,
        report: Box<StageReport>,
    },
}

impl StageError {
    /// Returns a function for `map_err` that adds the action and path to an I/O error.
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// Returns a failure without a report.
    pub(super) fn ended(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Ended {
            reason,
            message: message.into(),
            report: Box::default(),
        }
    }

    /// Returns the failure with `known` as its report.
    pub(super) fn reporting(self, known: &StageReport) -> Self {
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

    /// Returns the report for the controller; `otherwise` is the reason of an error that has none.
    pub(super) fn into_report(self, otherwise: &str) -> StageReport {
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

/// Appends a note to a message.
pub(crate) fn annotated(message: String, note: Option<&str>) -> String {
    match note {
        Some(note) => format!("{message}; {note}"),
        None => message,
    }
}

/// Collapses text to one line, for a status message.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
