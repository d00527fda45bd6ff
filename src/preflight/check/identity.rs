//! `identity`: who commits are by, and whose credential the pods use.

use super::{Check, Facts, Verdict};

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

/// Whether pods would work with a Secret's credential rather than with the person's own git.
fn on_a_cluster(facts: &Facts) -> bool {
    facts
        .cluster
        .as_ref()
        .is_some_and(|cluster| cluster.context.is_some())
}
