//! `remote`: there is one, it answers, and a run can clone it.

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
                    .because("A run clones from a remote, never from your work tree. Add one: git remote add origin ADDRESS."),
            );
        };
        let url = &remote.clone_url;
        if let Some(Err(error)) = &facts.remote {
            return Some(Verdict::fail(error.to_string()).because(
                "What a run would clone cannot be known while the remote gives no answer.",
            ));
        }
        if remote_url::is_local(url) && !facts.embedded {
            return Some(
                Verdict::fail(format!("{url} can be cloned from this machine only"))
                    .because("The pods of a cluster cannot reach it. Use a remote they can reach, or the embedded cluster."),
            );
        }
        if remote_url::identity(url) != remote_url::identity(&remote.push_url) {
            return Some(
                Verdict::warn(format!("{} is fetched from {url} but pushed to {}", remote.name, remote.push_url))
                    .because("A run clones where you fetch from: what you push is not seen there until somebody brings it over."),
            );
        }
        let age = match (&facts.remote, facts.as_of()) {
            (None, Some(then)) => format!(
                ", last seen {} ago",
                text::age(facts.now.as_second() - then.as_second())
            ),
            (None, None) => ", never asked yet".into(),
            _ => String::new(),
        };
        Some(Verdict::pass(format!("{} = {url}{age}", remote.name)))
    }
}
