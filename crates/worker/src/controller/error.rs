//! Errors between the controller and the cluster, categorized by how to retry them.

use std::time::Duration;

use kube::ResourceExt;

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {what}: {source}")]
    Cluster {
        /// The call, as in "create the Job x".
        what: String,
        source: Box<kube::Error>,
    },
    #[error(
        "the {kind} {name} already exists and belongs to something else; delete it or launch under another name"
    )]
    Foreign { kind: String, name: String },
    #[error("the cached state of {what} is stale")]
    Stale { what: String },
    #[error("the reconciliation timed out after {} s", .after.as_secs())]
    Timeout { after: Duration },
}

/// The category of an error, which decides the retry delay. Also its name in metrics and Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// Another client wrote first: read again at once.
    Conflict,
    /// The cluster is busy or unreachable: wait.
    Unavailable,
    /// The cluster rejected the request: a person must change something.
    Refused,
}

/// Delays before retrying a failed reconciliation, by category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryDelays {
    /// Another client wrote first.
    pub conflict: Duration,
    /// The cluster is busy or unreachable, or its response was lost.
    pub unavailable: Duration,
    /// The cluster rejected the request; it may accept it after a person has changed something.
    pub refused: Duration,
    /// Each of these doubles with every consecutive failure, up to this.
    pub max: Duration,
    /// Before a failed watch is reopened; doubles up to 30 s.
    pub watch: Duration,
}

impl Default for RetryDelays {
    fn default() -> Self {
        Self {
            conflict: Duration::from_millis(50),
            unavailable: Duration::from_secs(5),
            refused: Duration::from_secs(60),
            max: Duration::from_secs(300),
            watch: Duration::from_millis(800),
        }
    }
}

impl Error {
    /// Returns a function for `map_err` that adds what was being done to a client error.
    pub(super) fn cluster(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Cluster {
            what,
            source: Box::new(source),
        }
    }

    /// Returns the category.
    #[must_use]
    pub(super) fn category(&self) -> Category {
        match self {
            Self::Stale { .. } => Category::Conflict,
            Self::Foreign { .. } => Category::Refused,
            Self::Timeout { .. } => Category::Unavailable,
            Self::Cluster { source, .. } => match &**source {
                kube::Error::Api(status) => match status.code {
                    409 => Category::Conflict,
                    400..=499 if status.code != 408 && status.code != 429 => Category::Refused,
                    _ => Category::Unavailable,
                },
                _ => Category::Unavailable,
            },
        }
    }

    /// Returns the delay before the first retry.
    #[must_use]
    pub(super) fn retry_after(&self, delays: &RetryDelays) -> Duration {
        match self.category() {
            Category::Conflict => delays.conflict,
            Category::Unavailable => delays.unavailable,
            Category::Refused => delays.refused,
        }
    }
}

impl Category {
    /// Returns the CamelCase name, for the reason of an Event and the label of a metric.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::Unavailable => "ClusterUnavailable",
            Self::Refused => "ClusterRefused",
        }
    }
}

/// Formats an object as `Job code-1-…`, for messages.
pub(crate) fn named<K: kube::Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}
