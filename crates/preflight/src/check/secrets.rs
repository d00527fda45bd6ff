//! `secrets`: each Secret the run mounts is there with its key. Names and keys only.

use super::{Check, Facts, Verdict};
use crate::cluster::{ClusterFacts, Reached, SecretFound, SecretState};

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
                "none is needed: runs use your own git and environment",
            ));
        }
        let Reached::Yes(answers) = &cluster.reached else {
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
                "The pods start without it, but the agent may not get far. {}",
                command(secret, cluster)
            )));
        }
        if let Some(secret) = in_state(&[SecretState::NotAllowed], None) {
            return Some(
                Verdict::warn(format!(
                    "whether the Secret {} is there cannot be seen: you may not look at Secrets of namespace {}",
                    secret.wanted.name, cluster.namespace
                ))
                .because("Most people may not, and need not. Where it is missing, the run says so."),
            );
        }
        if let Some(secret) = in_state(&[SecretState::KeyUnknown], None) {
            return Some(Verdict::warn(format!(
                "the Secret {} is there; whether it has the key {} cannot be seen without its values",
                secret.wanted.name, secret.wanted.key
            )));
        }
        Some(match secrets.as_slice() {
            [] => Verdict::pass("none is needed"),
            secrets => {
                let names: Vec<&str> = secrets
                    .iter()
                    .map(|secret| secret.wanted.name.as_str())
                    .collect();
                Verdict::pass(format!(
                    "{} {} there",
                    names.join(", "),
                    if names.len() == 1 { "is" } else { "are" }
                ))
            }
        })
    }
}

fn missing(secret: &SecretFound, cluster: &ClusterFacts) -> String {
    let wanted = &secret.wanted;
    match secret.state {
        SecretState::NoKey => format!(
            "the Secret {} of namespace {} has no key {}, {}",
            wanted.name, cluster.namespace, wanted.key, wanted.purpose
        ),
        _ => format!(
            "namespace {} has no Secret {}, {}",
            cluster.namespace, wanted.name, wanted.purpose
        ),
    }
}

/// What makes it, without the value on a command line.
fn command(secret: &SecretFound, cluster: &ClusterFacts) -> String {
    let (wanted, namespace) = (&secret.wanted, &cluster.namespace);
    let context = cluster.context.as_deref().unwrap_or_default();
    match secret.state {
        SecretState::NoKey => format!(
            "Add it: kubectl --context {context} --namespace {namespace} edit secret {}",
            wanted.name
        ),
        _ => format!(
            "Make it from a file that holds the value alone: kubectl --context {context} --namespace {namespace} create secret generic {} --from-file={}=FILE",
            wanted.name, wanted.key
        ),
    }
}
