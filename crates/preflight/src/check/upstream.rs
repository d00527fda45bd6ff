//! `upstream`: the branch exists on the remote.

use super::{Check, Facts, Verdict};
use crate::{Fix, There};

pub(super) struct Upstream;

impl Check for Upstream {
    fn id(&self) -> &'static str {
        "upstream"
    }

    fn title(&self) -> &'static str {
        "Branch on the remote"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let repository = facts.repository()?;
        let remote = repository.remote.as_ref()?;
        match facts.there() {
            There::Unknown => None,
            There::Known(_) => Some(Verdict::pass(format!("{} exists", remote.place()))),
            There::Absent => {
                let follows = match &remote.follows {
                    Some(other) => format!("; it follows {}/{other}", remote.name),
                    None => String::new(),
                };
                Some(
                    Verdict::fail(format!("{} does not exist yet{follows}", remote.place()))
                        .because("A run clones the branch you are on, and its pull request goes back to it. Push it first.")
                        .fixed_by(repository.commit().map(|_| Fix::Push)),
                )
            }
        }
    }
}
