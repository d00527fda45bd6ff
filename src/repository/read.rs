//! Reads the facts of a repository: by git2 what is only looked up, by the `git` program what must be exactly as git judges it.

use std::{
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use git2::{ErrorCode, ObjectType, Repository, RepositoryState};
use jiff::Timestamp;

use super::{
    address,
    facts::{Facts, FactsError, Head, Identity, Known, Operation, Plan, Remote},
    status,
};
use crate::tasks;

/// The facts of the repository that `start` is in.
///
/// # Errors
/// When `start` is in no repository, in a bare one, or in one that cannot be read.
pub async fn read(start: &Path) -> Result<Facts, FactsError> {
    let place = start.display().to_string();
    let unreadable = |message: String| FactsError::Unreadable {
        place: place.clone(),
        message,
    };
    let owned = start.to_owned();
    let mut facts = tokio::task::spawn_blocking(move || look(&owned))
        .await
        .map_err(|error| unreadable(error.to_string()))??;
    status::fill(&mut facts)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    Ok(facts)
}

/// What git2 can tell. Blocks.
fn look(start: &Path) -> Result<Facts, FactsError> {
    let place = start.display().to_string();
    let unreadable = |error: git2::Error| FactsError::Unreadable {
        place: place.clone(),
        message: error.message().to_owned(),
    };
    let absolute = start
        .canonicalize()
        .map_err(|_| FactsError::NotARepository(place.clone()))?;
    let repository = Repository::discover(&absolute).map_err(|error| match error.code() {
        ErrorCode::NotFound => FactsError::NotARepository(place.clone()),
        _ => unreadable(error),
    })?;
    let Some(root) = repository
        .workdir()
        .and_then(|root| root.canonicalize().ok())
    else {
        return Err(FactsError::Bare(place));
    };
    // Inside `.git` there is no work tree either.
    if !absolute.starts_with(&root) || absolute.starts_with(repository.path()) {
        return Err(FactsError::Bare(place));
    }

    let located = tasks::locate(&absolute, &root);
    let project = located
        .path
        .as_deref()
        .and_then(tasks::project_directory)
        .map_or_else(|| absolute.clone(), Path::to_owned);
    let relative = |path: &Path| slashed(path.strip_prefix(&root).ok()?);
    let working_directory = relative(&project)
        .filter(|directory| !directory.is_empty())
        .unwrap_or_else(|| ".".into());
    let head = head(&repository).map_err(unreadable)?;
    let mut plan = Plan {
        relative: located.path.as_deref().and_then(relative),
        bytes: located
            .path
            .as_deref()
            .and_then(|path| tasks::load(path).ok())
            .map(Into::into),
        path: located.path,
        others: located.others,
        ..Plan::default()
    };
    let head_commit = match &head {
        Head::Branch { commit, .. } | Head::Detached { commit } => git2::Oid::from_str(commit).ok(),
        Head::Unborn { .. } => None,
    };
    if let Some(path) = &plan.relative {
        plan.head_blob = head_commit.and_then(|commit| blob_at(&repository, commit, path));
        plan.ignored = plan.head_blob.is_none()
            && !in_index(&repository, path)
            && repository.is_path_ignored(path).unwrap_or(false);
    }
    let branch = match &head {
        Head::Branch { name, .. } | Head::Unborn { name } => Some(name.as_str()),
        Head::Detached { .. } => None,
    };
    let (remote, other_remotes) = remote(
        &repository,
        branch,
        head_commit,
        plan.relative.as_deref(),
        &root,
    );
    Ok(Facts {
        git_dir: repository.path().to_owned(),
        common_dir: repository.commondir().to_owned(),
        operation: operation(repository.state()),
        identity: identity(&repository),
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

/// A relative path with slashes; `None` when it is not UTF-8.
pub(super) fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_str())
        .collect();
    Some(parts?.join("/"))
}

fn head(repository: &Repository) -> Result<Head, git2::Error> {
    let short = |name: &str| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
    match repository.head() {
        Ok(head) => {
            let commit = head.peel_to_commit()?.id().to_string();
            Ok(if repository.head_detached()? {
                Head::Detached { commit }
            } else {
                Head::Branch {
                    name: short(head.name()?),
                    commit,
                }
            })
        }
        Err(error) if error.code() == ErrorCode::UnbornBranch => {
            let head = repository.find_reference("HEAD")?;
            Ok(Head::Unborn {
                name: short(head.symbolic_target()?.unwrap_or_default()),
            })
        }
        Err(error) => Err(error),
    }
}

const fn operation(state: RepositoryState) -> Option<Operation> {
    match state {
        RepositoryState::Clean => None,
        RepositoryState::Merge => Some(Operation::Merge),
        RepositoryState::Revert | RepositoryState::RevertSequence => Some(Operation::Revert),
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => {
            Some(Operation::CherryPick)
        }
        RepositoryState::Bisect => Some(Operation::Bisect),
        RepositoryState::Rebase
        | RepositoryState::RebaseInteractive
        | RepositoryState::RebaseMerge => Some(Operation::Rebase),
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => {
            Some(Operation::ApplyMailbox)
        }
    }
}

fn identity(repository: &Repository) -> Identity {
    let config = repository
        .config()
        .and_then(|mut config| config.snapshot())
        .ok();
    let setting = |variable: &str, key: &str| {
        let from_config = || config.as_ref()?.get_string(key).ok();
        std::env::var(variable)
            .ok()
            .or_else(from_config)
            .filter(|value| !value.trim().is_empty())
    };
    Identity {
        name: setting("GIT_AUTHOR_NAME", "user.name"),
        email: setting("GIT_AUTHOR_EMAIL", "user.email").or_else(|| std::env::var("EMAIL").ok()),
    }
}

fn in_index(repository: &Repository, path: &str) -> bool {
    repository
        .index()
        .is_ok_and(|index| index.get_path(Path::new(path), 0).is_some())
}

/// Object id of the file at `path` in a commit.
fn blob_at(repository: &Repository, commit: git2::Oid, path: &str) -> Option<String> {
    let tree = repository.find_commit(commit).ok()?.tree().ok()?;
    let entry = tree.get_path(Path::new(path)).ok()?;
    (entry.kind() == Some(ObjectType::Blob)).then(|| entry.id().to_string())
}

/// The remote a run would clone, and the names of the others.
fn remote(
    repository: &Repository,
    branch: Option<&str>,
    head: Option<git2::Oid>,
    plan: Option<&str>,
    root: &Path,
) -> (Option<Remote>, Vec<String>) {
    let listed = repository.remotes().ok();
    let mut names: Vec<String> = listed
        .iter()
        .flatten()
        .filter_map(|name| name.ok().flatten().map(str::to_owned))
        .collect();
    let config = repository
        .config()
        .and_then(|mut config| config.snapshot())
        .ok();
    let setting = |key: &str| config.as_ref()?.get_string(key).ok();
    // What the branch follows, `.` being this repository itself.
    let follows = branch.and_then(|branch| {
        let remote = setting(&format!("branch.{branch}.remote"))?;
        let merge = setting(&format!("branch.{branch}.merge"))?;
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
    let Ok(remote) = repository.find_remote(&name) else {
        return (None, names);
    };
    let fetch_url = remote.url().unwrap_or_default();
    let push_url = remote.pushurl().ok().flatten().unwrap_or(fetch_url);

    // A branch that was made from another one follows that one; what is cloned is the one with its own name, unless the person
    // told git to push to what is followed.
    let pushes_to_followed = matches!(
        setting("push.default").as_deref(),
        Some("upstream" | "tracking")
    );
    let there = branch.map(|branch| match &follows {
        Some((_, there)) if pushes_to_followed => there.clone(),
        _ => branch.to_owned(),
    });
    let follows = follows.map(|(_, there)| there);
    let tracking_ref = there.as_ref().map(|branch| {
        let source = format!("refs/heads/{branch}");
        remote
            .refspecs()
            .filter(|spec| spec.src_matches(&source))
            .find_map(|spec| {
                spec.transform(&source)
                    .ok()?
                    .as_str()
                    .ok()
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| format!("refs/remotes/{name}/{branch}"))
    });
    let known = tracking_ref.as_deref().and_then(|reference| {
        let commit = repository
            .find_reference(reference)
            .ok()?
            .peel_to_commit()
            .ok()?
            .id();
        let (ahead, behind) = head
            .and_then(|head| repository.graph_ahead_behind(head, commit).ok())
            .unwrap_or_default();
        Some(Known {
            commit: commit.to_string(),
            plan_blob: plan.and_then(|plan| blob_at(repository, commit, plan)),
            ahead,
            behind,
            seen: written(&[
                repository.commondir().join("logs").join(reference),
                repository.commondir().join(reference),
            ]),
        })
    });
    let default_branch = repository
        .find_reference(&format!("refs/remotes/{name}/HEAD"))
        .ok()
        .and_then(|head| {
            let target = head.symbolic_target().ok()??;
            Some(
                target
                    .strip_prefix(&format!("refs/remotes/{name}/"))?
                    .to_owned(),
            )
        });
    let fetched = written(&[
        repository.path().join("FETCH_HEAD"),
        repository.commondir().join("FETCH_HEAD"),
    ])
    .max(known.as_ref().and_then(|known| known.seen));
    let remote = Remote {
        clone_url: address::clonable(fetch_url, root),
        push_url: address::clonable(push_url, root),
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

/// When the latest of some files was written.
fn written<const N: usize>(files: &[PathBuf; N]) -> Option<Timestamp> {
    let written = |file: &PathBuf| std::fs::metadata(file).ok()?.modified().ok();
    let latest: Option<SystemTime> = files.iter().filter_map(written).max();
    Timestamp::try_from(latest?).ok()
}

#[cfg(test)]
mod tests;
