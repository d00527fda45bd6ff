//! What is known of a repository without asking anybody else: values only.

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

/// A repository, as it was at one moment, seen from one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Top of the work tree, absolute.
    pub root: PathBuf,
    /// What HEAD and the index of this work tree are in: `.git`, or a folder in it for a linked work tree.
    pub git_dir: PathBuf,
    /// What branches and objects are in: the same for every work tree of a repository.
    pub common_dir: PathBuf,
    /// Directory of the Task Master project, absolute: the one its plan belongs to, else the one asked about.
    pub project: PathBuf,
    /// The project's directory from the root, with slashes; `.` for the root itself.
    pub working_directory: String,
    pub head: Head,
    /// What git is in the middle of.
    pub operation: Option<Operation>,
    /// The remote a run would clone; `None` when there is none.
    pub remote: Option<Remote>,
    /// Names of the remotes that were not chosen.
    pub other_remotes: Vec<String>,
    pub identity: Identity,
    pub plan: Plan,
    pub changes: Changes,
    /// Whether it has submodules, which a push may take along.
    pub submodules: bool,
    /// Files of the plan, or among its documents, that are not what HEAD has, in git's order.
    pub differing: Vec<Differing>,
}

impl Facts {
    /// The branch one is on; `None` when HEAD is detached.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { name, .. } | Head::Unborn { name } => Some(name),
            Head::Detached { .. } => None,
        }
    }

    /// The commit HEAD is at.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { commit, .. } | Head::Detached { commit } => Some(commit),
            Head::Unborn { .. } => None,
        }
    }

    /// A path from the root, as git writes it; `None` outside the root.
    #[must_use]
    pub fn relative(&self, path: &std::path::Path) -> Option<String> {
        super::read::slashed(path.strip_prefix(&self.root).ok()?)
    }
}

/// What HEAD points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    Branch {
        name: String,
        commit: String,
    },
    /// A branch without a commit yet.
    Unborn {
        name: String,
    },
    Detached {
        commit: String,
    },
}

/// Something git has begun and not ended.
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
    /// `a merge`, for sentences.
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

/// The remote of the branch one is on, and the branch there that a run clones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub name: String,
    /// What a run clones: what git fetches from after `insteadOf`, without credentials, a path made absolute.
    pub clone_url: String,
    /// What git pushes to after `pushInsteadOf`, in the same form.
    pub push_url: String,
    /// The branch there, which has this branch's name unless the person's git pushes elsewhere; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// Where the last known state of that branch is kept: `refs/remotes/origin/feature/x`.
    pub tracking_ref: Option<String>,
    /// The branch there that the branch one is on follows (its upstream); usually `branch`, once `push -u` has been done.
    pub follows: Option<String>,
    /// The last known state; `None` when it was never seen there.
    pub known: Option<Known>,
    /// When anything was last fetched here; `None` when nothing ever was.
    pub fetched: Option<Timestamp>,
    /// The remote's default branch as it was when it was cloned.
    pub default_branch: Option<String>,
    /// A partial clone of it: objects are fetched when they are needed.
    pub partial: bool,
}

impl Remote {
    /// `origin/feature/x`.
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
pub struct Known {
    pub commit: String,
    /// Object id of the plan there; `None` when that commit has none, or when it is `unread`.
    pub plan_blob: Option<String>,
    /// Which plan that commit has cannot be told: a partial clone has yet to fetch what says so.
    pub unread: bool,
    /// Commits here that are not there; 0 without a HEAD.
    pub ahead: usize,
    /// Commits there that are not here.
    pub behind: usize,
    /// When git wrote this state down; `None` when that is not to be found out.
    pub seen: Option<Timestamp>,
}

/// The task file in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Absolute; `None` when no directory up to the root has one.
    pub path: Option<PathBuf>,
    /// From the root, as git writes it.
    pub relative: Option<String>,
    /// Other plans in the repository.
    pub others: Vec<PathBuf>,
    /// The file's bytes, read once: what `disk_blob` is the id of.
    pub bytes: Option<Arc<[u8]>>,
    /// Why there are none although the path is there, as a sentence that names it.
    pub unreadable: Option<String>,
    /// Object id the file on disk would have in a commit, as git itself computes it.
    pub disk_blob: Option<String>,
    /// Object id in HEAD; `None` when HEAD has no such file.
    pub head_blob: Option<String>,
    /// The name git has for the file where it is told to ignore case and has it in another one.
    pub known_as: Option<String>,
    /// Whether git ignores the file. A file git already tracks is never ignored.
    pub ignored: bool,
}

/// How many files differ from HEAD, of all in the work tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// On disk, not staged.
    pub changed: usize,
    pub staged: usize,
    /// A folder of new files counts once.
    pub untracked: usize,
    pub conflicted: usize,
}

impl Changes {
    /// Differences from HEAD of any kind.
    #[must_use]
    pub const fn total(self) -> usize {
        self.changed + self.staged + self.untracked + self.conflicted
    }
}

/// A file that is not what HEAD has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// From the root, as git writes it.
    pub path: String,
    pub how: Difference,
}

/// How a file differs from HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// On disk, whatever is staged.
    Changed,
    /// In the index only.
    Staged,
    Untracked,
    Deleted,
    Conflicted,
}

/// Who commits are by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub name: Option<String>,
    pub email: Option<String>,
}

/// Why there are no facts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    #[error("{0} is in no git repository")]
    NotARepository(String),
    #[error("{0} is a bare repository: it has no files to work on")]
    Bare(String),
    /// A repository, but of a form that cannot be read.
    #[error("the git repository of {place} cannot be read: {message}")]
    Unreadable { place: String, message: String },
}
