//! Brings a run's branch home: into the branch one is on, by fast-forward where that is possible.

use git2::Repository;

use super::{
    CommitLine, Diff, DiffError, Facts, RemoteError,
    diff::{diff, merged},
    git::{Git, GitError},
    history::commits,
    named,
    remote::{fetch, git, last_words},
};

/// How a branch comes home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Everything is here already.
    Already,
    FastForward,
    /// With a merge commit.
    Merge,
}

/// What bringing a branch home would do, for a person to say yes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergePlan {
    /// The branch on the remote.
    pub branch: String,
    /// Its commit as it was fetched: this very one is merged.
    pub commit: String,
    /// The branch it goes into.
    pub into: String,
    pub how: How,
    /// What it brings, the latest first.
    pub commits: Vec<CommitLine>,
    pub diff: Diff,
    /// As it will be run; empty when everything is here already.
    pub command: String,
}

/// Why a branch cannot come home.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("{0}")]
    Refused(String),
    #[error("changes you have not committed are in the way: {0}")]
    InTheWay(String),
    #[error(
        "{branch} and {into} change the same lines of {files}; merge by hand: git merge {commit}"
    )]
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
        Self::Git(last_words(&error))
    }
}

/// Fetches `branch` and says what bringing it into the branch one is on would do. Nothing of the work tree changes.
///
/// # Errors
/// When HEAD is on no branch, git is in the middle of something, the remote gives no such branch, the work tree has changes in
/// the way, or both sides change the same lines.
pub async fn plan(facts: &Facts, branch: &str) -> Result<MergePlan, MergeError> {
    let refused = |sentence: &str| Err(MergeError::Refused(sentence.into()));
    if let Some(operation) = facts.operation {
        return refused(&format!(
            "{} is under way; end it or abort it first",
            operation.name()
        ));
    }
    let (Some(into), Some(_)) = (facts.branch(), facts.commit()) else {
        return refused("HEAD is on no branch with a commit; switch to one first");
    };
    let commit = fetch(facts, branch).await.map_err(MergeError::Remote)?;
    let how = looked(facts, &commit, relation).await?;
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
        in_the_way(facts, &plan).await?;
    }
    if how == How::Merge {
        conflicts(facts, &plan).await?;
    }
    Ok(plan)
}

/// Does what the plan says, unless the branch one is on has moved since.
///
/// # Errors
/// When git refuses, or a merge that began meets a conflict after all: it is aborted, and the work tree is as it was.
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
            "you are on {on} now, not on {}",
            plan.into
        )));
    }
    let Err(error) = git.run().await else {
        return Ok(());
    };
    if plan.how == How::Merge {
        // Fails when the merge never began, which is as well.
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

/// Refuses when files the branch changes are changed here too and not committed.
async fn in_the_way(facts: &Facts, plan: &MergePlan) -> Result<(), MergeError> {
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
            // A merge commit needs the index to be what HEAD has.
            let staged = plan.how == How::Merge && !state.starts_with(['?', ' ']);
            staged || plan.diff.files.iter().any(|file| file.touches(path))
        })
        .map(|(_, path)| path)
        .collect();
    if in_the_way.is_empty() {
        return Ok(());
    }
    Err(MergeError::InTheWay(named(&in_the_way)))
}

/// Refuses when both sides changed the same lines, tried in memory.
async fn conflicts(facts: &Facts, plan: &MergePlan) -> Result<(), MergeError> {
    let files = looked(facts, &plan.commit, try_merge).await?;
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

/// What `look` sees in the repository, off the async threads.
async fn looked<T: Send + 'static>(
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

/// How HEAD and `commit` stand to each other.
fn relation(repository: &Repository, commit: git2::Oid) -> Result<How, git2::Error> {
    let head = repository.head()?.peel_to_commit()?.id();
    Ok(match repository.graph_ahead_behind(head, commit)? {
        (_, 0) => How::Already,
        (0, _) => How::FastForward,
        _ => How::Merge,
    })
}

/// Files that would conflict when `commit` is merged into HEAD.
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
