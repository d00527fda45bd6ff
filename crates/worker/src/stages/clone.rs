//! `prep clone`: fetches the source branch into the handover volume and verifies its tasks. Does not mount the workspace.

use std::path::Path;

use super::{
    branch, docs,
    environment::{StageEnv, write_json},
    error::StageError,
    fetch, lfs, log,
    remote::{self, Remote, local},
    submodules,
    verify::{self, Found},
};
use flightdeck_core::runs::{RunManifest, StageReport, reason};

/// The bare clone, in the handover.
pub(crate) const REPOSITORY: &str = "clone.git";
/// The stage report for the next container, in the handover.
pub(crate) const REPORT: &str = "clone.json";

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let manifest = &stage.manifest;
    let handover = stage.handover()?;
    check_branches(manifest, handover).await?;

    let remote = Remote::new(manifest, remote::token(manifest))?;
    let repository = handover.join(REPOSITORY);
    fetch::init(&repository).await?;
    let source = &manifest.source_branch;
    log(format!("Cloning {} branch {source}.", remote.display_url()));
    let refspec = format!("+refs/heads/{source}:refs/heads/{source}");
    // The commit that a continued session started from may be far back.
    let continues = manifest.continue_session && manifest.context_version > 1;
    let depth = if continues { 0 } else { manifest.layout.depth };
    fetch::branch(&remote, &repository, &refspec, depth)
        .await
        .map_err(|error| error.ended(reason::CLONE_FAILED))?;
    let revision = format!("refs/heads/{source}^{{commit}}");
    let commit = local(&repository)
        .args(["rev-parse", "--verify", &revision])
        .run()
        .await?
        .text();
    log(format!("Cloned commit {commit}."));
    branch::check_target(manifest, &remote, handover, &commit).await?;

    let report = match &manifest.docs {
        None => {
            verify_tasks(manifest, &remote, &repository, &commit)
                .await?
                .0
        }
        Some(source) => {
            let fetched = docs::fetch(source, manifest, handover).await?;
            let plan = verify_tasks(
                manifest,
                &fetched.remote,
                &fetched.repository,
                &fetched.commit,
            );
            let (report, found) = plan.await?;
            let plan = (found.path.as_str(), found.bytes.as_slice());
            docs::extract(&fetched, manifest, plan, handover).await?;
            StageReport {
                commit: Some(commit.clone()),
                ..report
            }
        }
    };
    fetch_lfs_files(manifest, &remote, &repository, &commit).await?;
    submodules::fetch_all(manifest, &repository, &commit, handover).await?;
    write_json(&handover.join(REPORT), &report)?;
    Ok(report)
}

/// Checks the branch names, which become part of refspecs, with git itself.
async fn check_branches(manifest: &RunManifest, handover: &Path) -> Result<(), StageError> {
    let (source, target) = (&manifest.source_branch, &manifest.target_branch);
    if source == target {
        return Err(StageError::Setup(format!(
            "the target branch equals the source branch {source}; a run needs its own branch"
        )));
    }
    // Branches are stored as files: one cannot be a folder of another, neither here nor at the remote.
    if target.starts_with(&format!("{source}/")) || source.starts_with(&format!("{target}/")) {
        return Err(StageError::Setup(format!(
            "git cannot store both branches {source} and {target}; choose another target branch"
        )));
    }
    let docs = manifest.docs.as_ref().and_then(|docs| docs.branch.as_ref());
    for branch in [source, target].into_iter().chain(docs) {
        let checked = local(handover)
            .arg("check-ref-format")
            .arg(format!("refs/heads/{branch}"))
            .run()
            .await;
        checked.map_err(|_| StageError::Setup(format!("{branch} is not a valid branch name")))?;
    }
    Ok(())
}

/// Reads the plan at `commit` and verifies it against the revision seen at launch.
async fn verify_tasks(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    commit: &str,
) -> Result<(StageReport, Found), StageError> {
    let mut found = find_tasks(manifest, repository, commit).await?;
    if let Some(found) = &mut found {
        found.bytes = resolve_pointer(remote, repository, commit, found).await?;
    }
    let (report, lines) = verify::verify(manifest, commit, found.as_ref())
        .map_err(|sentence| StageError::ended(reason::TASKS_MISMATCH, sentence))?;
    lines.iter().for_each(log);
    let found = found.ok_or_else(|| StageError::Setup("no plan found".to_owned()))?;
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

/// Returns the content of the plan, fetched from Git LFS if the commit only has a pointer.
async fn resolve_pointer(
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
        let message = format!("{path} at commit {commit} is a Git LFS pointer, and {why}");
        StageError::ended(reason::CLONE_FAILED, message)
    };
    if !lfs::is_installed(repository).await {
        return Err(refused(
            "git-lfs is not installed; add it to the image of [images] runner, or keep the plan out of LFS".into(),
        ));
    }
    lfs::fetch(remote, repository, commit, Some(path))
        .await
        .map_err(|why| refused(format!("its content could not be fetched: {why}")))?;
    pointer.read_plan(repository).map_err(refused)
}

/// Fetches the LFS files of a code run. A docs run needs only its plan, which is already fetched.
async fn fetch_lfs_files(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    commit: &str,
) -> Result<(), StageError> {
    if !manifest.kind.changes_code() || !lfs::is_used(repository, commit).await? {
        return Ok(());
    }
    if !lfs::is_installed(repository).await {
        log("The repository uses Git LFS, but git-lfs is not installed: its files stay pointers.");
        return Ok(());
    }
    match lfs::fetch(remote, repository, commit, None).await {
        Ok(()) => log("Fetched Git LFS files."),
        Err(why) => log(format!(
            "Could not fetch all Git LFS files; some stay pointers: {why}"
        )),
    }
    Ok(())
}
