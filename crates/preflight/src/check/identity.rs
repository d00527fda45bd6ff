//! `identity`: who commits are by, whose credential the pods use, and whether it may go where it is needed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Check, Facts, Verdict};
use flightdeck_core::{
    resources::{RunSpec, RunStatus},
    runs::{CodeDetails, Run},
};

pub(super) struct Identity;

impl Check for Identity {
    fn id(&self) -> &'static str {
        "identity"
    }

    fn title(&self) -> &'static str {
        "Identity"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let identity = &facts.repository()?.identity;
        if let Some(refused) = refused(facts) {
            return Some(Verdict::fail(refused).because(
                "The controller would end the run at once. The list is there so that a credential is sent to no stranger.",
            ));
        }
        Some(match (&identity.name, &identity.email) {
            (Some(_), Some(_)) if on_a_cluster(facts) && facts.github_user.is_none() => {
                Verdict::warn("no GitHub user is named, so the run's pods have no Git credential")
                    .because("They can clone what is public and push nothing. Name whose Secret they use: --github-user, or the field of the form.")
            }
            (Some(name), Some(email)) => Verdict::pass(format!("{name} <{email}>")),
            (name, _) => {
                let missing = if name.is_none() {
                    "user.name"
                } else {
                    "user.email"
                };
                Verdict::warn(format!("git does not know who you are: {missing} is not set"))
                    .because("Commits need a name and an address: git config --global user.name NAME, and user.email ADDRESS.")
            }
        })
    }
}

/// What the controller would say of where the credential is to go, where its settings are known.
fn refused(facts: &Facts) -> Option<String> {
    let settings = facts.cluster.as_ref()?.settings.as_ref()?;
    let run = Run {
        kind: facts.kind,
        metadata: ObjectMeta::default(),
        tasks: Vec::new(),
        spec: RunSpec {
            repository_url: facts.repository()?.remote.as_ref()?.clone_url.clone(),
            github_user: facts.github_user.clone(),
            ..RunSpec::default()
        },
        code: facts.docs_repository.clone().map(|url| CodeDetails {
            docs_repository_url: Some(url),
            ..CodeDetails::default()
        }),
        status: RunStatus::default(),
    };
    let refused = settings.refuses(&run)?;
    Some(refused.message().to_owned())
}

/// Whether pods would work with a Secret's credential rather than with the person's own git.
fn on_a_cluster(facts: &Facts) -> bool {
    facts
        .cluster
        .as_ref()
        .is_some_and(|cluster| cluster.context.is_some())
}
