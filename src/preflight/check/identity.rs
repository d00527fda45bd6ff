//! `identity`: who commits are by.

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
