//! `cluster`: reachable, serves the kind in a supported version, and the user may launch.

use super::{Check, Facts, Verdict};
use crate::cluster::{Permission, Reachability, Served};

pub(super) struct Cluster;

impl Check for Cluster {
    fn id(&self) -> &'static str {
        "cluster"
    }

    fn title(&self) -> &'static str {
        "Cluster"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let cluster = facts.cluster.as_ref()?;
        let name = cluster.name();
        let answers = match &cluster.reached {
            Reachability::NotRunning => {
                return Some(Verdict::pass(format!("{name} starts with the run")));
            }
            Reachability::Unreachable(why) => {
                return Some(
                    Verdict::fail(format!("{name} is unreachable: {why}"))
                        .because("The run is created there. Check that the cluster is up and that your kubeconfig is correct."),
                );
            }
            Reachability::Reachable(answers) => answers,
        };
        let resource = format!("{}runs", facts.kind);
        let served = answers.served.iter().find(|(kind, _)| *kind == facts.kind);
        let install = match &cluster.context {
            Some(context) => format!(
                "Ask the cluster's administrator to install this version: flightdeck manifests crds | kubectl --context {context} apply --server-side -f -"
            ),
            None => "Its server has another version. Stop it with flightdeck embedded stop; the next run starts the current version.".into(),
        };
        match served {
            Some((_, Served::Yes)) => {}
            Some((_, Served::Other(versions))) => {
                return Some(
                    Verdict::fail(format!(
                        "{name} serves {resource} only as {}; this version requires v1",
                        versions.join(", ")
                    ))
                    .because(install),
                );
            }
            _ => {
                return Some(
                    Verdict::fail(format!("{name} does not serve {resource}")).because(install),
                );
            }
        }
        let denied = |launches: bool| -> Vec<String> {
            let of_kind = |permission: &&Permission| match permission.launches {
                Some(kind) => launches && kind == facts.kind,
                None => !launches,
            };
            let denied = answers.denied.iter().filter(of_kind);
            denied
                .map(|permission| format!("{} {}", permission.verb, permission.resource))
                .collect()
        };
        let place = format!("in namespace {} of {name}", cluster.namespace);
        let role =
            "Ask the cluster's administrator for a Role: flightdeck manifests rbac prints one.";
        let (needed, useful) = (denied(true), denied(false));
        Some(if !needed.is_empty() {
            Verdict::fail(format!("you may not {} {place}", needed.join(", "))).because(role)
        } else if !useful.is_empty() {
            Verdict::warn(format!("you may not {} {place}", useful.join(", "))).because(format!(
                "You can launch runs but not observe them fully. {role}"
            ))
        } else {
            Verdict::pass(format!("{name}, namespace {}", cluster.namespace))
        })
    }
}
