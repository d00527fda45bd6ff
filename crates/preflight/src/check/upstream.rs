//! `upstream`: the branch exists on the remote.

use super::{Check, Facts, Verdict};
use crate::{Fix, RemoteBranch};

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
        match facts.remote_branch() {
            RemoteBranch::Unknown => None,
            RemoteBranch::Known(_) => Some(Verdict::pass(format!("{} exists", remote.place()))),
            RemoteBranch::Absent => {
                let follows = match &remote.follows {
                    Some(other) => format!("; its upstream is {}/{other}", remote.name),
                    None => String::new(),
                };
                Some(
                    Verdict::fail(format!("{} does not exist yet{follows}", remote.place()))
                        .because("Runs clone the current branch, which is also the base of the pull request. Push it first.")
                        .fixed_by(repository.commit().map(|_| Fix::Push)),
                )
            }
        }
    }
}
