//! `remote`: exists, is reachable, and can be cloned by a run.

use super::{Check, Facts, Verdict};
use flightdeck_core::{remote_url, text};

pub(super) struct Remote;

impl Check for Remote {
    fn id(&self) -> &'static str {
        "remote"
    }

    fn title(&self) -> &'static str {
        "Remote"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let Some(remote) = &facts.repository()?.remote else {
            return Some(
                Verdict::fail("the repository has no remote")
                    .because("Runs clone from a remote, not from your work tree. Add one: git remote add origin ADDRESS."),
            );
        };
        let url = &remote.clone_url;
        if let Some(Err(error)) = &facts.remote {
            return Some(Verdict::fail(error.to_string()).because("Runs clone from the remote."));
        }
        if remote_url::is_local(url) && !facts.embedded {
            return Some(
                Verdict::fail(format!("{url} can only be cloned on this machine"))
                    .because("The cluster's pods cannot reach it. Use another remote, or the embedded cluster."),
            );
        }
        if remote_url::identity(url) != remote_url::identity(&remote.push_url) {
            return Some(
                Verdict::warn(format!(
                    "{} fetches from {url} but pushes to {}",
                    remote.name, remote.push_url
                ))
                .because("Runs clone the fetch URL, which may not have what you pushed."),
            );
        }
        let age = match (&facts.remote, facts.as_of()) {
            (None, Some(then)) => format!(
                ", last contacted {} ago",
                text::age(facts.now.as_second() - then.as_second())
            ),
            (None, None) => ", not contacted yet".into(),
            _ => String::new(),
        };
        Some(Verdict::pass(format!("{} = {url}{age}", remote.name)))
    }
}
