//! What is looked up in a repository, whatever reads it: git2 where it can, the `git` program where git2 cannot open it (references in
//! reftables, SHA-256 object names, extensions it does not know).

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::repository::facts::{Head, Operation};

/// One repository, opened. Everything blocks.
pub(super) trait Store {
    /// Top of the work tree.
    fn root(&self) -> &Path;
    fn git_dir(&self) -> PathBuf;
    fn common_dir(&self) -> PathBuf;
    fn head(&self) -> Result<Head, String>;
    fn operation(&self) -> Option<Operation>;
    /// A value of the configuration; section and variable in lower case.
    fn setting(&self, key: &str) -> Option<String>;
    /// Names of the remotes.
    fn remotes(&self) -> Vec<String>;
    /// What is fetched from and pushed to, after `insteadOf` and `pushInsteadOf`.
    fn urls(&self, remote: &str) -> Option<(String, String)>;
    /// Where the refspecs of a remote keep a branch of it.
    fn tracking(&self, remote: &str, branch: &str) -> Option<String>;
    /// The commit a reference is at.
    fn commit_at(&self, reference: &str) -> Option<String>;
    /// Commits of the one that the other lacks, both ways; 0 where that cannot be told.
    fn ahead_behind(&self, here: &str, there: &str) -> (usize, usize);
    fn blob(&self, commit: &str, path: &str) -> Blob;
    /// What a symbolic reference points at.
    fn points_at(&self, reference: &str) -> Option<String>;
    fn in_index(&self, path: &str) -> bool;
    /// Whether the ignore rules say so of a path that is not tracked.
    fn ignored(&self, path: &str) -> bool;
    /// When a reference was written last.
    fn written(&self, reference: &str) -> Option<Timestamp>;
}

/// A file in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blob {
    At(String),
    /// The commit has no such file.
    Absent,
    /// Objects that say so are not here: a partial clone fetches them when they are needed.
    Unread,
}

impl Blob {
    pub(super) fn id(self) -> Option<String> {
        match self {
            Self::At(id) => Some(id),
            Self::Absent | Self::Unread => None,
        }
    }
}
