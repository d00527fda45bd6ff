//! Reads a repository with git2.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryState};
use jiff::Timestamp;

use super::{
    backend::{Backend, Blob},
    written,
};
use crate::repository::facts::{Head, Operation};

/// A repository and a snapshot of its configuration.
pub(super) struct Git2Backend {
    repository: Repository,
    config: Option<git2::Config>,
    root: PathBuf,
}

impl Git2Backend {
    pub(super) fn new(repository: Repository, root: PathBuf) -> Self {
        let config = repository
            .config()
            .and_then(|mut config| config.snapshot())
            .ok();
        Self {
            repository,
            config,
            root,
        }
    }
}

impl Backend for Git2Backend {
    fn root(&self) -> &Path {
        &self.root
    }

    fn git_dir(&self) -> PathBuf {
        self.repository.path().to_owned()
    }

    fn common_dir(&self) -> PathBuf {
        self.repository.commondir().to_owned()
    }

    fn head(&self) -> Result<Head, String> {
        head(&self.repository).map_err(|error| error.message().to_owned())
    }

    fn operation(&self) -> Option<Operation> {
        match self.repository.state() {
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

    fn setting(&self, key: &str) -> Option<String> {
        self.config.as_ref()?.get_string(key).ok()
    }

    fn remotes(&self) -> Vec<String> {
        let listed = self.repository.remotes().ok();
        let names = listed.iter().flatten();
        names
            .filter_map(|name| name.ok().flatten().map(str::to_owned))
            .collect()
    }

    fn urls(&self, remote: &str) -> Option<(String, String)> {
        let remote = self.repository.find_remote(remote).ok()?;
        let fetch = remote.url().unwrap_or_default();
        let push = remote.pushurl().ok().flatten().unwrap_or(fetch);
        Some((fetch.to_owned(), push.to_owned()))
    }

    fn tracking(&self, remote: &str, branch: &str) -> Option<String> {
        let source = format!("refs/heads/{branch}");
        let remote = self.repository.find_remote(remote).ok()?;
        remote
            .refspecs()
            .filter(|spec| spec.src_matches(&source))
            .find_map(|spec| {
                let there = spec.transform(&source).ok()?;
                there.as_str().ok().map(str::to_owned)
            })
    }

    fn commit_at(&self, reference: &str) -> Option<String> {
        let reference = self.repository.find_reference(reference).ok()?;
        Some(reference.peel_to_commit().ok()?.id().to_string())
    }

    fn ahead_behind(&self, here: &str, there: &str) -> (usize, usize) {
        let count = || {
            let (here, there) = (Oid::from_str(here)?, Oid::from_str(there)?);
            self.repository.graph_ahead_behind(here, there)
        };
        count().unwrap_or_default()
    }

    fn blob(&self, commit: &str, path: &str) -> Blob {
        let commit = Oid::from_str(commit).and_then(|id| self.repository.find_commit(id));
        let Ok(mut tree) = commit.and_then(|commit| commit.tree()) else {
            return Blob::Unread;
        };
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some((id, kind)) = tree.get_name(part).map(|entry| (entry.id(), entry.kind()))
            else {
                return Blob::Absent;
            };
            match (kind, parts.peek()) {
                (Some(ObjectType::Blob), None) => return Blob::At(id.to_string()),
                (Some(ObjectType::Tree), Some(_)) => match self.repository.find_tree(id) {
                    Ok(below) => tree = below,
                    Err(_) => return Blob::Unread,
                },
                _ => return Blob::Absent,
            }
        }
        Blob::Absent
    }

    fn points_at(&self, reference: &str) -> Option<String> {
        let reference = self.repository.find_reference(reference).ok()?;
        reference.symbolic_target().ok()?.map(str::to_owned)
    }

    fn in_index(&self, path: &str) -> bool {
        self.repository
            .index()
            .is_ok_and(|index| index.get_path(Path::new(path), 0).is_some())
    }

    fn ignored(&self, path: &str) -> bool {
        self.repository.is_path_ignored(path).unwrap_or(false)
    }

    fn written(&self, reference: &str) -> Option<Timestamp> {
        let common = self.repository.commondir();
        written(&[common.join("logs").join(reference), common.join(reference)])
    }
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
