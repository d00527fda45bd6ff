//! The verified plan, for a checkout whose own plan is older.
//!
//! An attempt that continues starts from the run's branch, which was created from an earlier state of the source branch.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    checkout,
    environment::{read_json, write_json},
    error::StageError,
    log,
    remote::local,
    verify::Found,
};
use flightdeck_core::files::read_bounded;
use flightdeck_host::repository::git::OUTPUT_LIMIT;

/// The content, in the handover.
const CONTENT: &str = "plan";
/// [`Verified`], in the handover.
const DESCRIPTION: &str = "plan.json";

/// Where the plan belongs.
#[derive(Serialize, Deserialize)]
struct Verified {
    path: String,
    blob: String,
}

/// Writes the plan for `prep lay`.
pub(crate) fn hand_over(found: &Found, handover: &Path) -> Result<(), StageError> {
    let content = handover.join(CONTENT);
    fs::write(&content, &found.bytes).map_err(StageError::file("write", &content))?;
    let verified = Verified {
        path: found.path.clone(),
        blob: found.blob.clone(),
    };
    write_json(&handover.join(DESCRIPTION), &verified)
}

/// Replaces the plan of the checkout by the verified one if they differ, uncommitted.
pub(crate) async fn update(handover: &Path, repo: &Path) -> Result<(), StageError> {
    let description = handover.join(DESCRIPTION);
    if !description.is_file() {
        return Ok(());
    }
    let Verified { path, blob } = read_json(&description)?;
    let own = local(repo)
        .args(["rev-parse", "--verify", "--quiet"])
        .arg(format!("HEAD:{path}"))
        .run()
        .await;
    let own = own.ok().map(|output| output.text());
    if own.as_ref() == Some(&blob) {
        return Ok(());
    }
    let content = handover.join(CONTENT);
    // The limit of the git output that it was read from.
    let content = read_bounded(&content, OUTPUT_LIMIT as u64)
        .map_err(io::Error::from)
        .map_err(StageError::file("read", content))?;
    if checkout::behind_link(repo, &path) {
        log(format!(
            "Kept the older {path}: it is behind a symbolic link."
        ));
        return Ok(());
    }
    if own.is_none() {
        checkout::add_untracked(repo, &path, &content).await?;
    } else {
        checkout::write_file(&repo.join(&path), &content)?;
        checkout::skip_worktree(repo, std::slice::from_ref(&path)).await?;
    }
    log(format!(
        "Updated {path} to the verified plan (not committed)."
    ));
    Ok(())
}
