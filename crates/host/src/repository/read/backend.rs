//! The reads that a repository must support, implemented with git2, and with the `git` program for repositories that
//! git2 cannot open (reftables, SHA-256 object names, unknown extensions).

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::repository::facts::{Head, Operation};

/// An open repository. All functions block.
pub(super) trait Backend {
    /// Returns the top of the work tree.
    fn root(&self) -> &Path;
    fn git_dir(&self) -> PathBuf;
    fn common_dir(&self) -> PathBuf;
    fn head(&self) -> Result<Head, String>;
    fn operation(&self) -> Option<Operation>;
    /// Returns a configuration value. `key` has section and variable in lower case.
    fn setting(&self, key: &str) -> Option<String>;
    /// Returns the names of the remotes.
    fn remotes(&self) -> Vec<String>;
    /// Returns fetch and push URL, after `insteadOf` and `pushInsteadOf`.
    fn urls(&self, remote: &str) -> Option<(String, String)>;
    /// Returns the remote-tracking ref of a branch, from the remote's refspecs.
    fn tracking(&self, remote: &str, branch: &str) -> Option<String>;
    /// Returns the commit of a ref.
    fn commit_at(&self, reference: &str) -> Option<String>;
    /// Returns how many commits each side has that the other does not; 0 if unknown.
    fn ahead_behind(&self, here: &str, there: &str) -> (usize, usize);
    fn blob(&self, commit: &str, path: &str) -> Blob;
    /// Returns the target of a symbolic ref.
    fn points_at(&self, reference: &str) -> Option<String>;
    fn in_index(&self, path: &str) -> bool;
    /// Returns whether the ignore rules match an untracked path.
    fn ignored(&self, path: &str) -> bool;
    /// Returns when a ref was last updated.
    fn written(&self, reference: &str) -> Option<Timestamp>;
}

/// A file in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blob {
    At(String),
    /// The commit has no such file.
    Absent,
    /// Unknown, because a partial clone has not fetched the objects.
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
