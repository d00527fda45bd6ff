//! What can go wrong between the controller and the cluster, sorted by what helps: waiting, or a person.

use std::time::Duration;

use kube::ResourceExt;

/// Why a reconciliation stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {what}: {source}")]
    Cluster {
        /// The call, as in "create the Job x".
        what: String,
        source: Box<kube::Error>,
    },
    #[error(
        "the {kind} {name} exists already and belongs to something else; delete it or launch under another name"
    )]
    Foreign { kind: String, name: String },
    #[error("what was read of {what} is older than what is known of it")]
    Behind { what: String },
    #[error("it was not done within {} s", .after.as_secs())]
    Late { after: Duration },
}

/// What helps against an error. Also its name in metrics and Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Somebody else wrote first: read again at once.
    Conflict,
    /// The cluster is busy or away: wait.
    Unavailable,
    /// The cluster understood and said no: a person must change something.
    Refused,
}

/// How long a reconciliation that failed waits for its next try, by what helps. The default is the product's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryDelays {
    /// Somebody else wrote first.
    pub conflict: Duration,
    /// The cluster is busy or away, or its answer was lost.
    pub unavailable: Duration,
    /// The cluster said no; it may say yes once a person has changed something.
    pub refused: Duration,
    /// Each of these is doubled with every failure in a row, up to this.
    pub most: Duration,
    /// Before a watch that broke is opened again; doubled up to half a minute while it breaks again.
    pub watch: Duration,
}

impl Default for RetryDelays {
    fn default() -> Self {
        Self {
            conflict: Duration::from_millis(50),
            unavailable: Duration::from_secs(5),
            refused: Duration::from_secs(60),
            most: Duration::from_secs(300),
            watch: Duration::from_millis(800),
        }
    }
}

impl Error {
    /// Wraps the client's error with what was being done.
    pub fn cluster(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Cluster {
            what,
            source: Box::new(source),
        }
    }

    /// What helps.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Behind { .. } => Category::Conflict,
            Self::Foreign { .. } => Category::Refused,
            Self::Late { .. } => Category::Unavailable,
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

    /// How long to wait before trying again.
    #[must_use]
    pub fn retry_after(&self, delays: &RetryDelays) -> Duration {
        match self.category() {
            Category::Conflict => delays.conflict,
            Category::Unavailable => delays.unavailable,
            Category::Refused => delays.refused,
        }
    }
}

impl Category {
    /// One word, CamelCase: the reason of an Event, the label of a metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::Unavailable => "ClusterUnavailable",
            Self::Refused => "ClusterRefused",
        }
    }
}

/// `Job code-1-…`, for messages.
pub fn named<K: kube::Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}
