//! `prep clone`: brings the source branch into the handover and verifies its tasks. Never sees the workspace.

use super::{
    error::StageError,
    place::{Place, write_json},
    remote::{self, Remote, local},
    say,
    verify::{self, Found},
};
use crate::runs::{StageReport, reason};

/// The clone, a bare repository, in the handover.
pub const REPOSITORY: &str = "clone.git";
/// What was found, for the container that follows, in the handover.
pub const REPORT: &str = "clone.json";

pub async fn run(place: Place) -> Result<StageReport, StageError> {
    let manifest = &place.manifest;
    let (source, target) = (&manifest.source_branch, &manifest.target_branch);
    let handover = place.handover()?;
    if source == target {
        return Err(StageError::Setup(format!(
            "the target branch is the source branch {source}; a run works on a branch of its own"
        )));
    }
    // Git keeps branches as files: one cannot be the folder of another, here or at the remote.
    if target.starts_with(&format!("{source}/")) || source.starts_with(&format!("{target}/")) {
        return Err(StageError::Setup(format!(
            "git cannot hold the branches {source} and {target} at once; choose another target branch"
        )));
    }
    for branch in [source, target] {
        check_branch(&place, branch).await?;
    }

    let remote = Remote::new(manifest, remote::token())?;
    let repository = handover.join(REPOSITORY);
    local(handover)
        .args(["init", "--quiet", "--bare", "--template="])
        .arg(&repository)
        .run()
        .await?;
    say(format!("Cloning {} branch {source}.", remote.shown()));
    // A bare repository has no work tree: nothing of the branch is checked out, filtered or run here.
    let refspec = format!("+refs/heads/{source}:refs/heads/{source}");
    remote
        .talk(&repository, |git| {
            git.args(["fetch", "--quiet", "--no-tags", "--"])
                .args([&remote.url, &refspec])
        })
        .await
        .map_err(|error| error.ended(reason::CLONE_FAILED))?;

    let revision = format!("refs/heads/{source}^{{commit}}");
    let commit = local(&repository)
        .args(["rev-parse", "--verify", &revision])
        .run()
        .await?
        .text();
    say(format!("Cloned commit {commit}."));
    let found = find_tasks(&place, &commit).await?;
    let (report, said) = verify::verify(manifest, &commit, found.as_ref())
        .map_err(|sentence| StageError::ended(reason::TASKS_MISMATCH, sentence))?;
    said.iter().for_each(say);
    write_json(&handover.join(REPORT), &report)?;
    Ok(report)
}

/// A branch name goes into refspecs: git itself says whether it is one.
async fn check_branch(place: &Place, branch: &str) -> Result<(), StageError> {
    let checked = local(place.handover()?)
        .arg("check-ref-format")
        .arg(format!("refs/heads/{branch}"))
        .run()
        .await;
    checked
        .map(drop)
        .map_err(|_| StageError::Setup(format!("{branch} is no name for a branch")))
}

async fn find_tasks(place: &Place, commit: &str) -> Result<Option<Found>, StageError> {
    let repository = place.handover()?.join(REPOSITORY);
    for path in verify::candidates(&place.manifest) {
        let named = local(&repository)
            .args(["rev-parse", "--verify", "--quiet"])
            .arg(format!("{commit}:{path}"))
            .run()
            .await;
        let Ok(blob) = named.map(|output| output.text()) else {
            continue;
        };
        let bytes = local(&repository)
            .args(["cat-file", "blob", &blob])
            .run()
            .await?
            .stdout;
        return Ok(Some(Found { path, blob, bytes }));
    }
    Ok(None)
}
