//! Errors of verbs and their exit codes.

use std::time::Duration;

use flightdeck_core::text;
use flightdeck_preflight::cause;

/// Exit codes of the command line, with their meaning.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (0, "success"),
    (1, "failed; or the run that was waited for failed"),
    (
        2,
        "invalid arguments or settings, or confirmation is missing",
    ),
    (3, "not found"),
    (4, "the run that was waited for was cancelled"),
    (5, "blocked by pre-flight"),
    (6, "conflict, such as a run that has not ended"),
    (124, "timed out; the run continues"),
    (130, "interrupted; the run continues"),
];

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Invalid arguments.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotFound(String),
    /// Failed pre-flight checks: `(id, message)`.
    #[error("blocked by pre-flight: {}", messages(.0))]
    Blocked(Vec<(String, String)>),
    #[error("{0}")]
    Conflict(String),
    /// The time limit of a wait passed.
    #[error("{what} did not end within {}; it continues", text::duration(.after.as_secs() as i64))]
    Timeout { what: String, after: Duration },
    /// A request to the cluster failed. The message contains the cause, so there is no source: error chains would print it twice.
    #[error("{0}")]
    Cluster(String),
    #[error("{0}")]
    Failed(String),
}

impl VerbError {
    /// Converts a failed request; `doing` says what was attempted, as in "stopping docs-1".
    pub fn cluster(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |error| {
            let message = format!("{doing}: {}", cause(&error));
            match error {
                kube::Error::Api(status) if status.code == 404 => Self::NotFound(message),
                kube::Error::Api(status) if status.code == 409 => Self::Conflict(message),
                kube::Error::Api(_) => Self::Cluster(message),
                error => Self::Cluster(format!(
                    "{doing}: the cluster did not respond ({})",
                    cause(&error)
                )),
            }
        }
    }

    /// Suggests what to do, for the `hint:` line of the command line.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Blocked(_) => Some(
                "fix with flightdeck preflight --fix, or skip a check with --override CHECK --reason TEXT",
            ),
            _ => None,
        }
    }

    /// Returns the exit code of the command line.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Cluster(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Blocked(_) => 5,
            Self::Conflict(_) => 6,
            Self::Timeout { .. } => 124,
        }
    }
}

fn messages(blocking: &[(String, String)]) -> String {
    blocking
        .iter()
        .map(|(check, message)| format!("{check}: {message}"))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;
    use flightdeck_core::runs::Phase;

    fn api_error(code: u16) -> VerbError {
        let status = kube::core::Status {
            code,
            message: "docsruns \"x\" is invalid".into(),
            ..Default::default()
        };
        VerbError::cluster("stopping x")(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn maps_status_codes_to_exit_codes() {
        assert_eq!(
            [404, 409, 500].map(|code| api_error(code).exit_code()),
            [3, 6, 1]
        );
    }

    #[test]
    fn every_exit_code_is_documented() {
        let errors = [
            VerbError::Usage(String::new()),
            VerbError::NotFound(String::new()),
            VerbError::Blocked(Vec::new()),
            VerbError::Conflict(String::new()),
            VerbError::Timeout {
                what: String::new(),
                after: Duration::ZERO,
            },
            VerbError::Cluster(String::new()),
            VerbError::Failed(String::new()),
        ];
        let documented = |code| EXIT_CODES.iter().any(|(known, _)| *known == code);
        assert!(errors.iter().all(|error| documented(error.exit_code())));
        let phases = [Phase::Succeeded, Phase::Failed, Phase::Cancelled];
        assert!(phases.iter().all(|phase| documented(exit_code(phase))));
        assert!(EXIT_CODES.is_sorted());
    }

    #[test]
    fn error_chain_prints_cause_once() {
        assert_eq!(
            chain(&api_error(500)),
            "stopping x: docsruns \"x\" is invalid"
        );
    }

    /// Formats the error with all its sources, like anyhow's `{:#}`.
    fn chain(error: &dyn std::error::Error) -> String {
        let sources = std::iter::successors(Some(error), |error| error.source());
        sources
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }
}
