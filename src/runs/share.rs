//! What a stage's container takes of a cluster's CPU and memory. The Jobs ask for it, and pre-flight holds it against the quotas.

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
    /// Of the agent's container: the largest.
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
    /// Of every other container.
    pub const WORKER: Self = Self {
        requests: Amount {
            cpu: "100m",
            memory: "128Mi",
        },
        limits: Amount {
            cpu: "1",
            memory: "1Gi",
        },
    };
}
