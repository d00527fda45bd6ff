//! Default resources of the agent container. Pre-flight compares them with quotas, because the settings of a remote
//! controller are unknown.

/// CPU and memory as Kubernetes quantities: `500m`, `1Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceAmounts {
    pub cpu: &'static str,
    pub memory: &'static str,
}

/// Resource requests and limits of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerResources {
    pub requests: ResourceAmounts,
    pub limits: ResourceAmounts,
}

impl ContainerResources {
    /// Defaults of the agent container.
    pub const AGENT: Self = Self {
        requests: ResourceAmounts {
            cpu: "500m",
            memory: "1Gi",
        },
        limits: ResourceAmounts {
            cpu: "4",
            memory: "8Gi",
        },
    };
}
