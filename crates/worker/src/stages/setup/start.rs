//! Where an attempt that continues starts: in the checkout that the previous one left, from the branch that was pushed, or
//! from the source branch.
//!
//! Commits are compared in the clone, because the checkout is untrusted.

use std::path::Path;

use crate::stages::{
    agent::{COMMIT_TIMEOUT, uncommitted},
    clone::{PUSHED, REPOSITORY, is_ancestor},
    environment::StageEnv,
    error::StageError,
    log,
    remote::local,
};

/// The commit that the previous attempt left in its checkout, in the clone.
const KEPT: &str = "refs/flightdeck/kept";

/// Where an attempt starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The commit to work on.
    pub commit: String,
    /// The commit of the source branch that it is based on.
    pub base: String,
    /// Whether the checkout is at the commit already.
    pub in_place: bool,
    /// Whether the checkout has commits that `commit` does not contain.
    pub diverged: bool,
}

impl Start {
    /// Starts from the source branch.
    pub(super) fn new(source: String) -> Self {
        Self {
            base: source.clone(),
            commit: source,
            in_place: false,
            diverged: false,
        }
    }
}

/// Finds the start of an attempt that continues; `source` is the tip of the source branch.
pub(super) async fn find(stage: &StageEnv, source: &str) -> Result<Start, StageError> {
    let clone = stage.handover()?.join(REPOSITORY);
    let kept = kept(stage, &clone).await?;
    let pushed = commit_of(&clone, PUSHED).await;
    let (commit, in_place, diverged) = match (kept, pushed) {
        (None, None) => return Ok(Start::new(source.to_owned())),
        (Some(kept), None) => (kept, true, false),
        (None, Some(pushed)) => (pushed, false, false),
        (Some(kept), Some(pushed)) => {
            if is_ancestor(&clone, &pushed, &kept).await {
                (kept, true, false)
            } else {
                let ahead = !is_ancestor(&clone, &kept, &pushed).await;
                (pushed, false, ahead)
            }
        }
    };
    let bases = local(&clone)
        .args(["merge-base", &commit, source])
        .run()
        .await
        .map(|output| output.text());
    let Ok(base) = bases else {
        log(
            "The source branch no longer contains the commit that the earlier work is based on: starting over.",
        );
        return Ok(Start::new(source.to_owned()));
    };
    if base != source {
        log(format!(
            "The source branch is at {source}; this attempt continues on {base} with the verified plan."
        ));
    }
    Ok(Start {
        commit,
        base,
        in_place,
        diverged,
    })
}

/// Makes the commits of the replaced checkout available in the new one, so that none is lost.
pub(super) async fn keep(clone: &Path, repo: &Path, version: i32) -> Result<(), StageError> {
    let name = format!("refs/flightdeck/kept/v{}", version - 1);
    local(repo)
        .args(["fetch", "--quiet", "--no-tags", "--"])
        .arg(clone)
        .arg(format!("+{KEPT}:{name}"))
        .run()
        .await?;
    log(format!(
        "The previous attempt has commits that are not on its branch; they are kept as {name}."
    ));
    Ok(())
}

/// Fetches the commit of the previous attempt's checkout into the clone, with what was left uncommitted. Returns its id, or
/// `None` if there is no usable checkout.
async fn kept(stage: &StageEnv, clone: &Path) -> Result<Option<String>, StageError> {
    let repo = stage.checkout()?;
    if !repo.join(".git").is_dir() || stage.base().is_none() {
        return Ok(None);
    }
    // Only a container that was killed leaves anything here.
    match tokio::time::timeout(COMMIT_TIMEOUT, uncommitted::commit(stage)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log(format!("Could not commit what the agent left: {error}")),
        Err(_) => log("Could not commit what the agent left: git timed out."),
    }
    let fetched = local(clone)
        .args(["fetch", "--quiet", "--no-tags", "--"])
        .arg(&repo)
        .arg(format!("+HEAD:{KEPT}"))
        .run()
        .await;
    if let Err(error) = fetched {
        log(format!(
            "Could not read the checkout of the previous attempt: {error}"
        ));
        return Ok(None);
    }
    Ok(commit_of(clone, KEPT).await)
}

async fn commit_of(repository: &Path, name: &str) -> Option<String> {
    let found = local(repository)
        .args(["rev-parse", "--verify", "--quiet"])
        .arg(format!("{name}^{{commit}}"))
        .run()
        .await;
    found.ok().map(|output| output.text())
}
