//! `publish collect`: bundles the agent's commits from its checkout. Holds no credential.
//!
//! The checkout is untrusted: its configuration may name programs and other remotes. Nothing here uses the network or that
//! configuration, and nothing found here is trusted: `publish push` checks the bundle.

mod snapshot;

use std::fs;

use serde::{Deserialize, Serialize};

use super::{
    agent::uncommitted,
    environment::{StageEnv, write_json},
    error::StageError,
    log,
    remote::local,
};
use flightdeck_core::{
    runs::{StageReport, reason},
    text,
};
use flightdeck_host::repository::git::Git;
use snapshot::Snapshot;

/// The bundle, in the handover; absent if there are no commits.
pub(crate) const BUNDLE: &str = "work.bundle";
/// [`Collected`], in the handover.
pub(crate) const COLLECTED: &str = "collect.json";

/// What the agent left, unverified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Collected {
    /// The commit the agent started from.
    pub base: String,
    /// The commit the agent ended on; equals `base` if it committed nothing.
    pub head: String,
    /// Nested repositories that could not be committed.
    #[serde(default)]
    pub left_out: Vec<String>,
}

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let handover = stage.handover()?;
    let checkout = stage.checkout()?;
    let base = stage.base().ok_or_else(|| {
        StageError::ended(
            reason::AGENT_FAILED,
            "the workspace no longer records which commit the agent started from",
        )
    })?;
    let head = offline(local(&checkout))
        .args(["rev-parse", "--verify", "HEAD^{commit}"])
        .run()
        .await
        .map_err(|error| {
            StageError::ended(
                reason::AGENT_FAILED,
                format!("the agent left a checkout without a commit: {error}"),
            )
        })?
        .text();
    let work = Snapshot::open(&checkout, handover, &head).await?;
    let head = match work.commit_uncommitted(&stage).await {
        Ok(snapshot) => snapshot.unwrap_or(head),
        Err(error) => {
            log(format!(
                "Could not commit what the agent left uncommitted: {error}"
            ));
            head
        }
    };
    let range = format!("{base}..HEAD");
    let count = work
        .git(&["rev-list", "--count", &range, "--"])
        .run()
        .await
        .map_err(|error| {
            StageError::ended(
                reason::AGENT_FAILED,
                format!("the agent's checkout no longer contains its start commit {base}: {error}"),
            )
        })?
        .text();
    let commits: usize = count.parse().unwrap_or_default();
    let bundle = handover.join(BUNDLE);
    if commits == 0 {
        log("The agent committed nothing.");
    } else {
        work.git(&["bundle", "create", "--quiet"])
            .arg(&bundle)
            .arg(&range)
            .run()
            .await?;
        let bytes = fs::metadata(&bundle).map_or(0, |data| data.len());
        log(format!(
            "Bundled {}, {bytes} bytes, up to {head}.",
            text::count(commits, "commit")
        ));
    }
    let collected = Collected {
        base,
        head,
        left_out: uncommitted::left_out(&stage),
    };
    write_json(&handover.join(COLLECTED), &collected)?;
    Ok(StageReport::default())
}

/// Configures git to contact no remote for missing objects, whatever the repository's configuration.
fn offline(git: Git) -> Git {
    git.env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .config("core.sshCommand", "false")
        .config("core.commitGraph", "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn contacts_no_remote_not_even_a_local_one() {
        let root = tempfile::tempdir().unwrap();
        let git = || local(root.path());
        git()
            .args(["init", "-q", "--bare", "other"])
            .run()
            .await
            .unwrap();
        git().args(["init", "-q", "."]).run().await.unwrap();
        let other = root.path().join("other").display().to_string();
        let listed = git().args(["ls-remote", &other]).run().await;
        assert!(listed.is_ok(), "{listed:?}");
        let refused = offline(git()).args(["ls-remote", &other]).run().await;
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("'file' not allowed"), "{message}");
    }
}
