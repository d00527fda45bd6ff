//! What the largest container of a run takes of a cluster's CPU and memory unless the settings say otherwise: pre-flight
//! holds it against the quotas, since the settings of a controller elsewhere are not known here.

/// An amount of each, as Kubernetes writes quantities: `500m`, `1Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub cpu: &'static str,
    pub memory: &'static str,
}

/// What a container asks for, and what it never gets beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub requests: Amount,
    pub limits: Amount,
}

impl Share {
    /// Of the agent's container.
    pub const AGENT: Self = Self {
        requests: Amount {
            cpu: "500m",
            memory: "1Gi",
        },
        limits: Amount {
            cpu: "4",
            memory: "8Gi",
        },
    };
}
