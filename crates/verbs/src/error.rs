//! Why a verb failed: one sentence that names the thing, and the exit code a script can act on.

use std::time::Duration;

use flightdeck_core::text;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The thing is not there.
    #[error("{0}")]
    NotFound(String),
    /// Pre-flight refused; each entry is `(check, sentence)`.
    #[error("pre-flight refused: {}", sentences(.0))]
    Refused(Vec<(String, String)>),
    /// Something else is in the way.
    #[error("{0}")]
    Conflict(String),
    /// It did not happen in time; the run goes on.
    #[error("{what} did not end within {}; it goes on", text::duration(.after.as_secs() as i64))]
    Timeout { what: String, after: Duration },
    /// The cluster answered with an error, or not at all.
    #[error("{doing}: {}", cluster_sentence(.source))]
    Cluster {
        doing: String,
        source: Box<kube::Error>,
    },
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl VerbError {
    /// What was being done when the cluster failed.
    pub fn cluster(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| match source {
            kube::Error::Api(status) if status.code == 404 => {
                Self::NotFound(format!("{doing}: {}", status.message))
            }
            kube::Error::Api(status) if status.code == 409 => {
                Self::Conflict(format!("{doing}: {}", status.message))
            }
            source => Self::Cluster {
                doing,
                source: Box::new(source),
            },
        }
    }

    /// The exit code of the command line.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Cluster { .. } => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Refused(_) => 5,
            Self::Conflict(_) => 6,
            Self::Timeout { .. } => 124,
        }
    }
}

fn sentences(refused: &[(String, String)]) -> String {
    refused
        .iter()
        .map(|(check, sentence)| format!("{check}: {sentence}"))
        .collect::<Vec<_>>()
        .join("; ")
}

/// The server's own words where it spoke; otherwise the innermost cause, which names address and reason.
fn cluster_sentence(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return text::sanitize(&status.message).into_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!(
        "the cluster did not answer ({})",
        text::sanitize(&cause.to_string())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_says_decides_the_exit_code() {
        let api = |code: u16| {
            let status = kube::core::Status {
                code,
                message: "docsruns \"x\" says no".into(),
                ..Default::default()
            };
            VerbError::cluster("stopping x")(kube::Error::Api(Box::new(status)))
        };
        assert_eq!([404, 409, 500].map(|code| api(code).exit_code()), [3, 6, 1]);
        assert_eq!(api(500).to_string(), "stopping x: docsruns \"x\" says no");
    }
}
