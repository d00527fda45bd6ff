//! Contacts the remote: the current commit of its branch, and the plan a run would clone from it.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{
    facts::Facts,
    git::{Git, GitError},
    git_failure::{GitFailure, error_summary},
};
use flightdeck_core::{
    runs::{RunKind, naming},
    tasks,
};

/// Time limit for listing refs.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(20);
/// Time limit for fetching a branch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// The response of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAnswer {
    /// Commit of the branch that a run clones; `None` if the remote has no such branch.
    pub commit: Option<String>,
    /// The remote's default branch.
    pub default_branch: Option<String>,
    /// Branches with the name of a folder of runs' branches, see [`naming::branch_folder`].
    pub taken_folders: Vec<String>,
    /// When the remote responded.
    pub asked: Timestamp,
}

/// Why contacting a remote failed. `place` is its URL without credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    #[error("the repository has no remote")]
    NoRemote,
    #[error("{place} has no branch {branch}")]
    NoBranch { branch: String, place: String },
    #[error("{place} did not respond within {seconds} s")]
    Timeout { place: String, seconds: u64 },
    /// `detail` is what the remote or git printed.
    #[error("{}: {detail}", failure.summary(place))]
    Failed {
        place: String,
        failure: GitFailure,
        detail: String,
    },
}

impl RemoteError {
    /// Classifies a failed command for the remote at `place` by what git printed.
    pub fn new(place: &str, error: &GitError) -> Self {
        let place = place.to_owned();
        match error {
            GitError::Timeout { seconds, .. } => Self::Timeout {
                place,
                seconds: *seconds,
            },
            error => Self::Failed {
                place,
                failure: GitFailure::of(error.stderr()),
                detail: error_summary(error),
            },
        }
    }

    /// Returns the cause, if git reported one.
    #[must_use]
    pub const fn failure(&self) -> Option<GitFailure> {
        match self {
            Self::Failed { failure, .. } => Some(*failure),
            _ => None,
        }
    }

    /// Returns whether only the user can resolve it, by logging in or by trusting a key.
    #[must_use]
    pub fn needs_user(&self) -> bool {
        self.failure().is_some_and(GitFailure::needs_user)
    }
}

/// Returns a git command in `root` that may contact a remote but never prompts on the terminal. SSH passphrases can
/// be entered only through the user's own askpass program; without one, prompts are refused.
pub fn git(root: &Path) -> Git {
    let git = Git::new(root).recorded().env_remove(&["GIT_NO_LAZY_FETCH"]);
    if std::env::var_os("SSH_ASKPASS").is_some() {
        return git.env("SSH_ASKPASS_REQUIRE", "prefer");
    }
    git.env("SSH_ASKPASS", "false")
        .env("SSH_ASKPASS_REQUIRE", "force")
}

/// Whether contacting a remote may prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptMode {
    /// For the user: their askpass program may prompt.
    Allowed,
    /// In the background: nothing may appear on the screen.
    Never,
}

impl PromptMode {
    fn git(self, root: &Path) -> Git {
        match self {
            Self::Allowed => git(root),
            Self::Never => git(root)
                .config("credential.interactive", "false")
                .env("GIT_ASKPASS", "false")
                .env("SSH_ASKPASS", "false")
                .env("SSH_ASKPASS_REQUIRE", "force")
                .env("GCM_INTERACTIVE", "never"),
        }
    }
}

/// Asks the remote for the commit of its branch, and updates the remote-tracking ref if it moved. Reading the facts
/// again then gives the new [`Remote::known`](super::Remote::known). Nothing else changes.
///
/// # Errors
/// If there is no remote, or it does not respond.
pub async fn query_remote(facts: &Facts) -> Result<RemoteAnswer, RemoteError> {
    query_remote_as(facts, PromptMode::Allowed, LIST_TIMEOUT).await
}

/// Like [`query_remote`], with a prompt mode and a time limit for listing refs.
pub(super) async fn query_remote_as(
    facts: &Facts,
    mode: PromptMode,
    timeout: Duration,
) -> Result<RemoteAnswer, RemoteError> {
    let remote = facts.remote.as_ref().ok_or(RemoteError::NoRemote)?;
    let failed = |error: GitError| RemoteError::new(&remote.clone_url, &error);
    let branch_ref = remote
        .branch
        .as_ref()
        .map(|branch| format!("refs/heads/{branch}"));
    let listed = mode
        .git(&facts.root)
        .args(["ls-remote", "--symref", "--", &remote.name, "HEAD"])
        .args(&branch_ref)
        .args(folders().map(|folder| format!("refs/heads/{folder}")))
        .timeout(timeout)
        .run()
        .await
        .map_err(failed)?
        .text();
    let asked = Timestamp::now();
    let (commit, default_branch) = read_listing(&listed, branch_ref.as_deref());
    let is_listed = |folder: &&str| {
        let name = format!("\trefs/heads/{folder}");
        listed.lines().any(|line| line.ends_with(&name))
    };
    let answer = RemoteAnswer {
        commit,
        default_branch,
        taken_folders: folders().filter(is_listed).map(str::to_owned).collect(),
        asked,
    };
    let (Some(commit), Some(branch_ref), Some(tracking)) =
        (&answer.commit, branch_ref, &remote.tracking_ref)
    else {
        return Ok(answer);
    };
    if remote
        .known
        .as_ref()
        .is_none_or(|known| known.commit != *commit)
    {
        fetch_into(facts, mode, &remote.name, &branch_ref, tracking)
            .await
            .map_err(failed)?;
    }
    if let (true, Some(plan)) = (remote.partial, &facts.plan.relative) {
        // Fetches the plan of that commit if it is missing. An error only means that the commit has none.
        let object = format!("{commit}:{plan}");
        let brought = mode.git(&facts.root).args(["cat-file", "-e", &object]);
        let _ = brought.timeout(FETCH_TIMEOUT).run().await;
    }
    Ok(answer)
}

/// Fetches a branch of the remote, and returns its commit.
///
/// # Errors
/// If there is no remote, it does not respond, or it has no such branch.
pub async fn fetch(facts: &Facts, branch: &str) -> Result<String, RemoteError> {
    let remote = facts.remote.as_ref().ok_or(RemoteError::NoRemote)?;
    let failed = |error: GitError| match RemoteError::new(&remote.clone_url, &error) {
        RemoteError::Failed {
            failure: GitFailure::MissingBranch,
            place,
            ..
        } => RemoteError::NoBranch {
            branch: branch.to_owned(),
            place,
        },
        error => error,
    };
    let tracking = format!("refs/remotes/{}/{branch}", remote.name);
    fetch_into(
        facts,
        PromptMode::Allowed,
        &remote.name,
        &format!("refs/heads/{branch}"),
        &tracking,
    )
    .await
    .map_err(failed)?;
    let commit = Git::new(&facts.root)
        .args([
            "rev-parse",
            "--verify",
            "--end-of-options",
            &format!("{tracking}^{{commit}}"),
        ])
        .run()
        .await
        .map_err(failed)?;
    Ok(commit.text())
}

fn folders() -> impl Iterator<Item = &'static str> {
    RunKind::ALL.into_iter().map(naming::branch_folder)
}

async fn fetch_into(
    facts: &Facts,
    mode: PromptMode,
    remote: &str,
    branch_ref: &str,
    tracking: &str,
) -> Result<(), GitError> {
    mode.git(&facts.root)
        .args([
            "fetch",
            "--quiet",
            "--no-auto-maintenance",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            remote,
        ])
        .arg(format!("+{branch_ref}:{tracking}"))
        .timeout(FETCH_TIMEOUT)
        .run()
        .await
        .map(drop)
}

/// Parses `ls-remote --symref`: the branch's commit and the default branch.
fn read_listing(listing: &str, branch_ref: Option<&str>) -> (Option<String>, Option<String>) {
    let (mut commit, mut default_branch) = (None, None);
    for line in listing.lines() {
        let Some((left, name)) = line.split_once('\t') else {
            continue;
        };
        if let Some(target) = left.strip_prefix("ref: ") {
            default_branch = target.strip_prefix("refs/heads/").map(str::to_owned);
        } else if Some(name) == branch_ref {
            // ls-remote matches suffixes; only the exact name counts.
            commit = Some(left.to_owned());
        }
    }
    (commit, default_branch)
}

/// Returns the content of a plan's blob; `None` if the object does not exist or is larger than a plan may be.
pub async fn blob(root: &Path, id: &str) -> Option<Vec<u8>> {
    let output = Git::new(root)
        .args(["cat-file", "blob", id])
        .output_limit(usize::try_from(tasks::MAX_FILE_SIZE).unwrap_or(usize::MAX))
        .run()
        .await
        .ok()?;
    Some(output.stdout)
}

#[cfg(test)]
mod access_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{
        fixture::{self, Fixture, PLAN, PLAN_PATH},
        read,
    };

    #[tokio::test]
    async fn fetches_remote_branch_that_moved() {
        let fixture = Fixture::pushed().await;
        let colleague = fixture.colleague().await;
        fixture::write(
            &colleague,
            PLAN_PATH,
            &PLAN.replace("Set up", "Initialize Express"),
        );
        fixture::commit(&colleague, "Another plan").await;
        fixture::run(&colleague, &["push", "-q"]).await;
        fixture.write("mine", "x");
        fixture.commit("Mine").await;

        let before = read(&fixture.root).await.unwrap();
        assert_eq!(
            before
                .remote
                .as_ref()
                .unwrap()
                .known
                .as_ref()
                .unwrap()
                .behind,
            0
        );
        let answer = query_remote(&before).await.unwrap();
        let facts = read(&fixture.root).await.unwrap();
        let known = facts.remote.unwrap().known.unwrap();
        assert_eq!(answer.commit.as_ref(), Some(&known.commit));
        assert_eq!((known.ahead, known.behind), (1, 1));
        assert_ne!(known.plan_blob, facts.plan.disk_blob);
        let theirs = blob(&fixture.root, known.plan_blob.as_deref().unwrap())
            .await
            .unwrap();
        assert!(
            String::from_utf8(theirs)
                .unwrap()
                .contains("Initialize Express")
        );
    }

    #[tokio::test]
    async fn missing_remote_branch_is_not_an_error() {
        let fixture = Fixture::pushed().await;
        fixture
            .git(&[
                "push",
                "-q",
                "origin",
                "HEAD:refs/heads/main",
                "HEAD:refs/heads/not/feature/y",
            ])
            .await;
        fixture.git(&["checkout", "-q", "-b", "feature/y"]).await;
        let answer = query_remote(&read(&fixture.root).await.unwrap())
            .await
            .unwrap();
        assert_eq!(
            (answer.commit, answer.default_branch.as_deref()),
            (None, Some("main"))
        );
    }

    #[tokio::test]
    async fn names_unreachable_remote() {
        let fixture = Fixture::pushed().await;
        fixture
            .git(&["remote", "set-url", "origin", "../nowhere.git"])
            .await;
        let error = query_remote(&read(&fixture.root).await.unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.failure(), Some(GitFailure::NotFound), "{error}");
        assert!(
            error.to_string().contains("/nowhere.git was not found"),
            "{error}"
        );
        fixture
            .git(&["remote", "set-url", "origin", "http://127.0.0.1:9/x"])
            .await;
        let error = query_remote(&read(&fixture.root).await.unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.failure(), Some(GitFailure::Network), "{error}");
    }
}
