//! `cluster`: it answers, serves the kind in a version this program speaks, and lets the person launch.

use super::{Check, Facts, Verdict};
use crate::cluster::{Permission, Reached, Served};

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
            Reached::Asleep => return Some(Verdict::pass(format!("{name} starts with the run"))),
            Reached::No(why) => {
                return Some(
                    Verdict::fail(format!("{name} does not answer: {why}"))
                        .because("A run is created there. Look whether the cluster is up and your kubeconfig is right."),
                );
            }
            Reached::Yes(answers) => answers,
        };
        let resource = format!("{}runs", facts.kind);
        let served = answers.served.iter().find(|(kind, _)| *kind == facts.kind);
        let install = match &cluster.context {
            Some(context) => format!(
                "Whoever runs the cluster applies the manifests of this version: kubectl --context {context} apply -f config/crd"
            ),
            None => "Its server is of another version: flightdeck embedded stop, and the next run starts this one's.".into(),
        };
        match served {
            Some((_, Served::Yes)) => {}
            Some((_, Served::Other(versions))) => {
                return Some(
                    Verdict::fail(format!(
                        "{name} serves {resource} as {} only; this version speaks v1",
                        versions.join(", ")
                    ))
                    .because(install),
                );
            }
            _ => {
                return Some(Verdict::fail(format!("{name} knows no {resource}")).because(install));
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
        let role = "Whoever runs the cluster gives you a Role that allows it.";
        let (needed, useful) = (denied(true), denied(false));
        Some(if !needed.is_empty() {
            Verdict::fail(format!("you may not {} {place}", needed.join(", "))).because(role)
        } else if !useful.is_empty() {
            Verdict::warn(format!("you may not {} {place}", useful.join(", "))).because(format!(
                "A run can be launched, but less of it will be seen. {role}"
            ))
        } else {
            Verdict::pass(format!("{name}, namespace {}", cluster.namespace))
        })
    }
}
