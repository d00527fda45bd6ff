//! The connection to the cluster.

use jiff::Timestamp;

/// The connection to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClusterConnection {
    /// The first attempt is in progress.
    #[default]
    Connecting,
    Connected(ClusterTarget),
    /// The connection was lost. The last known objects stay.
    Lost(ClusterTarget, String),
    /// No attempt succeeded: the reason, and the time of the next one.
    Failed(String, Timestamp),
}

impl ClusterConnection {
    /// The cluster, once known.
    pub const fn target(&self) -> Option<&ClusterTarget> {
        match self {
            Self::Connected(target) | Self::Lost(target, _) => Some(target),
            Self::Connecting | Self::Failed(..) => None,
        }
    }
}

/// Identifies a cluster and namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterTarget {
    /// `embedded`, or the name of a kubeconfig context.
    pub label: String,
    pub namespace: String,
    pub embedded: bool,
}
