//! `identity`: git author, GitHub account of the pods, and the hosts its token may be sent to.

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
                "The controller would fail the run at once. Tokens are sent to allowed hosts only.",
            ));
        }
        Some(match (&identity.name, &identity.email) {
            (Some(_), Some(_)) if on_a_cluster(facts) && facts.github_user.is_none() => {
                Verdict::warn("no GitHub account is set, so the run's pods have no Git credentials")
                    .because("They can clone public repositories and cannot push. Set --github-user, or the field in the launch form.")
            }
            (Some(name), Some(email)) => Verdict::pass(format!("{name} <{email}>")),
            (name, _) => {
                let missing = if name.is_none() {
                    "user.name"
                } else {
                    "user.email"
                };
                Verdict::warn(format!("{missing} is not set in git"))
                    .because("Commits need an author: git config --global user.name NAME, and user.email ADDRESS.")
            }
        })
    }
}

/// Returns why the controller would refuse to send the token, if its settings are known.
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
        code: facts.docs_location.as_ref().map(|docs| CodeDetails {
            docs_repository_url: Some(docs.repository.clone()),
            ..CodeDetails::default()
        }),
        status: RunStatus::default(),
    };
    let refused = settings.refuses(&run)?;
    Some(refused.message().to_owned())
}

/// Whether the run gets its credentials from a Secret instead of the user's git.
fn on_a_cluster(facts: &Facts) -> bool {
    facts
        .cluster
        .as_ref()
        .is_some_and(|cluster| cluster.context.is_some())
}
