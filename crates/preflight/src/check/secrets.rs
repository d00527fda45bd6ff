//! `secrets`: the Secrets a run mounts exist and have their keys. Reads names and keys only.

use super::{Check, Facts, Verdict};
use crate::cluster::{ClusterFacts, Reachability, SecretFact, SecretState};

pub(super) struct Secrets;

impl Check for Secrets {
    fn id(&self) -> &'static str {
        "secrets"
    }

    fn title(&self) -> &'static str {
        "Secrets"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let cluster = facts.cluster.as_ref()?;
        if cluster.context.is_none() {
            return Some(Verdict::pass(
                "none needed: runs use your git and environment",
            ));
        }
        let Reachability::Reachable(answers) = &cluster.reached else {
            return None;
        };
        let secrets = &answers.secrets;
        let in_state = |wanted: &[SecretState], required: Option<bool>| {
            secrets.iter().find(|secret| {
                wanted.contains(&secret.state)
                    && required.is_none_or(|required| secret.wanted.required == required)
            })
        };
        let gone = [SecretState::Absent, SecretState::NoKey];
        if let Some(secret) = in_state(&gone, Some(true)) {
            return Some(Verdict::fail(missing(secret, cluster)).because(command(secret, cluster)));
        }
        if let Some(secret) = in_state(&gone, Some(false)) {
            return Some(Verdict::warn(missing(secret, cluster)).because(format!(
                "The pods start without it, but the agent may fail. {}",
                command(secret, cluster)
            )));
        }
        if let Some(secret) = in_state(&[SecretState::NotAllowed], None) {
            return Some(
                Verdict::warn(format!(
                    "cannot tell whether the Secret {} exists: you may not read Secrets in namespace {}",
                    secret.wanted.name, cluster.namespace
                ))
                .because("Usually fine. If the Secret is missing, the run reports it."),
            );
        }
        if let Some(secret) = in_state(&[SecretState::KeyUnknown], None) {
            return Some(Verdict::warn(format!(
                "the Secret {} exists; whether it has the key {} is unknown",
                secret.wanted.name, secret.wanted.key
            )));
        }
        Some(match secrets.as_slice() {
            [] => Verdict::pass("none needed"),
            secrets => {
                let names: Vec<&str> = secrets
                    .iter()
                    .map(|secret| secret.wanted.name.as_str())
                    .collect();
                Verdict::pass(format!(
                    "{} {}",
                    names.join(", "),
                    if names.len() == 1 { "exists" } else { "exist" }
                ))
            }
        })
    }
}

fn missing(secret: &SecretFact, cluster: &ClusterFacts) -> String {
    let wanted = &secret.wanted;
    match secret.state {
        SecretState::NoKey => format!(
            "the Secret {} in namespace {} has no key {} ({})",
            wanted.name, cluster.namespace, wanted.key, wanted.purpose
        ),
        _ => format!(
            "namespace {} has no Secret {} ({})",
            cluster.namespace, wanted.name, wanted.purpose
        ),
    }
}

/// Returns the command that creates the Secret, without the value on the command line.
fn command(secret: &SecretFact, cluster: &ClusterFacts) -> String {
    let (wanted, namespace) = (&secret.wanted, &cluster.namespace);
    let context = cluster.context.as_deref().unwrap_or_default();
    match secret.state {
        SecretState::NoKey => format!(
            "Add it: kubectl --context {context} --namespace {namespace} edit secret {}",
            wanted.name
        ),
        _ => format!(
            "Create it from a file with the value: kubectl --context {context} --namespace {namespace} create secret generic {} --from-file={}=FILE",
            wanted.name, wanted.key
        ),
    }
}
