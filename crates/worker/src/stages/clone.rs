//! `prep clone`: brings the source branch into the handover and verifies its tasks. Never sees the workspace.

use std::path::Path;

use super::{
    branch, docs,
    error::StageError,
    fetch, lfs,
    place::{Place, write_json},
    remote::{self, Remote, local},
    say, submodules,
    verify::{self, Found},
};
use flightdeck_core::runs::{RunManifest, StageReport, reason};

/// The clone, a bare repository, in the handover.
pub const REPOSITORY: &str = "clone.git";
/// What was found, for the container that follows, in the handover.
pub const REPORT: &str = "clone.json";

pub async fn run(place: Place) -> Result<StageReport, StageError> {
    let manifest = &place.manifest;
    let handover = place.handover()?;
    check_branches(manifest, handover).await?;

    let remote = Remote::new(manifest, remote::token())?;
    let repository = handover.join(REPOSITORY);
    fetch::init(&repository).await?;
    let source = &manifest.source_branch;
    say(format!("Cloning {} branch {source}.", remote.shown()));
    let refspec = format!("+refs/heads/{source}:refs/heads/{source}");
    // Going on with a session means going on from a commit that may lie far back.
    let goes_on = manifest.continue_session && manifest.context_version > 1;
    let depth = if goes_on { 0 } else { manifest.layout.depth };
    fetch::branch(&remote, &repository, &refspec, depth)
        .await
        .map_err(|error| error.ended(reason::CLONE_FAILED))?;
    let revision = format!("refs/heads/{source}^{{commit}}");
    let commit = local(&repository)
        .args(["rev-parse", "--verify", &revision])
        .run()
        .await?
        .text();
    say(format!("Cloned commit {commit}."));
    branch::check_target(manifest, &remote, handover, &commit).await?;

    let report = match &manifest.docs {
        None => verified(manifest, &remote, &repository, &commit).await?.0,
        Some(source) => {
            let fetched = docs::fetch(source, manifest, handover).await?;
            let plan = verified(
                manifest,
                &fetched.remote,
                &fetched.repository,
                &fetched.commit,
            );
            let (report, found) = plan.await?;
            let plan = (found.path.as_str(), found.bytes.as_slice());
            docs::take(&fetched, manifest, plan, handover).await?;
            StageReport {
                commit: Some(commit.clone()),
                ..report
            }
        }
    };
    bring_large_files(manifest, &remote, &repository, &commit).await?;
    submodules::fetch_all(manifest, &repository, &commit, handover).await?;
    write_json(&handover.join(REPORT), &report)?;
    Ok(report)
}

/// Branch names go into refspecs: git itself says whether they are any.
async fn check_branches(manifest: &RunManifest, handover: &Path) -> Result<(), StageError> {
    let (source, target) = (&manifest.source_branch, &manifest.target_branch);
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
    let docs = manifest.docs.as_ref().and_then(|docs| docs.branch.as_ref());
    for branch in [source, target].into_iter().chain(docs) {
        let checked = local(handover)
            .arg("check-ref-format")
            .arg(format!("refs/heads/{branch}"))
            .run()
            .await;
        checked.map_err(|_| StageError::Setup(format!("{branch} is no name for a branch")))?;
    }
    Ok(())
}

/// Finds the plan at `commit`, reads it, and holds it against what was claimed at launch.
async fn verified(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    commit: &str,
) -> Result<(StageReport, Found), StageError> {
    let mut found = find_tasks(manifest, repository, commit).await?;
    if let Some(found) = &mut found {
        found.bytes = plain(remote, repository, commit, found).await?;
    }
    let (report, said) = verify::verify(manifest, commit, found.as_ref())
        .map_err(|sentence| StageError::ended(reason::TASKS_MISMATCH, sentence))?;
    said.iter().for_each(say);
    let found = found.ok_or_else(|| StageError::Setup("there is no plan".to_owned()))?;
    Ok((report, found))
}

async fn find_tasks(
    manifest: &RunManifest,
    repository: &Path,
    commit: &str,
) -> Result<Option<Found>, StageError> {
    for path in verify::candidates(manifest) {
        let named = local(repository)
            .args(["rev-parse", "--verify", "--quiet"])
            .arg(format!("{commit}:{path}"))
            .run()
            .await;
        let Ok(blob) = named.map(|output| output.text()) else {
            continue;
        };
        let bytes = local(repository)
            .args(["cat-file", "blob", &blob])
            .run()
            .await?
            .stdout;
        return Ok(Some(Found { path, blob, bytes }));
    }
    Ok(None)
}

/// The plan's own text, also where the commit has only a pointer to it.
async fn plain(
    remote: &Remote,
    repository: &Path,
    commit: &str,
    found: &Found,
) -> Result<Vec<u8>, StageError> {
    let Some(pointer) = lfs::Pointer::parse(&found.bytes) else {
        return Ok(found.bytes.clone());
    };
    let path = &found.path;
    let refused = |why: String| {
        let message = format!("{path} at commit {commit} is a pointer of Git LFS, and {why}");
        StageError::ended(reason::CLONE_FAILED, message)
    };
    if !lfs::is_here(repository).await {
        return Err(refused(
            "there is no git-lfs here to fetch it with; install it in the image of [images] runner, or keep the plan out of LFS".into(),
        ));
    }
    lfs::fetch(remote, repository, commit, Some(path))
        .await
        .map_err(|why| refused(format!("its content could not be fetched: {why}")))?;
    pointer.read_plan(repository).map_err(refused)
}

/// A code run builds with what LFS keeps; a docs run reads, and its plan is here by now.
async fn bring_large_files(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    commit: &str,
) -> Result<(), StageError> {
    if !manifest.kind.changes_code() || !lfs::is_used(repository, commit).await? {
        return Ok(());
    }
    if !lfs::is_here(repository).await {
        say(
            "The repository keeps files in Git LFS, and there is no git-lfs here: they stay pointers.",
        );
        return Ok(());
    }
    match lfs::fetch(remote, repository, commit, None).await {
        Ok(()) => say("Fetched the files that Git LFS keeps."),
        Err(why) => say(format!(
            "The files that Git LFS keeps stay pointers, some of them at least: {why}"
        )),
    }
    Ok(())
}
