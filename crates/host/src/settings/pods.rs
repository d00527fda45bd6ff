//! `[pods]`: settings for the pods of runs, in Kubernetes terms. The embedded node ignores most of them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[pods]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSettings {
    /// User and group ID of every container; 0 uses the cluster's default.
    pub user: u32,
    /// Empty for the namespace's default.
    pub service_account: String,
    pub image_pull_secrets: Vec<String>,
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    /// Empty for the cluster's default.
    pub priority_class: String,
    /// Empty for the cluster's default.
    pub scheduler: String,
    /// Resources of the agent's container.
    pub agent: ContainerResources,
    /// Resources of all other containers.
    pub worker: ContainerResources,
    pub proxy: ProxySettings,
}

/// The HTTP proxy for pods. Empty fields are unset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    /// Proxy for `http://` URLs.
    pub http: String,
    /// Proxy for `https://` URLs.
    pub https: String,
    /// Hosts that are not proxied.
    pub no: String,
    /// A Secret whose keys `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` replace the fields above; for proxy URLs with a
    /// password.
    pub secret: String,
}

/// A toleration of a node taint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Toleration {
    pub key: Option<String>,
    pub operator: Option<String>,
    pub value: Option<String>,
    pub effect: Option<String>,
    /// Only for the effect `NoExecute`.
    pub seconds: Option<i64>,
}

/// Resource requests and limits of a container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerResources {
    pub requests: ResourceList,
    pub limits: ResourceList,
}

/// Resource quantities in Kubernetes format (`500m`, `1Gi`); empty if unset.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceList {
    pub cpu: String,
    pub memory: String,
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;
    use flightdeck_core::runs;

    #[test]
    fn agent_resources_match_those_checked_by_preflight() {
        let share = Settings::shipped().pods.agent;
        let amounts = [share.requests, share.limits];
        let known = [
            runs::ContainerResources::AGENT.requests,
            runs::ContainerResources::AGENT.limits,
        ];
        for (amount, known) in amounts.iter().zip(known) {
            assert_eq!(
                (amount.cpu.as_str(), amount.memory.as_str()),
                (known.cpu, known.memory)
            );
        }
    }
}
