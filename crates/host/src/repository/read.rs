//! Reads facts of a repository: with git2 where possible, with the `git` program if git2 cannot open the repository,
//! and always with `git` for what must match git's own judgement.

mod backend;
mod git2_backend;
mod git_backend;

use std::{
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use git2::{ErrorCode, Repository};
use jiff::Timestamp;
use tokio::runtime::Handle;

use self::{
    backend::{Backend, Blob},
    git_backend::GitBackend,
    git2_backend::Git2Backend,
};
use super::{
    address,
    facts::{Facts, FactsError, Head, Identity, PlanFile, Remote, TrackingBranch},
    status,
};
use flightdeck_core::tasks;

/// Returns facts about the repository that contains `start`.
///
/// # Errors
/// If `start` is not in a repository, or the repository is bare or unreadable.
pub async fn read(start: &Path) -> Result<Facts, FactsError> {
    let place = start.display().to_string();
    let unreadable = |message: String| FactsError::Unreadable {
        place: place.clone(),
        message,
    };
    let owned = start.to_owned();
    let runtime = Handle::current();
    let mut facts = tokio::task::spawn_blocking(move || read_blocking(&runtime, &owned))
        .await
        .map_err(|error| unreadable(error.to_string()))??;
    status::fill(&mut facts)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(facts)
}

/// Reads what does not need `git status`. Blocks.
fn read_blocking(runtime: &Handle, start: &Path) -> Result<Facts, FactsError> {
    let place = start.display().to_string();
    let absolute = start
        .canonicalize()
        .map_err(|_| FactsError::NotARepository(place.clone()))?;
    let repository = match Repository::discover(&absolute) {
        Ok(repository) => repository,
        Err(error) if error.code() == ErrorCode::NotFound => {
            return Err(FactsError::NotARepository(place));
        }
        // git can open repositories that git2 cannot, and otherwise has the better error.
        Err(_) => return read_opened(&GitBackend::open(runtime.clone(), &absolute)?, &absolute),
    };
    let root = repository
        .workdir()
        .and_then(|root| root.canonicalize().ok());
    match root {
        // There is no work tree inside `.git`.
        Some(root) if absolute.starts_with(&root) && !absolute.starts_with(repository.path()) => {
            read_opened(&Git2Backend::new(repository, root), &absolute)
        }
        _ => Err(FactsError::Bare(place)),
    }
}

/// Returns facts about an open repository, seen from a directory in it.
fn read_opened(store: &impl Backend, start: &Path) -> Result<Facts, FactsError> {
    let root = store.root().to_owned();
    let located = tasks::locate(start, &root);
    let project = located
        .path
        .as_deref()
        .and_then(tasks::project_directory)
        .map_or_else(|| start.to_owned(), Path::to_owned);
    let relative = |path: &Path| to_slashes(path.strip_prefix(&root).ok()?);
    let working_directory = relative(&project)
        .filter(|directory| !directory.is_empty())
        .unwrap_or_else(|| ".".into());
    let head = store.head().map_err(|message| FactsError::Unreadable {
        place: start.display().to_string(),
        message,
    })?;
    let (bytes, unreadable) = match located.path.as_deref().map(tasks::load) {
        None => (None, None),
        Some(Ok(bytes)) => (Some(bytes.into()), None),
        Some(Err(why)) => (None, Some(why.to_string())),
    };
    let mut plan = PlanFile {
        relative: located.path.as_deref().and_then(relative),
        bytes,
        unreadable,
        path: located.path,
        others: located.others,
        ..PlanFile::default()
    };
    let (branch, commit) = match &head {
        Head::Branch { name, commit } => (Some(name.as_str()), Some(commit.as_str())),
        Head::Unborn { name } => (Some(name.as_str()), None),
        Head::Detached { commit } => (None, Some(commit.as_str())),
    };
    if let Some(path) = &plan.relative {
        plan.head_blob = commit.and_then(|commit| store.blob(commit, path).id());
        plan.ignored = plan.head_blob.is_none() && !store.in_index(path) && store.ignored(path);
    }
    let (remote, other_remotes) = remote(store, branch, commit, plan.relative.as_deref());
    Ok(Facts {
        git_dir: store.git_dir(),
        common_dir: store.common_dir(),
        operation: store.operation(),
        identity: identity(store),
        submodules: root.join(".gitmodules").is_file(),
        root,
        project,
        working_directory,
        head,
        remote,
        other_remotes,
        plan,
        changes: super::Changes::default(),
        differing: Vec::new(),
    })
}

/// Converts a relative path to slashes; `None` if it is not UTF-8.
pub(super) fn to_slashes(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_str())
        .collect();
    Some(parts?.join("/"))
}

fn identity(store: &impl Backend) -> Identity {
    let setting = |variable: &str, key: &str| {
        std::env::var(variable)
            .ok()
            .or_else(|| store.setting(key))
            .filter(|value| !value.trim().is_empty())
    };
    Identity {
        name: setting("GIT_AUTHOR_NAME", "user.name"),
        email: setting("GIT_AUTHOR_EMAIL", "user.email").or_else(|| std::env::var("EMAIL").ok()),
    }
}

/// Returns the remote that a run would clone, and the names of the others.
fn remote(
    store: &impl Backend,
    branch: Option<&str>,
    head: Option<&str>,
    plan: Option<&str>,
) -> (Option<Remote>, Vec<String>) {
    let mut names = store.remotes();
    // The upstream; the remote `.` is this repository itself.
    let follows = branch.and_then(|branch| {
        let remote = store.setting(&format!("branch.{branch}.remote"))?;
        let merge = store.setting(&format!("branch.{branch}.merge"))?;
        let there = merge.strip_prefix("refs/heads/")?.to_owned();
        names.contains(&remote).then_some((remote, there))
    });
    let chosen = follows
        .as_ref()
        .map(|(remote, _)| remote.clone())
        .or_else(|| names.iter().find(|name| *name == "origin").cloned())
        .or_else(|| names.first().cloned());
    let Some(name) = chosen else {
        return (None, names);
    };
    names.retain(|other| *other != name);
    let Some((fetch_url, push_url)) = store.urls(&name) else {
        return (None, names);
    };

    // A branch created from another one has that as its upstream, but a run clones the branch of its own name, unless
    // git is configured to push to the upstream.
    let pushes_to_followed = matches!(
        store.setting("push.default").as_deref(),
        Some("upstream" | "tracking")
    );
    let there = branch.map(|branch| match &follows {
        Some((_, there)) if pushes_to_followed => there.clone(),
        _ => branch.to_owned(),
    });
    let follows = follows.map(|(_, there)| there);
    let tracking_ref = there.as_ref().map(|branch| {
        store
            .tracking(&name, branch)
            .unwrap_or_else(|| format!("refs/remotes/{name}/{branch}"))
    });
    let known = tracking_ref.as_deref().and_then(|reference| {
        let commit = store.commit_at(reference)?;
        let (ahead, behind) = head
            .map(|head| store.ahead_behind(head, &commit))
            .unwrap_or_default();
        let blob = plan.map_or(Blob::Absent, |plan| store.blob(&commit, plan));
        Some(TrackingBranch {
            unread: blob == Blob::Unread,
            plan_blob: blob.id(),
            commit,
            ahead,
            behind,
            seen: store.written(reference),
        })
    });
    let default_branch = store
        .points_at(&format!("refs/remotes/{name}/HEAD"))
        .and_then(|target| {
            let start = format!("refs/remotes/{name}/");
            Some(target.strip_prefix(&start)?.to_owned())
        });
    let fetched = written(&[
        store.git_dir().join("FETCH_HEAD"),
        store.common_dir().join("FETCH_HEAD"),
    ])
    .max(known.as_ref().and_then(|known| known.seen));
    let remote = Remote {
        partial: store.setting(&format!("remote.{name}.promisor")).as_deref() == Some("true"),
        clone_url: address::clonable(&fetch_url, store.root()),
        push_url: address::clonable(&push_url, store.root()),
        branch: there,
        follows,
        known,
        tracking_ref,
        fetched,
        default_branch,
        name,
    };
    (Some(remote), names)
}

/// Returns the latest modification time of `files`.
fn written<const N: usize>(files: &[PathBuf; N]) -> Option<Timestamp> {
    let written = |file: &PathBuf| std::fs::metadata(file).ok()?.modified().ok();
    let latest: Option<SystemTime> = files.iter().filter_map(written).max();
    Timestamp::try_from(latest?).ok()
}

#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod tests;
