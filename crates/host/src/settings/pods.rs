//! `[pods]`: what every pod of a run is given, in the words of Kubernetes. The embedded node passes over most of it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[pods]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodSettings {
    /// User and group id of every container; 0 leaves both to the cluster.
    pub user: u32,
    /// Empty is the namespace's default.
    pub service_account: String,
    pub image_pull_secrets: Vec<String>,
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    /// Empty is the cluster's default.
    pub priority_class: String,
    /// Empty is the cluster's default.
    pub scheduler: String,
    /// Of the agent's container.
    pub agent: Share,
    /// Of every other container.
    pub worker: Share,
    pub proxy: ProxySettings,
}

/// The HTTP proxy between the pods and the world. An empty field is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    /// For addresses that begin with `http://`.
    pub http: String,
    /// For addresses that begin with `https://`.
    pub https: String,
    /// Hosts that are asked directly.
    pub no: String,
    /// A Secret whose keys `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` stand in for those above: their addresses may hold a
    /// password.
    pub secret: String,
}

/// A taint of nodes that the pods put up with.
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

/// What a container asks for, and what it never gets beyond.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub requests: Amount,
    pub limits: Amount,
}

/// An amount of each, as Kubernetes writes quantities (`500m`, `1Gi`); an empty one is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    pub cpu: String,
    pub memory: String,
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;
    use flightdeck_core::runs;

    #[test]
    fn the_shipped_share_of_the_agent_is_the_one_that_preflight_holds_against_quotas() {
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
