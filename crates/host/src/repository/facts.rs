//! Facts about a repository, read without contacting a remote. Values only.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

/// A repository at one moment, seen from one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Top of the work tree, absolute.
    pub root: PathBuf,
    /// Directory of HEAD and the index: `.git`, or a directory in it for a linked work tree.
    pub git_dir: PathBuf,
    /// Directory of branches and objects, shared by all work trees.
    pub common_dir: PathBuf,
    /// Directory of the Task Master project, absolute: that of its plan, or else the starting directory.
    pub project: PathBuf,
    /// The project's directory relative to the root, with slashes; `.` for the root itself.
    pub working_directory: String,
    pub head: Head,
    /// The operation in progress.
    pub operation: Option<Operation>,
    /// The remote that a run would clone, if any.
    pub remote: Option<Remote>,
    /// Names of the other remotes.
    pub other_remotes: Vec<String>,
    pub identity: Identity,
    pub plan: PlanFile,
    pub changes: Changes,
    /// Whether the repository has submodules, which a push may include.
    pub submodules: bool,
    /// Files that differ from HEAD: the plan and its documents, in git's order.
    pub differing: Vec<Differing>,
}

impl Facts {
    /// Returns the current branch; `None` if HEAD is detached.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { name, .. } | Head::Unborn { name } => Some(name),
            Head::Detached { .. } => None,
        }
    }

    /// Returns the commit of HEAD.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { commit, .. } | Head::Detached { commit } => Some(commit),
            Head::Unborn { .. } => None,
        }
    }

    /// Returns a path relative to the root, with slashes; `None` outside the root.
    #[must_use]
    pub fn relative(&self, path: &std::path::Path) -> Option<String> {
        super::read::to_slashes(path.strip_prefix(&self.root).ok()?)
    }
}

/// What HEAD points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    Branch {
        name: String,
        commit: String,
    },
    /// A branch without commits.
    Unborn {
        name: String,
    },
    Detached {
        commit: String,
    },
}

/// An unfinished git operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Merge,
    Rebase,
    CherryPick,
    Revert,
    Bisect,
    ApplyMailbox,
}

impl Operation {
    /// Returns the name with an article, for messages: `a merge`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merge => "a merge",
            Self::Rebase => "a rebase",
            Self::CherryPick => "a cherry-pick",
            Self::Revert => "a revert",
            Self::Bisect => "a bisect",
            Self::ApplyMailbox => "applying patches",
        }
    }
}

/// The remote of the current branch, and the remote branch that a run clones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub name: String,
    /// The URL that a run clones: the fetch URL after `insteadOf`, without credentials, with paths made absolute.
    pub clone_url: String,
    /// The push URL after `pushInsteadOf`, in the same form.
    pub push_url: String,
    /// The remote branch: named like the current branch, unless git is configured to push elsewhere; `None` if HEAD
    /// is detached.
    pub branch: Option<String>,
    /// The remote-tracking ref of that branch: `refs/remotes/origin/feature/x`.
    pub tracking_ref: Option<String>,
    /// The upstream of the current branch on this remote; usually equal to `branch` after `push -u`.
    pub follows: Option<String>,
    /// The last known state of the remote branch; `None` if it was never fetched.
    pub known: Option<TrackingBranch>,
    /// When anything was last fetched; `None` if nothing was.
    pub fetched: Option<Timestamp>,
    /// The remote's default branch at the time of cloning.
    pub default_branch: Option<String>,
    /// Whether this is a partial clone, which fetches missing objects on demand.
    pub partial: bool,
}

impl Remote {
    /// Returns the remote branch for display: `origin/feature/x`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.branch {
            Some(branch) => format!("{}/{branch}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The last known state of a branch on a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingBranch {
    pub commit: String,
    /// Object ID of the plan; `None` if the commit has none, or if it is `unread`.
    pub plan_blob: Option<String>,
    /// The plan of that commit is unknown, because a partial clone has not fetched the objects.
    pub unread: bool,
    /// Commits of HEAD that are not on the remote; 0 without a HEAD.
    pub ahead: usize,
    /// Commits of the remote that are not in HEAD.
    pub behind: usize,
    /// When git last updated this state; `None` if unknown.
    pub seen: Option<Timestamp>,
}

/// The plan (task file) in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFile {
    /// Absolute; `None` if no directory up to the root has a plan.
    pub path: Option<PathBuf>,
    /// Relative to the root, with slashes.
    pub relative: Option<String>,
    /// Other plans in the repository.
    pub others: Vec<PathBuf>,
    /// The file's content, from which `disk_blob` is computed.
    pub bytes: Option<Arc<[u8]>>,
    /// Why the existing file could not be read; names the path.
    pub unreadable: Option<String>,
    /// Object ID that git would give the file on disk.
    pub disk_blob: Option<String>,
    /// Object ID in HEAD; `None` if HEAD has no such file.
    pub head_blob: Option<String>,
    /// The file's name in git, if `core.ignorecase` is set and its case differs.
    pub known_as: Option<String>,
    /// Whether git ignores the file; always false for tracked files.
    pub ignored: bool,
}

/// Counts of files in the work tree that differ from HEAD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changed on disk and not staged.
    pub changed: usize,
    pub staged: usize,
    /// A new directory counts as one.
    pub untracked: usize,
    pub conflicted: usize,
}

impl Changes {
    /// Returns the number of files that differ from HEAD.
    #[must_use]
    pub const fn total(self) -> usize {
        self.changed + self.staged + self.untracked + self.conflicted
    }
}

/// A file that differs from HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Relative to the root, with slashes.
    pub path: String,
    pub how: Difference,
}

/// How a file differs from HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// On disk, whether or not it is staged.
    Changed,
    /// Only in the index.
    Staged,
    Untracked,
    Deleted,
    Conflicted,
}

/// The author of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub name: Option<String>,
    pub email: Option<String>,
}

/// Why a repository cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    #[error("{0} is not in a git repository")]
    NotARepository(String),
    #[error("{0} is a bare repository; a work tree is required")]
    Bare(String),
    /// The repository has an unsupported format.
    #[error("cannot read the git repository of {place}: {message}")]
    Unreadable { place: String, message: String },
}
