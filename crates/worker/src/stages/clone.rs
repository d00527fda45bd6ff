//! `prep clone`: fetches the source branch into the handover volume and verifies its tasks. Does not mount the workspace.

use std::path::Path;

use super::{
    branch, docs,
    environment::{StageEnv, write_json},
    error::StageError,
    fetch, lfs, log, plan,
    remote::{self, Remote, RemoteError, local},
    submodules,
    verify::{self, Found},
};
use flightdeck_core::runs::{RunManifest, StageReport, reason};

/// The bare clone, in the handover.
pub(crate) const REPOSITORY: &str = "clone.git";
/// The branch that earlier attempts pushed to, in the bare clone.
pub(crate) const PUSHED: &str = "refs/flightdeck/pushed";
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
    // The commit that the work of earlier attempts is based on may be far back.
    let depth = if manifest.continues() {
        0
    } else {
        manifest.layout.depth
    };
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
    let start = fetch_pushed(manifest, &remote, &repository, &commit).await?;
    let start = start.as_ref().unwrap_or(&commit);

    let report = match &manifest.docs {
        None => {
            let (report, found) = verify_tasks(manifest, &remote, &repository, &commit).await?;
            plan::hand_over(&found, handover)?;
            report
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
    fetch_lfs_files(manifest, &remote, &repository, start).await?;
    submodules::fetch_all(manifest, &repository, start, handover).await?;
    write_json(&handover.join(REPORT), &report)?;
    Ok(report)
}

/// Fetches the branch that earlier attempts pushed to, if this attempt continues it. Returns its tip, unless the source branch
/// contains it already.
async fn fetch_pushed(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    source: &str,
) -> Result<Option<String>, StageError> {
    let Some(branch) = manifest
        .pushed_branch
        .as_ref()
        .filter(|_| manifest.continues())
    else {
        return Ok(None);
    };
    let failed = |error: RemoteError| error.ended(reason::CLONE_FAILED);
    let tip = branch::fetch_tip(remote, repository, branch, PUSHED).await;
    let Some(tip) = tip.map_err(failed)? else {
        log(format!("Branch {branch} is gone from the remote."));
        return Ok(None);
    };
    if is_ancestor(repository, &tip, source).await {
        log(format!("Branch {branch} is merged; starting from there."));
        local(repository)
            .args(["update-ref", "-d", PUSHED])
            .run()
            .await?;
        return Ok(None);
    }
    log(format!(
        "Fetched {branch} of the earlier attempts, at {tip}."
    ));
    Ok(Some(tip))
}

/// Returns whether commit `old` is contained in `new`.
pub(crate) async fn is_ancestor(repository: &Path, old: &str, new: &str) -> bool {
    local(repository)
        .args(["merge-base", "--is-ancestor", old, new])
        .run()
        .await
        .is_ok()
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
