//! Bringing a branch, or one commit, of a remote into a bare repository of ours, with as little history as is asked for.
//!
//! A bare repository has no work tree: nothing is checked out, filtered or run here.

use std::path::Path;

use super::{
    error::StageError,
    remote::{Problem, Remote, RemoteError, local},
    say,
};

/// Makes an empty bare repository.
pub async fn init(repository: &Path) -> Result<(), StageError> {
    let above = repository.parent().unwrap_or(repository);
    local(above)
        .args(["init", "--quiet", "--bare", "--template="])
        .arg(repository)
        .run()
        .await?;
    Ok(())
}

/// Fetches `refspec` with `depth` commits of history, 0 being all of it. A server that can only give all gives all.
pub async fn branch(
    remote: &Remote,
    repository: &Path,
    refspec: &str,
    depth: u32,
) -> Result<(), RemoteError> {
    if depth > 0 {
        match fetch(remote, repository, &[refspec], Some(depth)).await {
            Err(error) if error.message.contains("shallow capabilities") => say(format!(
                "{} cannot give a part of its history: cloning all of it.",
                remote.shown()
            )),
            other => return other,
        }
    }
    fetch(remote, repository, &[refspec], None).await
}

/// Fetches the commit of that id. Where the server gives only what it has names for, everything that has one is fetched.
///
/// # Errors
/// When the remote fails, or does not have the commit.
pub async fn commit(remote: &Remote, repository: &Path, id: &str) -> Result<(), RemoteError> {
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
        problem: Problem::Other,
        message: format!("{} has no commit {id}", remote.shown()),
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
    remote.talk(repository, build).await.map(drop)
}
