//! Fetches a branch or a commit of a remote into a bare repository, as shallow as requested.
//!
//! A bare repository has no work tree, so nothing is checked out, filtered or run here.

use std::path::Path;

use super::{
    error::StageError,
    log,
    remote::{Remote, RemoteError, local},
};
use flightdeck_host::repository::GitFailure;

/// Creates an empty bare repository.
pub(crate) async fn init(repository: &Path) -> Result<(), StageError> {
    let above = repository.parent().unwrap_or(repository);
    local(above)
        .args(["init", "--quiet", "--bare", "--template="])
        .arg(repository)
        .run()
        .await?;
    Ok(())
}

/// Fetches `refspec` with `depth` commits of history; 0 means all. Falls back to all if the server cannot fetch shallowly.
pub(crate) async fn branch(
    remote: &Remote,
    repository: &Path,
    refspec: &str,
    depth: u32,
) -> Result<(), RemoteError> {
    if depth > 0 {
        match fetch(remote, repository, &[refspec], Some(depth)).await {
            Err(error) if error.message.contains("shallow capabilities") => log(format!(
                "{} does not support shallow clones: cloning the full history.",
                remote.display_url()
            )),
            other => return other,
        }
    }
    fetch(remote, repository, &[refspec], None).await
}

/// Fetches a commit by id. If the server only serves named refs, fetches all branches and tags.
///
/// # Errors
/// If the remote fails, or does not have the commit.
pub(crate) async fn commit(
    remote: &Remote,
    repository: &Path,
    id: &str,
) -> Result<(), RemoteError> {
    if fetch(remote, repository, &[id], Some(1)).await.is_ok() {
        return Ok(());
    }
    let all = [
        "+refs/heads/*:refs/remotes/origin/*",
        "+refs/tags/*:refs/tags/*",
    ];
    fetch(remote, repository, &all, None).await?;
    let there = local(repository)
        .args(["cat-file", "-e", &format!("{id}^{{commit}}")])
        .run()
        .await;
    there.map(drop).map_err(|_| RemoteError {
        failure: GitFailure::Other,
        message: format!("{} has no commit {id}", remote.display_url()),
    })
}

async fn fetch(
    remote: &Remote,
    repository: &Path,
    refspecs: &[&str],
    depth: Option<u32>,
) -> Result<(), RemoteError> {
    let depth = depth.map(|depth| format!("--depth={depth}"));
    let build = |git: flightdeck_host::repository::git::Git| {
        git.args(["fetch", "--quiet", "--no-tags"])
            .args(&depth)
            .args(["--", &remote.url])
            .args(refspecs)
    };
    remote.run_git(repository, build).await.map(drop)
}
