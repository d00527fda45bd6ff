//! Merges a run's branch into the current branch, by fast-forward if possible.

use git2::Repository;

use super::{
    CommitLine, Diff, DiffError, Facts, RemoteError,
    diff::{diff, merged},
    git::{Git, GitError},
    git_failure::error_summary,
    history::commits,
    named,
    remote::{fetch, git},
};

/// How a branch is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Up to date; nothing to merge.
    Already,
    FastForward,
    /// With a merge commit.
    Merge,
}

/// A planned merge, for confirmation by the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergePlan {
    /// The branch on the remote.
    pub branch: String,
    /// Its fetched commit, which is merged.
    pub commit: String,
    /// The target branch.
    pub into: String,
    pub how: How,
    /// The commits it adds, newest first.
    pub commits: Vec<CommitLine>,
    pub diff: Diff,
    /// The command to be run; empty if there is nothing to merge.
    pub command: String,
}

/// Why a branch cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("{0}")]
    Refused(String),
    #[error("uncommitted changes would be overwritten: {0}")]
    Uncommitted(String),
    #[error("{branch} conflicts with {into} in {files}; merge manually: git merge {commit}")]
    Conflict {
        branch: String,
        into: String,
        commit: String,
        files: String,
    },
    #[error(transparent)]
    Remote(RemoteError),
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error("git: {0}")]
    Git(String),
}

impl From<GitError> for MergeError {
    fn from(error: GitError) -> Self {
        Self::Git(error_summary(&error))
    }
}

/// Fetches `branch` and plans its merge into the current branch. Does not change the work tree.
///
/// # Errors
/// If HEAD is not on a branch, a git operation is in progress, the branch cannot be fetched, uncommitted changes
/// would be overwritten, or the merge has conflicts.
pub async fn plan(facts: &Facts, branch: &str) -> Result<MergePlan, MergeError> {
    let refused = |sentence: &str| Err(MergeError::Refused(sentence.into()));
    if let Some(operation) = facts.operation {
        return refused(&format!(
            "{} is in progress; finish or abort it first",
            operation.name()
        ));
    }
    let (Some(into), Some(_)) = (facts.branch(), facts.commit()) else {
        return refused("HEAD is not on a branch with commits; switch to one first");
    };
    let commit = fetch(facts, branch).await.map_err(MergeError::Remote)?;
    let how = with_repository(facts, &commit, relation).await?;
    let diff = diff(&facts.root, "HEAD", &commit).await?;
    let plan = MergePlan {
        branch: branch.to_owned(),
        into: into.to_owned(),
        commits: commits(&facts.root, &commit, &["HEAD"]).await?,
        command: command(facts, branch, &commit, into, how)
            .map(|git| format!("git {}", git.command_line()))
            .unwrap_or_default(),
        commit,
        how,
        diff,
    };
    if how != How::Already {
        check_uncommitted(facts, &plan).await?;
    }
    if how == How::Merge {
        check_conflicts(facts, &plan).await?;
    }
    Ok(plan)
}

/// Runs the planned merge, unless another branch was checked out since.
///
/// # Errors
/// If git refuses. After a conflict the merge is aborted, and the work tree is unchanged.
pub async fn apply(facts: &Facts, plan: &MergePlan) -> Result<(), MergeError> {
    let Some(git) = command(facts, &plan.branch, &plan.commit, &plan.into, plan.how) else {
        return Ok(());
    };
    let on = Git::new(&facts.root)
        .args(["symbolic-ref", "--short", "HEAD"])
        .run()
        .await?
        .text();
    if on != plan.into {
        return Err(MergeError::Refused(format!(
            "the current branch is now {on}, not {}",
            plan.into
        )));
    }
    let Err(error) = git.run().await else {
        return Ok(());
    };
    if plan.how == How::Merge {
        // Fails if the merge never started, which is fine.
        let _ = Git::new(&facts.root).args(["merge", "--abort"]).run().await;
    }
    Err(error.into())
}

fn command(facts: &Facts, branch: &str, commit: &str, into: &str, how: How) -> Option<Git> {
    let git = git(&facts.root).arg("merge");
    match how {
        How::Already => None,
        How::FastForward => Some(git.args(["--ff-only", commit])),
        How::Merge => {
            let message = format!("--message=Merge {branch} into {into}");
            Some(git.args(["--no-ff", "--no-edit", &message, commit]))
        }
    }
}

/// Fails if uncommitted changes are in files that the merge changes.
async fn check_uncommitted(facts: &Facts, plan: &MergePlan) -> Result<(), MergeError> {
    let status = Git::new(&facts.root)
        .args([
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
        ])
        .run()
        .await?;
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    let in_the_way: Vec<&str> = text
        .split('\0')
        .filter_map(|line| Some((line.get(..2)?, line.get(3..)?)))
        .filter(|(state, path)| {
            // A merge commit requires that the index matches HEAD.
            let staged = plan.how == How::Merge && !state.starts_with(['?', ' ']);
            staged || plan.diff.files.iter().any(|file| file.touches(path))
        })
        .map(|(_, path)| path)
        .collect();
    if in_the_way.is_empty() {
        return Ok(());
    }
    Err(MergeError::Uncommitted(named(&in_the_way)))
}

/// Fails if the merge, tried in memory, has conflicts.
async fn check_conflicts(facts: &Facts, plan: &MergePlan) -> Result<(), MergeError> {
    let files = with_repository(facts, &plan.commit, try_merge).await?;
    if files.is_empty() {
        return Ok(());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    Err(MergeError::Conflict {
        branch: plan.branch.clone(),
        into: plan.into.clone(),
        commit: plan.commit.chars().take(8).collect(),
        files: named(&files),
    })
}

/// Runs `look` on the repository in a blocking task.
async fn with_repository<T: Send + 'static>(
    facts: &Facts,
    commit: &str,
    look: fn(&Repository, git2::Oid) -> Result<T, git2::Error>,
) -> Result<T, MergeError> {
    let (root, commit) = (facts.root.clone(), commit.to_owned());
    let seen = tokio::task::spawn_blocking(move || {
        let repository = Repository::open(root)?;
        look(&repository, git2::Oid::from_str(&commit)?)
    });
    seen.await
        .map_err(|error| MergeError::Git(error.to_string()))?
        .map_err(|error| MergeError::Git(error.message().to_owned()))
}

/// Returns how `commit` can be merged into HEAD.
fn relation(repository: &Repository, commit: git2::Oid) -> Result<How, git2::Error> {
    let head = repository.head()?.peel_to_commit()?.id();
    Ok(match repository.graph_ahead_behind(head, commit)? {
        (_, 0) => How::Already,
        (0, _) => How::FastForward,
        _ => How::Merge,
    })
}

/// Returns the files that would conflict if `commit` were merged into HEAD.
fn try_merge(repository: &Repository, commit: git2::Oid) -> Result<Vec<String>, git2::Error> {
    let ours = repository.head()?.peel_to_commit()?;
    let theirs = repository.find_commit(commit)?;
    let merged = merged(repository, &ours, &theirs)?;
    let mut files = Vec::new();
    for conflict in merged.conflicts()? {
        let conflict = conflict?;
        let side = conflict.our.or(conflict.their).or(conflict.ancestor);
        files.extend(side.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
