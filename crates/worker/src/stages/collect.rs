//! `publish collect`: takes the agent's commits out of its checkout as a bundle. Holds no credential.
//!
//! The checkout is another's: its configuration may name programs and other remotes. Nothing here needs the network, a
//! work tree or the index, and nothing found here is believed: `publish push` judges the bundle as data.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{
    agent::leftovers,
    error::StageError,
    place::{Place, write_json},
    remote::local,
    say,
};
use flightdeck_core::{
    runs::{StageReport, reason},
    text,
};
use flightdeck_host::repository::git::Git;

/// The bundle, in the handover; absent when there are no commits.
pub const BUNDLE: &str = "work.bundle";
/// [`Collected`], in the handover.
pub const COLLECTED: &str = "collect.json";

/// What the agent left, by its own account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// The commit the agent started from.
    pub base: String,
    /// The commit the agent ended on; the same as `base` when it committed nothing.
    pub head: String,
    /// Repositories within its checkout that could not be committed.
    #[serde(default)]
    pub left_out: Vec<String>,
}

pub async fn run(place: Place) -> Result<StageReport, StageError> {
    let handover = place.handover()?;
    let checkout = place.checkout()?;
    let base = place.base().ok_or_else(|| {
        StageError::ended(
            reason::AGENT_FAILED,
            "the workspace no longer says which commit the agent started from",
        )
    })?;
    let careful = || careful(local(&checkout));

    let head = careful()
        .args(["rev-parse", "--verify", "HEAD^{commit}"])
        .run()
        .await
        .map_err(|error| {
            StageError::ended(
                reason::AGENT_FAILED,
                format!("the agent left no commit in its checkout: {error}"),
            )
        })?
        .text();
    let range = format!("{base}..HEAD");
    let count = careful()
        .args(["rev-list", "--count", &range, "--"])
        .run()
        .await
        .map_err(|error| {
            StageError::ended(
                reason::AGENT_FAILED,
                format!(
                    "the agent's checkout no longer holds {base}, which it started from: {error}"
                ),
            )
        })?
        .text();
    let commits: usize = count.parse().unwrap_or_default();
    let bundle = handover.join(BUNDLE);
    if commits == 0 {
        say("The agent committed nothing.");
    } else {
        careful()
            .args(["bundle", "create", "--quiet"])
            .arg(&bundle)
            .arg(&range)
            .run()
            .await?;
        let bytes = fs::metadata(&bundle).map_or(0, |data| data.len());
        say(format!(
            "Bundled {}, {bytes} bytes, up to {head}.",
            text::count(commits, "commit")
        ));
    }
    let collected = Collected {
        base,
        head,
        left_out: leftovers::left_out(&place),
    };
    write_json(&handover.join(COLLECTED), &collected)?;
    Ok(StageReport::default())
}

/// Git that asks no remote for missing objects, whatever the repository's configuration says.
fn careful(git: Git) -> Git {
    git.env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .config("core.sshCommand", "false")
        .config("core.commitGraph", "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_remote_is_asked_not_even_one_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let git = || local(root.path());
        git()
            .args(["init", "-q", "--bare", "other"])
            .run()
            .await
            .unwrap();
        git().args(["init", "-q", "."]).run().await.unwrap();
        let other = root.path().join("other").display().to_string();
        let asked = git().args(["ls-remote", &other]).run().await;
        assert!(asked.is_ok(), "{asked:?}");
        let refused = careful(git()).args(["ls-remote", &other]).run().await;
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("'file' not allowed"), "{message}");
    }
}
